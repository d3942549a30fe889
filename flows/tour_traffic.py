"""A shop on the tour: simulated purchases of some days, paid at several tills at once, and what becomes known later."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Self

import httpx
import numpy as np
import pyarrow.parquet as pq

from flows.traffic import body_of, patiently
from flows.wiring.telling import HttpTeller
from fradect.errors import Unavailable
from fradect.mapping import Mapping
from fradect.money import exponent_of, to_minor
from fradect.outcome_rows import Heard
from fradect.outcomes import Outcome
from fradect.types import SECOND, Action
from training.evaluate import Scored

_AT_ONCE = 10  # purchases of each till


@dataclass(frozen=True, slots=True)
class Purchase:
    """One to come, as a request; `fraud` is the simulator's knowledge, which nobody else has before `known_at`."""

    event_id: str
    customer: str
    body: dict[str, Any]
    amount: int
    at: int
    fraud: bool
    known_at: int


@dataclass(frozen=True, slots=True)
class Made:
    """What the service answered; `action` None: it gave no decision, and `status` says what instead."""

    purchase: Purchase
    status: int
    milliseconds: float
    decision_id: str = ""
    release: str = ""
    action: Action | None = None
    score: int = 0
    degraded: bool = False


def purchases(files: Sequence[Path], mapping: Mapping) -> list[Purchase]:
    """All of these days, in order of time."""
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    rows.sort(key=lambda row: row[mapping.event_time.column])
    return [_purchase(row, mapping) for row in rows]


def _purchase(row: dict[str, Any], mapping: Mapping) -> Purchase:
    return Purchase(
        event_id=row[mapping.event_id.column],
        customer=row["customer_id"],
        body=body_of(row, mapping),
        amount=to_minor(row["amount"], exponent_of(row["currency"])),
        at=round(row[mapping.event_time.column].timestamp() * SECOND),
        fraud=row["is_fraud"],
        known_at=round(row["label_known_at"].timestamp() * SECOND),
    )


def scored(made: Sequence[Made]) -> Scored:
    """Decisions beside the truth. The score stands for the probability, which it is but for rules."""
    decided = [(one, one.action) for one in made if one.action is not None]
    bought = [one.purchase for one, _ in decided]
    return Scored(
        probability=np.array([one.score / 1000 for one, _ in decided], np.float64),
        chosen=np.array([action for _, action in decided], np.int64),
        label=np.array([one.fraud for one in bought], np.bool_),
        amount=np.array([one.amount for one in bought], np.int64),
        time=np.array([one.at for one in bought], np.int64),
        customer=np.unique([one.customer for one in bought], return_inverse=True)[1].astype(np.int64),
    )


class Tills:
    """Several connections at once; each customer's purchases go over one of them, in order. `made`: all so far."""

    def __init__(self, url: str, key: str, many: int) -> None:
        options: dict[str, Any] = {"base_url": url, "headers": {"X-API-Key": key}, "timeout": 30, "trust_env": False}
        self._clients = [httpx.Client(**options) for _ in range(many)]
        self._pool = ThreadPoolExecutor(many)
        self.made: list[Made] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for client in self._clients:
            client.close()

    @property
    def many(self) -> int:
        return len(self._clients)

    @property
    def at_once(self) -> int:
        """So many are paid before anybody looks whether to go on."""
        return _AT_ONCE * self.many

    def pay(self, coming: Sequence[Purchase]) -> list[Made]:
        """All of them; the answers in order of the purchases."""
        lanes: list[list[Purchase]] = [[] for _ in self._clients]
        for one in coming:
            lanes[hash(one.customer) % len(lanes)].append(one)
        answered = [made for lane in self._pool.map(_pay, self._clients, lanes) for made in lane]
        answered.sort(key=lambda made: made.purchase.at)
        self.made += answered
        return answered

    @contextmanager
    def paying(self, coming: Sequence[Purchase]) -> Iterator[list[Made]]:
        """They go on coming while the block runs; the list grows by what was answered."""
        enough, answered = Event(), list[Made]()

        def go_on() -> None:
            for start in range(0, len(coming), self.at_once):
                if enough.is_set():
                    return
                answered.extend(self.pay(coming[start : start + self.at_once]))

        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(go_on)
            try:
                yield answered
            finally:
                enough.set()
        running.result()

    def tell(self, made: Sequence[Made], *, fraud_alone: bool) -> int:
        """What purchases turned out to be, of those that took place; how many were told."""
        known = [one for one in made if one.action not in (None, Action.DECLINE)]
        known = [one for one in known if one.purchase.fraud or not fraud_alone]
        lanes = [known[start :: len(self._clients)] for start in range(len(self._clients))]
        list(self._pool.map(_tell, self._clients, lanes))
        return len(known)


def _pay(client: httpx.Client, lane: Sequence[Purchase]) -> list[Made]:
    return [_made(client, one) for one in lane]


def _made(client: httpx.Client, purchase: Purchase) -> Made:
    began = time.perf_counter()
    answer = patiently(client, purchase.body)
    took = (time.perf_counter() - began) * 1000
    if answer.status_code != httpx.codes.OK:
        return Made(purchase, answer.status_code, took)
    said = answer.json()
    return Made(
        purchase,
        answer.status_code,
        took,
        said["decision_id"],
        said["release"],
        Action[said["decision"]],
        said["score"],
        bool(said["degraded"]),
    )


def _tell(client: httpx.Client, lane: Sequence[Made]) -> None:
    teller = HttpTeller(client)
    for one in lane:
        outcome = Outcome.CONFIRMED_FRAUD if one.purchase.fraud else Outcome.FALSE_POSITIVE
        fault = teller.tell(one.decision_id, Heard(one.decision_id, None, outcome, one.purchase.known_at, None))
        if fault is not None:
            raise Unavailable(f"the outcome of {one.decision_id} was refused: {fault}")
