"""Live equals history: a stretch of the log goes through the live path, event by event, as requests would.

Every vector that comes out is held against the row that history has for the event, bit for bit; a missing value
equals a missing value and nothing else. Memory does not grow with the number of events.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from struct import Struct
from typing import NamedTuple, Protocol

from fradect.errors import Conflict
from fradect.features.contract import Contract
from fradect.features.held import Learnt
from fradect.features.layout import Layout
from fradect.features.live import Reader, Snapshot, View
from fradect.ports import Arrival
from fradect.types import DAY, Event

CONFIRM_EVERY = 256
"""Arrivals after which the state is told that they have their decision; a service does so from time to time."""

TOGETHER = 4_096
"""Arrivals that may share a commit."""

LEARN_AT_ONCE = 512
_SHOWN = 5  # events without a row, and rows without an event, that are named


class ReplayState(Protocol):
    """The live state's side: what requests, imports and reconciliation do to it."""

    def arrive(self, event: Event) -> Arrival: ...

    def reserve(self, tenant_id: str, module: str, count: int) -> int: ...

    def learn(self, outcomes: Sequence[Learnt]) -> object: ...

    def confirm(self, tenant_id: str, module: str, seq: int) -> None: ...


class Snapshots(Protocol):
    """Batch features as of an event."""

    def read(self, event: Event) -> Snapshot: ...


