"""What either side looked at where a replay found two values: side by side, for a person to see which entry is wrong.

The live side is decoded from the bytes that the state showed; history's is read from the log again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.features.held import ABSENT, Held, Tile, code_of, rows_of, unpack_tiles
from fradect.features.layout import EntityLayout, Layout, Tiles
from fradect.features.past_snapshots import PastSnapshots
from fradect.features.replay import Example
from fradect.features.request import formula
from fradect.modules.declaration import FieldType
from fradect.types import Event, Value

Place = tuple[int, int]
"""An entry's time (or its tile's beginning) and number (0 for a tile)."""

Entries = dict[Place, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a side looked at; None where that side has it not."""

    what: str
    live: str | None
    history: str | None

    @property
    def differs(self) -> bool:
        return self.live != self.history


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of one example. `looked_at` says in words what a window covers; entries in order of time."""

    example: Example
    looked_at: str
    entries: tuple[Entry, ...]

    @property
    def conclusion(self) -> str:
        wrong = sum(entry.differs for entry in self.entries)
        if wrong:
            return f"{wrong} of {len(self.entries)} entries differ"
        return f"all {len(self.entries)} entries are the same: it is the arithmetic that differs, or when they counted"


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of the log with the fields asked for."""

    time: int
    seq: int
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class PastOutcome:
    event_time: int
    known_at: int
    number: int
    value: bool


class PastLog(Protocol):
    """The log, asked about one entity's past."""

    def event(self, seq: int, names: Sequence[str]) -> PastEvent | None: ...

    def events_of(self, field: str, key: str, names: Sequence[str], until: int) -> list[PastEvent]:
        """All whose field has this value, with numbers up to `until`."""
        ...

    def outcomes_of(self, field: str, key: str, kind: str, until: int) -> list[PastOutcome]:
        """Of such events, with numbers of their own up to `until`."""
        ...


def inputs_of(example: Example, contract: Contract, layout: Layout, log: PastLog, batch: PastSnapshots) -> Inputs:
    """Both sides of an example."""
    feature = contract.feature(example.feature)
    if feature.window is not None:
        entity = next(e for e in layout.entities if e.entity == feature.window.entity)
        return _of_window(example, feature.window, entity, log)
    if feature.kind is Kind.BATCH:
        return _of_snapshot(example, batch)
    if feature.kind is Kind.DERIVED:
        return _of_features(example, feature)
    return _of_fields(example, feature, log)


def moment(time: int) -> str:
    """UTC, to the microsecond where there are any."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)).isoformat(" ")[:-6]


def _of_fields(example: Example, feature: Feature, log: PastLog) -> Inputs:
    names = formula(feature).reads
    logged = log.event(example.seq, names)
    live: Mapping[str, Value] = {**example.event.fields, "event_time": moment(example.event.event_time)}
    theirs: Mapping[str, Value] = {} if logged is None else {**logged.fields, "event_time": moment(logged.time)}
    entries = [Entry(name, _told(live.get(name)), _told(theirs.get(name))) for name in (*names, "event_time")]
    return Inputs(example, "fields of the event itself", tuple(entries))


def _of_features(example: Example, feature: Feature) -> Inputs:
    event = example.event
    asked = _Asked({**event.fields, "event_time": event.event_time, **example.live})
    formula(feature).row(asked)
    entries = [Entry(name, *_both(example, name)) for name in dict.fromkeys(asked.names)]
    return Inputs(example, "other features of the event, and its fields", tuple(entries))


def _both(example: Example, name: str) -> tuple[str, str]:
    if name in example.live:
        return repr(example.live[name]), repr(example.history[name])
    value = _told(example.event.fields.get(name))
    return value, value


class _Asked(dict[str, Value]):
    """Notes which names a formula reads."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> Value:
        self.names.append(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Value = None) -> Value:  # type: ignore[override]
        self.names.append(name)
        return super().get(name, default)


