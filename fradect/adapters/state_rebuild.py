# ruff: noqa: S608  statements are made of declared names, paths of our own and numbers
"""The live state from the log: the bytes that arrivals would have left, all confirmed and settled, made in bulk.

DuckDB reads what windows can still reach, one entity's keys at a time, a part of them where there are many; numpy
sorts, cuts and adds up (fradect/adapters/state_pack.py); the state takes it all in at once.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from fradect.adapters.duck import Duck, connect, files, quoted
from fradect.adapters.places import scratch
from fradect.adapters.state_pack import EntityTables, TextCodes, pack
from fradect.adapters.state_parts import KEPT, Filling, Mark, Progress, Rebuilt
from fradect.features.contract import MAX_LATE
from fradect.features.globe import NOWHERE
from fradect.features.held import Held, Learnt
from fradect.features.layout import EntityLayout, Layout
from fradect.modules.declaration import FieldType
from fradect.types import Event

ROWS_AT_ONCE = 2_000_000
_PAGE = 5_000


class Refillable(Protocol):
    """The live state's side of a rebuild (fradect/adapters/states.py)."""

    def refill(self, tenant_id: str, layout: Layout, filling: Filling) -> Mark: ...

    def apply(self, event: Event, seq: int | None = None) -> int: ...

    def learn(self, outcomes: list[Learnt]) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Tail:
    """What SQL has and the log may not have yet: events with their numbers, and outcomes that have theirs."""

    events: Iterable[tuple[int, Event]] = ()
    outcomes: Iterable[Learnt] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """From what to rebuild: the log's folder (`events/`, `outcomes/`), up to a number (None: all of it), and what SQL
    has beside it."""

    log: Path
    until_seq: int | None = None
    tail: Tail = Tail()
    progress: Progress = lambda _stage, _share: None


def rebuild(state: Refillable, tenant_id: str, layout: Layout, log: Path, *, until_seq: int | None = None) -> Rebuilt:
    """Replace the tenant's live state of the layout's module by what the log says: as of just after the number
    `until_seq`, if given. Unavailable, and nothing changed, while somebody else rebuilds it."""
    return rebuild_from(Sources(log, until_seq), state, tenant_id, layout)


