"""What decisions turned out to be: told by people and systems, corrected when it was wrong, never overwritten."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from fradect.events import check_time
from fradect.faults import Fault, Reason
from fradect.reproduce import Kept


class Outcome(StrEnum):
    """What a decision turned out to be. `UNKNOWN` takes back what was told before."""

    CONFIRMED_FRAUD = "confirmed_fraud"
    FALSE_POSITIVE = "false_positive"
    UNKNOWN = "unknown"


IS_FRAUD: Mapping[str, bool] = {Outcome.CONFIRMED_FRAUD: True, Outcome.FALSE_POSITIVE: False}
"""What an outcome says of its event; nothing where it is unknown."""


@dataclass(frozen=True, slots=True)
class Telling:
    """An outcome as it is told. `known_at` (microseconds): None for now; `origin`: who tells it."""

    decision_id: str
    outcome: Outcome
    known_at: int | None
    told_at: int
    origin: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The same as it is kept."""

    outcome: str
    known_at: int
    told_at: int
    origin: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a decision stands: the outcome that was told last, and all that were told, in that order.

    `is_news`: whether the telling that was answered with this changed anything.
    """

    decision_id: str
    event_id: str
    outcome: str | None
    outcome_updated_at: int | None
    told: tuple[Told, ...]
    is_news: bool = False


class Place(NamedTuple):
    """Of a decision in the order of time."""

    created_at: int
    id: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A decision in short."""

    id: str
    module: str
    entity_type: str
    entity_id: str
    score: int
    action: str
    release_id: str
    degraded: tuple[str, ...]
    created_at: int
    outcome: str | None
    outcome_updated_at: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A decision for people and callers: the row, its answer as it left, and what became known of it."""

    kept: Kept
    answer: bytes
    standing: Standing


class Outcomes(Protocol):
    """Where outcomes of decisions are kept. Unavailable while that is away."""

    def tell(self, tenant_id: str, telling: Telling) -> Standing:
        """Durable when it returns, with its announcement. The same telling again changes nothing; NotFound when the
        tenant has no such decision."""
        ...


def moment(telling: Telling, event_time: int) -> int:
    """When it was known; a Fault where that is before the event, or in the future."""
    if telling.known_at is None:
        return max(telling.told_at, event_time)
    known_at = check_time(telling.known_at, telling.told_at)
    if known_at < event_time:
        raise Fault(Reason.KNOWN_EARLY, "give the time at which it became known, or none for now")
    return known_at