def _of_snapshot(example: Example, batch: PastSnapshots) -> Inputs:
    name = example.feature
    entries = [
        Entry(f"snapshot of {moment(midnight)}, visible from {moment(visible)}", repr(values[name]), None)
        for visible, midnight, values in batch.around(example.event)
    ]
    entries.append(Entry("joined to the event", repr(example.live[name]), repr(example.history[name])))
    return Inputs(example, f"the customer's snapshots around {moment(example.event.event_time)}", tuple(entries))


def _of_window(example: Example, window: Window, entity: EntityLayout, log: PastLog) -> Inputs:
    event = example.event
    key = event.fields.get(entity.field)
    held = example.view.seen.get(entity.entity) or Held()
    words = f"{entity.entity} {key}, {_reach(window, event)}"
    if key is None:
        return Inputs(example, f"the event names no {entity.entity}", ())
    side = _Side(window, entity, event, example.seq)
    if window.outcome is not None:
        told = log.outcomes_of(entity.field, str(key), window.outcome.value, example.seq - 1)
        return Inputs(example, words, _paired(side.outcomes(held), side.past_outcomes(told), side.show))
    names = () if window.of is None else (window.of,)
    past = log.events_of(entity.field, str(key), names, example.seq)
    side.learn_texts(past)
    return Inputs(example, words, _paired(side.events(held), side.past_events(past), side.show))


def _reach(window: Window, event: Event) -> str:
    tile = f", in tiles of {timedelta(microseconds=window.resolution)}" if window.resolution else ""
    what = f"{window.outcome} outcomes" if window.outcome else "events"
    since = moment(event.event_time - window.length)
    return f"{what} after {since} up to {moment(event.event_time)}{tile}"


Rows = Iterable[tuple[int, int, int]]
"""Time, number, and the value looked at (1 where none is)."""


