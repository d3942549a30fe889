"""What ingestion from a stream needs from the outside, and the values that pass between its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from fradect.errors import Conflict
from fradect.intake import Reject
from fradect.types import Event, OutcomeKind

Part = tuple[str, int]
"""A topic's partition; of a folder, a file's digest and 0."""


class Fenced(Conflict):
    """Another consumer has taken this part of the stream over: nothing was written, what is in hand is dropped."""


class Kind(StrEnum):
    EVENTS = "events"
    OUTCOMES = "outcomes"


class Place(NamedTuple):
    """Where a row stands: the offset of a message, or of a row in its file, 0 for the first."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Message(NamedTuple):
    """A message as it came, so that it can be passed on as it came."""

    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows of one kind in the order they came, JSON messages or columns; `fault`: why none of them can be taken."""

    kind: Kind
    places: Sequence[Place]
    rows: Sequence[Message] | pa.RecordBatch
    fault: Reject | None = None

    def chosen(self, at: Sequence[int]) -> Portion:
        if isinstance(self.rows, pa.RecordBatch):
            rows = self.rows.take(pa.array(at, pa.int64()))
        else:
            rows = [self.rows[i] for i in at] if self.rows else []
        return Portion(self.kind, [self.places[i] for i in at], rows, self.fault)

    def message(self, at: int) -> Message | None:
        return None if isinstance(self.rows, pa.RecordBatch) or not self.rows else self.rows[at]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source hands over at once. `starts`: positions before it, None for a part that has none yet;
    `ends`: positions once all of it is taken."""

    portions: tuple[Portion, ...]
    starts: Mapping[Part, int | None]
    ends: Mapping[Part, int]

    @property
    def size(self) -> int:
        return sum(len(portion.places) for portion in self.portions)

    def halves(self) -> tuple[Delivery, Delivery]:
        """The same rows in two deliveries, to be taken one after the other."""
        middle, before = self.size // 2, 0
        first: list[Portion] = []
        second: list[Portion] = []
        for portion in self.portions:
            cut = int(np.clip(middle - before, 0, len(portion.places)))
            first += [portion.chosen(range(cut))] if cut else []
            second += [portion.chosen(range(cut, len(portion.places)))] if cut < len(portion.places) else []
            before += len(portion.places)
        ends = self._ends_before(second)
        return Delivery(tuple(first), self.starts, ends), Delivery(tuple(second), ends, self.ends)

    def _ends_before(self, rest: Iterable[Portion]) -> dict[Part, int]:
        ends = dict(self.ends)
        for place in (place for portion in rest for place in portion.places):
            part = place.topic, place.partition
            ends[part] = min(ends[part], place.offset)
        return ends


class Source(Protocol):
    """Where rows come from. What was delivered counts as taken when the next is asked for."""

    def poll(self, seconds: float) -> Delivery | None:
        """The next rows, waiting so long for some at most."""
        ...

    def rest(self, seconds: float) -> None:
        """Wait without losing what is in hand; Fenced when it was lost all the same."""
        ...

    def recover(self) -> None:
        """Forget what was delivered and start from the stored positions again."""
        ...

    @property
    def is_caught_up(self) -> bool: ...

    def lag(self) -> Mapping[Part, int]:
        """Rows that are waiting, by part."""
        ...

    def close(self) -> None: ...


class Letter(NamedTuple):
    """A row that cannot be taken, for whoever looks into it."""

    place: Place
    reject: Reject
    message: Message | None
    attempts: int
    first_seen: int


class DeadLetters(Protocol):
    """Where rows go that cannot be taken."""

    def bury(self, letters: Sequence[Letter]) -> None:
        """Durable when it returns; Unavailable when it cannot be. The same letter may come twice."""
        ...


@dataclass(frozen=True, slots=True)
class Learnt:
    """What became known of an event, under the number that says which later events see it; None until it has one."""

    event: Event
    seq: int
    kind: OutcomeKind
    value: bool
    known_at: int
    number: int | None = None


class State(Protocol):
    """The live state as a stream feeds it."""

    def apply_many(self, events: Sequence[Event]) -> Sequence[int]:
        """Their numbers; each event's step is atomic, and idempotent by its id."""
        ...

    def learn(self, outcomes: Sequence[Learnt]) -> Sequence[int]:
        """Their numbers, which those without one get in the same atomic step; idempotent by event id and kind. Told
        under their numbers, they are stored, and stay."""
        ...

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None:
        """Undo an event's arrival, or an outcome's by its `kind`; what is stored stays."""
        ...


class Known(NamedTuple):
    """An event that has its number; `is_streamed` when it came by a stream, and can be compared."""

    seq: int
    event: Event
    is_streamed: bool


class Saying(NamedTuple):
    """An outcome as it was said, and where."""

    event_id: str
    kind: OutcomeKind
    value: bool
    known_at: int
    origin: str


class Heard(NamedTuple):
    """What an outcome was said to be, and whether it still waits for its event."""

    value: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """What one transaction writes: events and outcomes with their numbers, outcomes whose event is not known yet,
    and how far the stream has been taken with that."""

    events: Sequence[tuple[int, Event, str]] = ()
    learnt: Sequence[tuple[Learnt, str]] = ()
    waiting: Sequence[Saying] = ()
    starts: Mapping[Part, int | None] = field(default_factory=dict)
    ends: Mapping[Part, int] = field(default_factory=dict)


class Store(Protocol):
    """The truth in SQL, bound to one tenant, module and source. Unavailable while the database is away."""

    def known(self, event_ids: Sequence[str]) -> dict[str, Known]:
        """Those that have a number already, wherever they came from."""
        ...

    def said(self, event_ids: Sequence[str]) -> dict[tuple[str, OutcomeKind], Heard]:
        """Every outcome of these events, of two the one that does not wait."""
        ...

    def waiting(self, event_ids: Sequence[str]) -> list[Saying]:
        """Outcomes of these events that wait for them."""
        ...

    def any_waiting(self, after: str, most: int) -> list[Saying]:
        """Waiting outcomes in order of event id, from the one after this."""
        ...

    def save(self, settled: Settled) -> None:
        """All or nothing; Fenced when a position is not what `starts` says."""
        ...

    def count_waiting(self) -> int: ...

    def drop_waiting(self, sayings: Sequence[Saying]) -> None: ...

    def unlearnt(self) -> list[Learnt]:
        """Saved outcomes of which the live state may not know that they are."""
        ...

    def mark_learnt(self, outcomes: Sequence[Learnt]) -> None: ...

    def tried(self, places: Sequence[Place], now: int) -> dict[Place, tuple[int, int]]:
        """Count one more failed attempt of each: how many now, and when the first was."""
        ...
