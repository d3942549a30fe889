"""The glue peer: what a team puts together from the packages' own first pages, and what most of them run.

FastAPI with pydantic models, Feast's `get_online_features`, a pandas frame, `predict_proba`, rules in Python, one
INSERT a commit. Spared: uvicorn's access log. A thread keeps its connection: no pool is to blame.
"""

import threading
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import xgboost as xgb
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peer_facts import INSERT, TABLE, decision_of, facts, keys_of, values_of
from benchmarks.peer_feast import open_store


class Device(BaseModel):
    id: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    browser: str | None = None


class Card(BaseModel):
    token: str | None = None
    country: str | None = None


class Address(BaseModel):
    country: str | None = None
    text: str | None = None


class Customer(BaseModel):
    email: str | None = None
    phone: str | None = None
    full_name: str | None = None
    signup_at: str | None = None


class Transaction(BaseModel):
    transaction_id: str
    amount: float
    currency: str
    customer_id: str
    merchant_id: str | None = None
    payment_method: str | None = None
    device: Device = Device()
    card: Card = Card()
    shipping_address: Address = Address()
    customer: Customer = Customer()


class Context(BaseModel):
    channel: str | None = None


class Purchase(BaseModel):
    transaction: Transaction
    context: Context = Context()


class Factor(BaseModel):
    name: str
    points: int


class Answer(BaseModel):
    decision_id: str
    score: int
    decision: str
    factors: list[Factor]


FACTS = facts()
STORE = open_store(FACTS.redis, Path(FACTS.folder))
MODEL = xgb.XGBClassifier(n_jobs=1)
MODEL.load_model(FACTS.model)
ROW = INSERT.format(name="glue", values="(%s, %s, %s, %s, %s)")
LOCAL = threading.local()
app = FastAPI()

with psycopg.connect(FACTS.dsn) as first:
    first.execute(TABLE.format(name="glue"))


def connection() -> "psycopg.Connection[Any]":
    if not hasattr(LOCAL, "connection"):
        LOCAL.connection = psycopg.connect(FACTS.dsn)
    held: psycopg.Connection[Any] = LOCAL.connection
    return held


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/score")
def score(purchase: Purchase) -> Answer:
    body = purchase.model_dump()
    found = STORE.get_online_features(list(FACTS.references), [keys_of(body)]).to_dict()
    values = values_of(body, {name: column[0] for name, column in found.items() if name in FACTS.names}, FACTS)
    frame = pd.DataFrame([values], columns=list(FACTS.names))
    decided = decision_of(float(MODEL.predict_proba(frame)[0, 1]), values)
    answer = Answer(decision_id=str(uuid.uuid4()), **decided)
    bought = purchase.transaction
    row = (bought.transaction_id, bought.customer_id, answer.score, answer.decision, answer.model_dump_json())
    held = connection()
    held.execute(ROW, row)
    held.commit()
    return answer
