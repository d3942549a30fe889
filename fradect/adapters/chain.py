"""The hash chain over decisions: each row's hash covers the row before it and every stored byte of its own."""

import hashlib
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import msgspec

GENESIS = bytes(32)
CHAIN_FORMAT, DRAWN_FORMAT = 2, 3  # of rows written from now on, and of those with a propensity; each row says its own

# What a link covers, in this order for ever; the outcome, which comes later, stands outside.
EVENT_COLUMNS = ("tenant_id", "module", "event_id", "event_time", "observed_at", "fields")
DECISION_COLUMNS = (
    "id",
    "tenant_id",
    "module",
    "entity_type",
    "entity_id",
    "request_id",
    "request_digest",
    "options",
    "seq",
    "score",
    "decision",
    "probability",
    "factors",
    "could_not_run",
    "degraded",
    "vector",
    "missing",
    "model_version",
    "timings",
    "created_at",
    "answer",
    "writer",
    "chain_seq",
)
_ADDED = {
    1: (),
    CHAIN_FORMAT: ("signals", "chain_format"),
    DRAWN_FORMAT: ("signals", "chain_format", "propensity"),
}

_ENCODER = msgspec.msgpack.Encoder()
_of_event = itemgetter(*EVENT_COLUMNS)
_of_decision = {format_: itemgetter(*DECISION_COLUMNS, *added) for format_, added in _ADDED.items()}

CHECKPOINT_COLUMNS = ("number", "day", "writer", "chain_seq", "row_hash")


def columns_of(chain_format: int) -> tuple[str, ...]:
    """What a row's hash covers, the event's columns first."""
    return (*EVENT_COLUMNS, *DECISION_COLUMNS, *_ADDED[chain_format])


def link(previous: bytes, event: Mapping[str, Any], decision: Mapping[str, Any]) -> bytes:
    """SHA-256 over the previous hash and the MessagePack array of what the row's format covers, as stored."""
    covered = (*_of_event(event), *_of_decision[decision["chain_format"]](decision))
    return hashlib.sha256(previous + _ENCODER.encode(covered)).digest()


def checkpoint_link(previous: bytes, checkpoint: Mapping[str, Any]) -> bytes:
    """The same for a checkpoint, whose chain runs over all writers."""
    return hashlib.sha256(previous + _ENCODER.encode([checkpoint[name] for name in CHECKPOINT_COLUMNS])).digest()
