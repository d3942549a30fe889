"""Releases, events and records for tests of the request path; a test states only what matters to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import xgboost as xgb

from fradect.errors import FradectError
from fradect.features.contract import Contract
from fradect.features.held import Held, append, records
from fradect.features.layout import Layout
from fradect.features.live import Snapshot
from fradect.judgement import Loaded, load
from fradect.modules import contract_of, module_of
from fradect.policy import Policy
from fradect.ports import Arrival, Arriving, Asked, Errand, Record, Stored
from fradect.release import Release
from fradect.scoring import Calibrator, feature_types
from fradect.settings import PROJECT
from fradect.types import Action, Decision, Event, Value, Vector

NOON = 1_700_049_600_000_000  # 2023-11-15, 12:00 UTC
RULEBOOK = (PROJECT / "rulebooks" / "ecommerce.json").read_bytes()
MODULE = module_of("ecommerce")


def by_name(vector: Vector) -> dict[str, float]:
    return dict(zip(vector.names, vector.values, strict=True))


@lru_cache
def toy_release(contract: str = "ecommerce/standard", review: int = 300, decline: int = 700) -> Release:
    """A small real model: fraud is likelier with many purchases of the customer in a day."""
    features = contract_of(contract)
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 5, (600, len(features.names))).astype(np.float64)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    for i, feature in enumerate(features):
        if feature.categories:
            rows[:, i] = rng.integers(0, len(feature.categories), 600)
    busy = features.names.index("customer_count_1d")
    label = (np.nan_to_num(rows[:, busy]) + rng.normal(0, 0.5, 600) > 2.5).astype(np.float64)
    data = xgb.DMatrix(rows, label, feature_types=feature_types(features), enable_categorical=True)
    model = xgb.train({"max_depth": 3, "base_score": 0.5, "objective": "binary:logistic", "nthread": 1}, data, 12)
    return Release(
        module="ecommerce",
        contract=features,
        model=bytes(model.save_raw("json")),
        calibrator=Calibrator(1.0, 0.0),
        rulebook=RULEBOOK,
        policy=Policy(review, decline, "RUB", MODULE.costs),
        engines={"xgboost": "test"},
    )


@lru_cache
def toy_loaded(contract: str = "ecommerce/standard") -> Loaded:
    return load(toy_release(contract))


def purchase(event_id: str = "tx1", *, at: int = NOON, tenant: str = "demo", **fields: Value) -> Event:
    held: dict[str, Value] = {
        "amount": 100_000,
        "amount_base": 100_000,
        "currency": "RUB",
        "customer_id": "c1",
        "merchant_id": "m1",
        "device_id": "d1",
        "card_token": "k1",
        "shipping_address_token": "a1",
        "payment_method": "card",
        "channel": "web",
    }
    return Event(event_id, tenant, "ecommerce", at, at, held | fields)


def body(transaction_id: str = "tx1", **transaction: Any) -> dict[str, Any]:
    """A request as a caller writes it."""
    bought = {
        "transaction_id": transaction_id,
        "amount": 1500,
        "currency": "RUB",
        "customer_id": "c1",
        "merchant_id": "m1",
        "payment_method": "card",
        "device": {"id": "d1", "ip": "192.0.2.1", "ip_country": "RU", "browser": "firefox"},
        "card": {"token": "k1", "country": "RU"},
        "shipping_address": {"country": "RU", "text": "1 Garden Street"},
        "customer": {"email": "ada@example.org", "phone": "+7 900 000 00 00", "full_name": "Ada Example"},
    }
    return {"transaction": bought | transaction, "context": {"channel": "web"}}


def vector_of(contract: Contract, default: float = 1.0, **values: float) -> Vector:
    names = contract.names
    return Vector(names, tuple(values.get(name, default) for name in names))


def record(event_id: str = "tx1", *, decision_id: str | None = None, digest: str = "d" * 64, **changes: Any) -> Record:
    event = purchase(event_id, tenant=changes.pop("tenant", "demo"))
    held: dict[str, Any] = {
        "decision_id": decision_id or f"dec_{event_id}",
        "request_id": "req_1",
        "event_id": event_id,
        "tenant_id": event.tenant_id,
        "module": event.module,
        "action": Action.REVIEW,
        "score": 640,
        "probability": 0.6,
        "factors": (),
        "release_id": "rel_0000000000000000",
        "vector": Vector(("a", "b"), (1.5, float("nan")), {"b": "no value"}),
        "seq": changes.pop("seq", None),
        "decided_at": NOON,
        "degraded": (),
        "could_not_run": (),
        "timings_us": {"total": 900},
    }
    decision = Decision(**(held | changes))
    return Record(event, decision, "transaction", digest, {"include_factors": True}, b'{"score":640}')


def alone(event: Event, seq: int, layout: Layout) -> Arrival:
    """What the live state shows of an event that nothing came before."""
    seen: dict[str, Held | None] = {entity.entity: None for entity in layout.entities}
    for entity, _, row in records(layout, event, seq):
        seen[entity.entity] = append(entity, Held(), row)
    return Arrival(seq, event.event_time, event.event_time, seen, layout.digest)


@dataclass
class MemoryState:
    """LiveState that remembers who arrived, and fails when told to."""

    error: Exception | None = None
    arrived: dict[str, int] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    layout: Layout = field(default_factory=lambda: toy_loaded().reader.layout)

    def arrive(self, event: Event) -> Arrival:
        if self.error is not None:
            raise self.error
        seq = self.arrived.setdefault(event.event_id, len(self.arrived) + 1)
        return alone(event, seq, self.layout)

    def arrive_many(self, arriving: Sequence[Arriving], /) -> list[Arrival | FradectError]:
        answers: list[Arrival | FradectError] = []
        for event, _ in arriving:
            try:
                answers.append(self.arrive(event))
            except FradectError as error:
                answers.append(error)
        return answers

    def withdraw(self, event: Event) -> None:
        self.withdrawn.append(event.event_id)


@dataclass
class MemoryLedger:
    """Ledger in a dictionary, with the same answer to a race; fails when told to."""

    find_error: Exception | None = None
    commit_error: Exception | None = None
    rows: dict[tuple[str, str, str], Record] = field(default_factory=dict)

    def find(self, tenant_id: str, module: str, event_id: str) -> Stored | None:
        if self.find_error is not None:
            raise self.find_error
        found = self.rows.get((tenant_id, module, event_id))
        return None if found is None else _stored(found)

    def find_many(self, asked: Sequence[Asked]) -> list[Stored | None]:
        return [self.find(one.tenant_id, one.module, one.event_id) for one in asked]

    def commit_many(self, records: Sequence[Record]) -> list[Stored | FradectError]:
        answers: list[Stored | FradectError] = []
        for record in records:
            try:
                answers.append(self.commit(record))
            except FradectError as error:
                answers.append(error)
        return answers

    def commit(self, record: Record) -> Stored:
        if self.commit_error is not None:
            raise self.commit_error
        event = record.event
        return _stored(self.rows.setdefault((event.tenant_id, event.module, event.event_id), record))


@dataclass
class MemoryBatch:
    """Snapshots of customers, or an error."""

    error: Exception | None = None

    def errand(self, _event: Event) -> Errand | None:
        return None

    def read(self, _event: Event) -> Snapshot:
        if self.error is not None:
            raise self.error
        return Snapshot({"total_orders": 4.0, "avg_order_value": 90_000.0, "fraud_history": 0.0}, {})


def _stored(record: Record) -> Stored:
    return Stored(record.decision.decision_id, record.request_digest, record.answer, record.event.event_id)
