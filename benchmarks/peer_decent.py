"""The decent peer: the same work by somebody who measures. Async route, numpy, a connection pool, still Feast's API."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import xgboost as xgb
from fastapi import FastAPI, Request, Response

from benchmarks.peer_facts import INSERT, TABLE, decision_of, facts, keys_of, values_of
from benchmarks.peer_feast import open_store

FACTS = facts()
REFERENCES, NAMES = list(FACTS.references), FACTS.names
STORE = open_store(FACTS.redis, Path(FACTS.folder))
MODEL = xgb.Booster()
MODEL.load_model(FACTS.model)
MODEL.set_param({"nthread": 1})
ROW = INSERT.format(name="decent", values="($1, $2, $3, $4, $5)")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(FACTS.dsn, min_size=16, max_size=16) as pool:
        await pool.execute(TABLE.format(name="decent"))
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/score")
async def score(request: Request) -> Response:
    body: dict[str, Any] = json.loads(await request.body())
    found = STORE.get_online_features(REFERENCES, [keys_of(body)]).to_dict()
    values = values_of(body, {name: found[name][0] for name in NAMES if name in found}, FACTS)
    row = np.array([[values[name] for name in NAMES]], np.float32)
    decided = decision_of(float(MODEL.inplace_predict(row)[0]), values)
    answer = json.dumps({"decision_id": str(uuid.uuid4()), **decided})
    bought = body["transaction"]
    stored = (bought["transaction_id"], bought["customer_id"], decided["score"], decided["decision"], answer)
    await app.state.pool.execute(ROW, *stored)
    return Response(answer, media_type="application/json")
