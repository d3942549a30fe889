"""Telling others of decisions: who is told, each telling, and when it is tried again.

A message is one thing that happened; a delivery is one message to one endpoint. Deliveries are made at least once and
in no promised order: a message keeps its id, by which a receiver knows it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from fradect.types import DAY, SECOND

CREATED = "risk.decision.created"
UPDATED = "risk.decision.updated"
EVENTS = (CREATED, UPDATED)
"""What an endpoint can be told of."""
TEST = "webhook.test"
"""What any endpoint is told when its owner asks for it."""

RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after each failed try the next one is made, as Standard Webhooks has it: ten tries within three days."""
_JITTER = 0.2
_LONGEST_WAIT = 86_400
FAILING_DAYS = 5
"""An endpoint at which every try failed for so long is told nothing more."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class State(StrEnum):
    """Of a delivery. Dead: no try is left, or the endpoint was disabled; it can be replayed."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class Why(StrEnum):
    """Why an endpoint is disabled: its owner said so, it answered 410, or nothing else worked for days."""

    CALLER = "caller"
    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told, without its secrets. Times are microseconds."""

    id: str
    tenant_id: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: int
    old_secret_until: int | None = None
    disabled_at: int | None = None
    disabled_why: Why | None = None
    failing_since: int | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one endpoint, and how its last try went. `due_at`: when the next one is made at the earliest."""

    id: str
    message_id: str
    event: str
    state: State
    attempts: int
    due_at: int
    created_at: int
    tried_at: int | None
    finished_at: int | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Which deliveries of an endpoint are wanted: the newest first, those before an id, at most so many."""

    most: int
    state: State | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a try: the receiver's status, or in a word why there is none. `retry_after` is in seconds."""

    status: int | None = None
    error: str | None = None
    retry_after: int | None = None

    @property
    def is_delivered(self) -> bool:
        return self.error is None and self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        return self.status == 410


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a delivery after a try; `due_at` where it waits for another."""

    state: State
    due_at: int


def fate(attempt: Attempt, attempts: int, now: int, drawn: float) -> Fate:
    """`attempts`: how many were made, this one too. `drawn`: from 0 to 1, spreads what failed together over time."""
    if attempt.is_delivered:
        return Fate(State.DELIVERED, now)
    if attempt.is_gone or attempts > len(RETRY_SECONDS):
        return Fate(State.DEAD, now)
    wait = RETRY_SECONDS[attempts - 1] * (1 + _JITTER * drawn)
    asked = min(attempt.retry_after or 0, _LONGEST_WAIT)
    return Fate(State.WAITING, now + int(max(wait, asked) * SECOND))


def has_failed_long(failing_since: int | None, now: int) -> bool:
    return failing_since is not None and now - failing_since >= FAILING_DAYS * DAY


class _Message(msgspec.Struct, frozen=True):
    event: str
    data: Any
    timestamp: str


def message(event: str, data: bytes | Mapping[str, Any], at: int) -> bytes:
    """The body of a message; `data` as JSON, or what becomes JSON."""
    held = msgspec.Raw(data) if isinstance(data, bytes) else data
    return msgspec.json.encode(_Message(event, held, written(at)))


def written(micros: int) -> str:
    """RFC 3339, in UTC."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
