"""The rows that one decision becomes. What is derived later, or by the database, is not in them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fradect.adapters.chain import CHAIN_FORMAT, DRAWN_FORMAT, GENESIS
from fradect.ports import DataKey, Record
from fradect.types import Action

STATUS = {Action.APPROVE: "approved", Action.REVIEW: "in_review", Action.DECLINE: "declined"}
_ABOUT = ("merchant_id", "payment_method", "channel")  # what a transaction's metadata repeats of its event

_json = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a writer's chain."""

    seq: int = 0
    hash: bytes = GENESIS


def decision_row(record: Record, writer: str, head: Head) -> dict[str, Any]:
    """Every column of the row but its own hash."""
    decision = record.decision
    return {
        "id": decision.decision_id,
        "tenant_id": decision.tenant_id,
        "module": decision.module,
        "entity_type": record.subject,
        "entity_id": decision.event_id,
        "request_id": decision.request_id,
        "request_digest": record.request_digest,
        "options": _text(record.options),
        "seq": decision.seq,
        "score": decision.score,
        "decision": decision.action.name,
        "probability": decision.probability,
        "factors": _text(decision.factors),
        "could_not_run": _text(decision.could_not_run),
        "degraded": _text(decision.degraded),
        "vector": struct.pack(f"<{len(decision.vector.values)}d", *decision.vector.values),
        "missing": _text(dict(decision.vector.missing)),
        "model_version": decision.release_id,
        "timings": _text(dict(decision.timings_us)),
        "created_at": decision.decided_at,
        "answer": record.answer,
        "writer": writer,
        "chain_seq": head.seq + 1,
        "prev_hash": head.hash,
        "signals": _text(dict(decision.signals)),
        "chain_format": CHAIN_FORMAT if decision.propensity is None else DRAWN_FORMAT,
        "propensity": decision.propensity,
    }


def transaction_row(record: Record) -> dict[str, Any]:
    event, decision = record.event, record.decision
    return {
        "tenant_id": event.tenant_id,
        "id": event.event_id,
        "customer_id": event.fields.get("customer_id"),
        "amount": event.fields["amount"],
        "currency": event.fields["currency"],
        "status": STATUS[decision.action],
        "risk_score": decision.score,
        "decision": decision.action.name,
        "created_at": event.event_time,
        "metadata": _text({name: event.fields[name] for name in _ABOUT if event.fields.get(name) is not None}),
    }


def outbox_row(record: Record) -> dict[str, Any]:
    decision = record.decision
    data = {
        "decision_id": decision.decision_id,
        "entity_type": record.subject,
        "entity_id": decision.event_id,
        "score": decision.score,
        "decision": decision.action.name,
    }
    return {
        "tenant_id": decision.tenant_id,
        "event": "risk.decision.created",
        "decision_id": decision.decision_id,
        "data": _json.encode(data),
        "created_at": decision.decided_at,
    }


def key_row(record: Record) -> dict[str, Any]:
    decision = record.decision
    return {
        "tenant_id": decision.tenant_id,
        "key": record.idempotency_key,
        "module": decision.module,
        "entity_id": decision.event_id,
        "request_digest": record.request_digest,
        "created_at": decision.decided_at,
    }


def new_keys(records: Sequence[Record]) -> dict[str, DataKey]:
    """By id those that are not stored yet: several records may be sealed under one."""
    keys = [record.data_key for record in records]
    return {key.row()["id"]: key for key in keys if key is not None and not key.is_stored}


def _text(value: Any) -> str:
    return _json.encode(value).decode()