@dataclass(frozen=True, slots=True)
class LivePath:
    """What a request runs. `last_seq`: the highest number that the state has given before the stretch.

    `together`: around several steps, where that costs the state less than each step alone.
    """

    state: ReplayState
    reader: Reader
    batch: Snapshots
    last_seq: int
    together: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the log says, each in order of its numbers; both may be read only once.

    `events`: every event of a run of numbers, of which those with `since <= event_time < until` are compared.
    `outcomes`: from the first of these numbers on, whichever event they are about. `history`: number and row (float64,
    little-endian, in the contract's order) of the events that are compared.
    """

    events: Iterable[tuple[int, Event]]
    outcomes: Iterable[Learnt]
    history: Iterable[tuple[int, bytes]]
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Example:
    """The first event whose two values of a feature differ, with everything that the live path had before it."""

    feature: str
    seq: int
    event: Event
    view: View
    snapshot: Snapshot
    live: Mapping[str, float]
    history: Mapping[str, float]

    def __str__(self) -> str:
        mine, theirs = self.live[self.feature], self.history[self.feature]
        return f"event {self.event.event_id}: {self.feature} is {mine!r} live and {theirs!r} in history"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What was compared, and what differed. `features`: values compared of each event.

    `mismatches`: values that differ; `differing`: events with such a value. `missing`: events without a row in
    history; `extra`: rows without an event; `unmatched` names a few of both. `by_feature`: mismatches in the contract's
    order; `by_day`: events compared and mismatches by midnight (microseconds). One example a feature.
    """

    events: int
    features: int
    mismatches: int
    missing: int
    extra: int
    differing: int
    by_feature: Mapping[str, int]
    by_day: Mapping[int, tuple[int, int]]
    examples: tuple[Example, ...]
    unmatched: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Nothing replayed proves nothing."""
        return self.events > 0 and not self.mismatches and not self.missing and not self.extra

    @property
    def figures(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("events", "features", "mismatches", "missing", "extra")}


Notice = Callable[[int], None]
"""Told how many events have been played, now and then."""


def replay(live: LivePath, stretch: Stretch, notice: Notice = lambda _played: None) -> ReplayReport:
    """Conflict when the state numbers events otherwise than the log: it is not what came before the stretch."""
    with _seldom_collected():
        return _compared(live, stretch, notice)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """What is compared leaves no cycles behind: looking for them costs a twentieth of the time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _compared(live: LivePath, stretch: Stretch, notice: Notice) -> ReplayReport:
    tally = _Tally(live.reader.contract)
    history = _History(stretch.history, tally)
    pack, of_day = tally.pack, tally.of_day
    for seq, event, view in _played(live, stretch, notice):
        time = event.event_time
        if not stretch.since <= time < stretch.until:
            continue
        snapshot = live.batch.read(event)
        values = live.reader.vector(event, view, snapshot).values
        row = history.row(seq)
        if row is None:
            tally.miss(seq, event)
            continue
        of_day[time // DAY] += 1
        if pack(*values) != row:
            tally.compare(_Seen(seq, event, view, snapshot), values, row)
    history.finish()
    return tally.report()


def _played(live: LivePath, stretch: Stretch, notice: Notice) -> Iterator[tuple[int, Event, View]]:
    """Each event of the stretch as it arrives, with what the live state shows it."""
    state, given, played = live.state, live.last_seq, 0
    outcomes = _Outcomes(stretch.outcomes, live.reader.layout)
    coming = iter(stretch.events)
    while portion := list(islice(coming, TOGETHER)):
        with live.together():
            for seq, event in portion:
                told = outcomes.before(seq, event.event_time)
                if told:
                    state.learn(told)
                yield seq, event, _arrived(state, event, seq, given)
                given, played = seq, played + 1
                if not played % CONFIRM_EVERY:
                    state.confirm(event.tenant_id, event.module, seq)
        notice(played)


def _arrived(state: ReplayState, event: Event, seq: int, given: int) -> View:
    """The view of the event under its number in the log; `given`: the number before it."""
    if seq > given + 1:
        state.reserve(event.tenant_id, event.module, seq - given - 1)
    arrival = state.arrive(event)
    if arrival.seq != seq:
        raise Conflict(
            f"event {event.event_id!r} is number {seq} in the log and number {arrival.seq} in the live state: "
            "the state is not what came before it, or the log holds the event twice"
        )
    return arrival.view


class _Outcomes:
    """Handed to the state in portions, each before the first event that could see one of it."""

    def __init__(self, outcomes: Iterable[Learnt], layout: Layout) -> None:
        self._coming = iter(outcomes)
        self._next = next(self._coming, None)
        self._delay: dict[str, int] = {}
        for (kind, delay, _), _ in (source for entity in layout.entities for source in entity.sources):
            self._delay[kind] = min(delay, self._delay.get(kind, delay))
        self._waiting: list[Learnt] = []
        self._visible = 0

    def before(self, seq: int, time: int) -> Sequence[Learnt]:
        """What the state has to learn before the event of this number and time arrives."""
        while self._next is not None and (self._next.number or 0) < seq:
            self._wait(self._next)
            self._next = next(self._coming, None)
        if not self._waiting or (time < self._visible and len(self._waiting) < LEARN_AT_ONCE):
            return ()
        told, self._waiting = self._waiting, []
        return told

    def _wait(self, learnt: Learnt) -> None:
        if learnt.kind not in self._delay:
            return  # no window looks at it
        visible = max(learnt.event.event_time + self._delay[learnt.kind], learnt.known_at)
        self._visible = min(visible, self._visible) if self._waiting else visible
        self._waiting.append(learnt)


class _Seen(NamedTuple):
    """One event and what the live path read for it."""

    seq: int
    event: Event
    view: View
    snapshot: Snapshot


class _History:
    """Rows in order of numbers, beside events in the same order."""

    def __init__(self, rows: Iterable[tuple[int, bytes]], tally: "_Tally") -> None:
        self._rows = iter(rows)
        self._tally = tally
        self._next = next(self._rows, None)

    def row(self, seq: int) -> bytes | None:
        """The event's; rows of lower numbers have no event."""
        while self._next is not None and self._next[0] < seq:
            self._extra(self._next[0])
        if self._next is None or self._next[0] != seq:
            return None
        row = self._next[1]
        self._next = next(self._rows, None)
        return row

    def finish(self) -> None:
        while self._next is not None:
            self._extra(self._next[0])

    def _extra(self, seq: int) -> None:
        self._tally.extra += 1
        self._tally.name(f"history's row of number {seq} has no event")
        self._next = next(self._rows, None)


@dataclass
class _Tally:
    """What is counted while events go by; by day since 1970."""

    contract: Contract
    differing: int = 0
    missing: int = 0
    extra: int = 0
    by_feature: dict[str, int] = field(default_factory=dict)
    of_day: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    wrong_of_day: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[str, Example] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = self.contract.names
        self._row = Struct(f"<{len(self._names)}d")
        self.pack = self._row.pack
        self.by_feature = dict.fromkeys(self._names, 0)

    def miss(self, seq: int, event: Event) -> None:
        self.missing += 1
        self.name(f"event {event.event_id} (number {seq}) has no row in history")

    def compare(self, seen: _Seen, values: tuple[float, ...], row: bytes) -> None:
        """Value by value: two missing values may differ in bits that mean nothing."""
        history = self._row.unpack(row)
        wrong = [name for name, a, b in zip(self._names, values, history, strict=True) if not same(a, b)]
        self.differing += bool(wrong)
        self.wrong_of_day[seen.event.event_time // DAY] += len(wrong)
        for name in wrong:
            self.by_feature[name] += 1
            if name not in self.examples:
                both = (dict(zip(self._names, side, strict=True)) for side in (values, history))
                self.examples[name] = Example(name, *seen, *both)

    def name(self, what: str) -> None:
        if len(self.unmatched) < _SHOWN:
            self.unmatched.append(what)

    def report(self) -> ReplayReport:
        return ReplayReport(
            events=sum(self.of_day.values()),
            features=len(self._names),
            mismatches=sum(self.by_feature.values()),
            missing=self.missing,
            extra=self.extra,
            differing=self.differing,
            by_feature=self.by_feature,
            by_day={day * DAY: (self.of_day[day], self.wrong_of_day.get(day, 0)) for day in sorted(self.of_day)},
            examples=tuple(self.examples[name] for name in self._names if name in self.examples),
            unmatched=tuple(self.unmatched),
        )


_ONE = Struct("<d")


def same(one: float, other: float) -> bool:
    """The same bits, or both missing."""
    return _ONE.pack(one) == _ONE.pack(other) or (one != one and other != other)  # noqa: PLR0124