def rebuild_from(sources: Sources, state: Refillable, tenant_id: str, layout: Layout) -> Rebuilt:
    """The same with all that sources may say."""
    started = time.perf_counter()
    with scratch(sources.log.parents[2]) as folder, connect(folder) as duck:
        work = _Work(duck, layout, sources)
        mark = state.refill(tenant_id, layout, work.filling())
        sources.progress("events of SQL", 1.0)
        applied = _apply(state, work, sources.tail)
    counted = (work.events, work.outcomes, work.keys, applied)
    return Rebuilt(*counted, max(mark.last_seq, work.highest), time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class _LogFiles:
    """Table expressions over the log's files; None where there are none."""

    events: str | None
    outcomes: str | None

    @classmethod
    def under(cls, log: Path) -> "_LogFiles":
        found = {
            kind: sorted(str(path) for path in (log / kind).glob("[!.]*.parquet")) for kind in ("events", "outcomes")
        }
        return cls(*(files(paths) if paths else None for paths in found.values()))


class _Work:
    """One rebuild: what it reads, and what it has counted so far."""

    def __init__(self, duck: Duck, layout: Layout, sources: Sources) -> None:
        self._duck = duck
        self._layout = layout
        self._log = _LogFiles.under(sources.log)
        self._until = _HIGHEST if sources.until_seq is None else sources.until_seq
        self._progress = sources.progress
        self._codes = TextCodes()
        self._number = "seq"
        self.events = self.outcomes = self.keys = self.highest = self._newest = 0

    def filling(self) -> Filling:
        """What the log holds, read as the filling is taken; nothing for a log without events."""
        last = self._ends()
        if last is None:
            return Filling(Mark(log_seq=0), (), (), ())
        reached = f"event_time > make_timestamptz({self._newest - self._layout.horizon - MAX_LATE})"
        (self.events,) = self._one(f"SELECT count(*) FROM {self._log.events} WHERE {reached} AND seq <= {self._until}")
        self._count_outcomes()
        mark = Mark(self.highest, self._newest, self.highest, last)
        return Filling(mark, self._held(), self._markers(), self._learnt())

    def _ends(self) -> int | None:
        """The highest number of an event; the newest time is remembered beside it."""
        if self._log.events is None:
            return None
        ends = f"SELECT max(seq), epoch_us(max(event_time)) FROM {self._log.events} WHERE seq <= {self._until}"
        last, newest = self._one(ends)
        if last is None:
            return None
        self.highest, self._newest = last, newest
        return int(last)

    def _count_outcomes(self) -> None:
        if self._log.outcomes is None:
            return
        columns = self._duck.execute(f"DESCRIBE SELECT * FROM {self._log.outcomes}").fetchall()
        if "number" in {str(name) for (name, *_) in columns}:
            self._number = "coalesce(number, seq)"
        counted = (
            f"SELECT count(*), max({self._number}) FROM {self._log.outcomes} WHERE {self._number} <= {self._until}"
        )
        self.outcomes, told = self._one(counted)
        self.highest = max(self.highest, told or 0)

    def _one(self, question: str) -> tuple[Any, ...]:
        return self._duck.execute(question).fetchall()[0]

    def holds(self, numbers: list[int]) -> set[int]:
        """Which of the numbers belong to an event of the log."""
        if self._log.events is None:
            return set()
        listed = ", ".join(map(str, numbers))
        found = self._duck.execute(f"SELECT seq FROM {self._log.events} WHERE seq IN ({listed})").fetchall()
        return {seq for (seq,) in found}

    def _held(self) -> Iterator[tuple[str, bytes, Held]]:
        entities = self._layout.entities
        parts = max(1, -(-self.events // ROWS_AT_ONCE))
        for i, layout in enumerate(entities):
            for part in range(parts):
                self._progress(f"keys of {layout.entity}", (i + part / parts) / len(entities))
                tables = EntityTables(self._events_of(layout, part, parts), self._outcomes_of(layout, part, parts))
                for key, held in pack(layout, tables, self._newest, self._codes):
                    self.keys += 1
                    yield layout.entity, key, held

    def _events_of(self, layout: EntityLayout, part: int, parts: int) -> pa.Table:
        reach = max([layout.exact, *(tiles.length + tiles.resolution for tiles in layout.tiles)])
        values = "".join(f", {_value(name, kind)} AS v{i}" for i, (name, kind) in enumerate(layout.values))
        key = quoted(layout.field)
        return self._duck.execute(
            f"SELECT {key} AS key, epoch_us(event_time) AS time, seq{values} FROM {self._log.events} "
            f"WHERE {key} IS NOT NULL AND seq <= {self._until} AND {reach} > 0 AND hash({key}) % {parts} = {part} "
            f"AND event_time > make_timestamptz({self._newest - reach - MAX_LATE})"
        ).to_arrow_table()

    def _outcomes_of(self, layout: EntityLayout, part: int, parts: int) -> pa.Table:
        if self._log.outcomes is None or not layout.sources:
            return _NO_OUTCOMES
        key = quoted(layout.field)
        kinds = ", ".join(sorted({f"'{kind}'" for (kind, _, _), _ in layout.sources}))
        delay = max(delay for (_, delay, _), _ in layout.sources)
        reach = max(length + tile for (_, _, tile), length in layout.sources)
        # Rounded up to a tile, an outcome may be as much later than it was known.
        oldest = self._newest - reach - MAX_LATE - max(tile for (_, _, tile), _ in layout.sources)
        return self._duck.execute(
            f"WITH o AS (SELECT seq, {self._number} AS number, kind, known_at, value FROM {self._log.outcomes} WHERE "
            f"kind IN ({kinds}) AND value IS NOT NULL AND {self._number} <= {self._until} AND (epoch_us(known_at) > "
            f"{oldest} OR epoch_us(event_time) > {oldest - delay})) SELECT e.{key} AS key, o.number, o.kind, "
            f"epoch_us(e.event_time) AS event_time, epoch_us(o.known_at) AS known_at, o.value::BIGINT AS value "
            f"FROM o JOIN {self._log.events} e ON o.seq = e.seq "
            f"WHERE e.{key} IS NOT NULL AND e.seq <= {self._until} AND hash(e.{key}) % {parts} = {part}"
        ).to_arrow_table()

    def _markers(self) -> Iterator[tuple[bytes, int, int]]:
        self._progress("who may come again", 1.0)
        asked = self._duck.execute(
            f"SELECT encode(event_id), seq, epoch_us(event_time) FROM {self._log.events} WHERE seq <= {self._until} "
            f"AND event_time > make_timestamptz({self._newest - KEPT}) ORDER BY event_id"
        )
        yield from _rows_of(asked)

    def _learnt(self) -> Iterator[tuple[str, bytes, int, int]]:
        if self._log.outcomes is None:
            return
        asked = self._duck.execute(
            f"SELECT kind, encode(event_id), greatest(epoch_us(event_time), epoch_us(known_at)) AS since, "
            f"{self._number} FROM {self._log.outcomes} WHERE {self._number} <= {self._until} "
            f"AND since > {self._newest - KEPT}"
        )
        yield from _rows_of(asked)


_HIGHEST = 2**63 - 1
_NO_OUTCOMES = pa.table({"key": pa.array([], pa.string())})


def _value(name: str, kind: FieldType) -> str:
    if kind is FieldType.MONEY:
        return f"coalesce({quoted(name)}, 0)::BIGINT"
    return f"coalesce({quoted(name)}, {NOWHERE})::BIGINT" if kind is FieldType.PLACE else f"{quoted(name)}::VARCHAR"


def _rows_of(asked: Duck) -> Iterator[tuple[Any, ...]]:
    while page := asked.fetchmany(_PAGE):
        yield from page


def _apply(state: Refillable, work: _Work, tail: Tail) -> int:
    """Take in what the log has not."""
    applied, coming = 0, iter(tail.events)
    while page := list(islice(coming, _PAGE)):
        held = work.holds([seq for seq, _ in page])
        for seq, event in page:
            if seq not in held:
                work.highest = max(work.highest, state.apply(event, seq))
                applied += 1
    outcomes = iter(tail.outcomes)
    while told := list(islice(outcomes, _PAGE)):
        state.learn(told)
    return applied
