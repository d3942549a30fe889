"""The words of the domain (see ARCHITECTURE.md) as values. Time is UTC microseconds, money is minor units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import msgspec

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Value = str | int | float | bool | None


class Action(IntEnum):
    """What to do with an event. Ordered, so that combining is `max`."""

    APPROVE = 0
    REVIEW = 1
    DECLINE = 2


class OutcomeKind(StrEnum):
    """What can become known about an event later; each is true or false from a moment on."""

    FRAUD = "fraud"
    RETURN = "return"


class Event(msgspec.Struct, frozen=True):
    """Something to be judged, as it happened.

    `event_time` is when it happened, `observed_at` when we knew. `fields` holds the module's canonical
    fields; personal ones appear only as `<name>_token` and `<name>_cipher`.
    """

    event_id: str
    tenant_id: str
    module: str
    event_time: int
    observed_at: int
    fields: Mapping[str, Value]


class Vector(msgspec.Struct, frozen=True):
    """The features of one event in contract order, NaN where missing, and why each missing one is."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    missing: Mapping[str, str] = msgspec.field(default_factory=dict)


class Factor(msgspec.Struct, frozen=True):
    """One reason for a score: `points` of the scale 0 to 1000, in words an analyst understands."""

    name: str
    points: int
    text: str
    source: str  # "model", "rule"; for no points "event", "policy"; "scale" where the score's own limits cut it
    value: Value = None


class Decision(msgspec.Struct, frozen=True):
    """An answer as it is written to the ledger, once.

    `degraded` says what it was made without; `seq` is None when that was the live state. `could_not_run`: rules
    that lacked a value. `signals`: what lists and outside sources said of the event when it was decided. `propensity`:
    by what chance a decline could be let through, where that was drawn (fradect/exploration.py).
    """

    decision_id: str
    request_id: str
    event_id: str
    tenant_id: str
    module: str
    action: Action
    score: int
    probability: float | None
    factors: tuple[Factor, ...]
    release_id: str
    vector: Vector
    seq: int | None
    decided_at: int
    degraded: tuple[str, ...]
    could_not_run: tuple[str, ...]
    timings_us: Mapping[str, int]
    signals: Mapping[str, Value] = msgspec.field(default_factory=dict)
    propensity: float | None = None

    @property
    def let_through(self) -> bool:
        """A decline, but for the draw."""
        return self.propensity is not None and self.action is Action.APPROVE

    @property
    def judged(self) -> Action:
        """What release and event alone lead to."""
        return Action.DECLINE if self.let_through else self.action


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's answer: "pass", "fail" or "not enough data", with the evidence that led to it."""

    gate: str
    result: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.result != "fail"