class _Side:
    """Reads either side's entries of one window into the same form."""

    def __init__(self, window: Window, entity: EntityLayout, event: Event, seq: int) -> None:
        self._window, self._entity, self._seq = window, entity, seq
        tile = window.resolution
        self._now = event.event_time // tile * tile if tile else event.event_time
        self._value = None if window.of is None else entity.names.index(window.of)
        self._kind = None if window.of is None else dict(entity.values)[window.of]
        self._texts: dict[int, str] = {}

    def learn_texts(self, past: Sequence[PastEvent]) -> None:
        """The state holds texts as codes; the log says what they stand for."""
        if self._kind is not None and self._kind not in (FieldType.MONEY, FieldType.PLACE):
            for event in past:
                value = event.fields[str(self._window.of)]
                self._texts[code_of(value, self._kind)] = str(value)

    def events(self, held: Held) -> Entries:
        rows = rows_of(held.fresh if self._window.resolution else held.rows, self._entity.width)
        at = None if self._value is None else 2 + self._value
        found = self._placed((row[0], row[1], 1 if at is None else row[at]) for row in rows if row[1] <= self._seq)
        for place, values in self._folded(held):
            found[place] = _merged(self._window.aggregate, found.get(place), values)
        return found

    def past_events(self, past: Sequence[PastEvent]) -> Entries:
        kind, of = self._kind, str(self._window.of)
        return self._placed((e.time, e.seq, 1 if kind is None else code_of(e.fields[of], kind)) for e in past)

    def outcomes(self, held: Held) -> Entries:
        window = self._window
        source = [s for s, _ in self._entity.sources].index((str(window.outcome), window.delay, window.resolution))
        raw = (row for row in rows_of(held.outcomes, 4) if row[2] == source and row[1] < self._seq)
        found = self._placed((at, number, value) for at, number, _, value in raw)
        for at, place, count, total in rows_of(held.matured, 4):
            if place == source and self._is_inside(at):
                found[at, 0] = _merged(Aggregate.SHARE, found.get((at, 0)), (count, total))
        return found

    def past_outcomes(self, told: Sequence[PastOutcome]) -> Entries:
        tile, delay = self._window.resolution or 1, self._window.delay
        return self._placed(
            (-(-max(o.event_time + delay, o.known_at) // tile) * tile, o.number, int(o.value)) for o in told
        )

    def show(self, values: tuple[int, ...]) -> str:
        aggregate, tiled = self._window.aggregate, bool(self._window.resolution)
        if self._window.outcome is not None:
            return f"{values[1]} of {values[0]} true" if tiled else str(bool(values[0])).lower()
        if self._kind is None:
            return f"{values[0]} events" if tiled else "an event"
        if aggregate is Aggregate.DISTINCT and tiled:
            return ", ".join(map(self._word, values)) or "none known"
        if aggregate in (Aggregate.SUM, Aggregate.MEAN) and tiled:
            return f"{values[1]} in {values[0]} events"
        return self._word(values[0])

    def _word(self, code: int) -> str:
        if code == ABSENT and self._kind is not FieldType.MONEY:
            return "absent"
        return self._texts.get(code, f"code {code}") if self._texts else str(code)

    def _is_inside(self, time: int) -> bool:
        return self._now - self._window.length < time <= self._now

    def _placed(self, rows: Rows) -> Entries:
        """Entries inside the window; tiled ones added up by tile."""
        tile = self._window.resolution
        aggregate = Aggregate.SHARE if self._window.outcome is not None else self._window.aggregate
        found: Entries = {}
        for time, seq, value in rows:
            at = time // tile * tile if tile else time
            if not self._is_inside(at):
                continue
            if tile:
                found[at, 0] = _merged(aggregate, found.get((at, 0)), _single(aggregate, value))
            else:
                found[at, seq] = (value,)
        return found

    def _folded(self, held: Held) -> Iterator[tuple[Place, tuple[int, ...]]]:
        """What is kept of the window's tiles, in the form of `_single`."""
        value = -1 if self._value is None else self._value
        for tiles, (folded, codes) in zip(self._entity.tiles, unpack_tiles(self._entity, held.tiles), strict=True):
            if tiles.resolution == self._window.resolution:
                for at, tile in folded.items():
                    if self._is_inside(at):
                        yield (at, 0), _of_tile(self._window.aggregate, tiles, tile, value, codes.get((at, value), []))


def _single(aggregate: Aggregate, value: int) -> tuple[int, ...]:
    if aggregate in (Aggregate.SUM, Aggregate.MEAN, Aggregate.SHARE):
        return (1, value)
    if aggregate is Aggregate.DISTINCT:
        return () if value == ABSENT else (value,)
    return (value,) if aggregate in (Aggregate.MAX, Aggregate.MIN) else (1,)


def _of_tile(aggregate: Aggregate, tiles: Tiles, tile: Tile, value: int, codes: Sequence[int]) -> tuple[int, ...]:
    match aggregate:
        case Aggregate.SUM | Aggregate.MEAN:
            return (tile.count, tile.sums[tiles.sums.index(value)])
        case Aggregate.DISTINCT:
            return tuple(codes)
        case Aggregate.MAX:
            return (tile.highest[tiles.highest.index(value)],)
        case Aggregate.MIN:
            return (tile.lowest[tiles.lowest.index(value)],)
        case _:
            return (tile.count,)


def _merged(aggregate: Aggregate, one: tuple[int, ...] | None, other: tuple[int, ...]) -> tuple[int, ...]:
    if one is None:
        return other
    match aggregate:
        case Aggregate.DISTINCT:
            return tuple(sorted({*one, *other}))
        case Aggregate.MAX:
            return max(one, other)
        case Aggregate.MIN:
            return min(one, other)
        case _:
            return tuple(map(int.__add__, one, other))


def _paired(live: Entries, history: Entries, show: Callable[[tuple[int, ...]], str]) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            moment(place[0]) + (f", number {place[1]}" if place[1] else ""),
            show(live[place]) if place in live else None,
            show(history[place]) if place in history else None,
        )
        for place in sorted({*live, *history})
    )


def _told(value: Value) -> str:
    return "absent" if value is None else str(value)
