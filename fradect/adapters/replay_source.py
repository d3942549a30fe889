# ruff: noqa: S608  every name in a statement comes from a module's declaration, every path from Places
"""What a replay reads from disk: the log's events and outcomes in order of numbers, history's rows, snapshots.

In portions of numbers, so that memory does not grow with the log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files, quoted
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.errors import NotFound
from fradect.features.contract import Contract, Kind
from fradect.features.held import Learnt
from fradect.features.layout import Layout
from fradect.features.past_snapshots import PastSnapshots, SnapshotRows
from fradect.features.replay import Stretch
from fradect.features.replay_inputs import PastEvent, PastOutcome
from fradect.features.request import fields_read
from fradect.modules.declaration import FieldType, Module
from fradect.types import DAY, Event

PORTION = 50_000
STRAGGLING = 0.01

Span = tuple[int, int]
"""The first and the last of some numbers."""


@dataclass(frozen=True, slots=True)
class Between:
    """Events with `since <= event_time < until`, and the run of numbers from the first to the last of them."""

    since: int
    until: int
    first: int
    last: int
    events: int


class ReplaySource:
    """The log of one tenant's module, as events that are to arrive under `tenant_id` (its own, or a scratch one)."""

    def __init__(self, places: Places, module: Module, contract: Contract, layout: Layout, tenant_id: str) -> None:
        self._places, self._module, self._contract = places, module, contract
        self._layout, self._tenant = layout, tenant_id
        customer = module.entities.get("customer")
        read = {*layout.columns, *fields_read(contract), *([customer] if customer else [])}
        self._fields = tuple(name for name in module.columns if name in read)
        self._keys = tuple(sorted({entity.field for entity in layout.entities}))

    def bounds(self) -> tuple[int, int]:
        """The times of the log's earliest and latest event."""
        low, high = self._one("epoch_us(min(event_time)), epoch_us(max(event_time))", "true")
        if low is None:
            raise NotFound(f"no events under {self._places.log}: import or simulate some first")
        return int(low), int(high)

    def begins(self) -> int:
        """The midnight of the day by which a hundredth of the events has happened: old stragglers decide nothing."""
        days = (
            f"SELECT epoch_us(event_time) // {DAY} AS day, count(*) AS events FROM {files(self._places.events())} "
            "GROUP BY day"
        )
        sofar = f"SELECT day, sum(events) OVER (ORDER BY day) / sum(events) OVER () AS share FROM ({days})"
        with connect(self._places.home) as duck:
            (day,) = duck.execute(f"SELECT min(day) FROM ({sofar}) WHERE share >= {STRAGGLING}").fetchall()[0]
        return int(day) * DAY

    def between(self, since: int, until: int) -> Between:
        """NotFound when no event is there."""
        condition = f"epoch_us(event_time) >= {since} AND epoch_us(event_time) < {until}"
        first, last, events = self._one("min(seq), max(seq), count(*)", condition)
        if not events:
            raise NotFound(f"no event under {self._places.log} lies between the moments asked for: choose others")
        return Between(since, until, int(first), int(last), int(events))

    def shortened(self, between: Between, events: int, part: float) -> Between:
        """A run of about so many of the events, beginning at a share (0 to 1) of the places where it could."""
        if between.events <= events:
            return between
        skipped = int(part * (between.events - events + 1))
        condition = f"epoch_us(event_time) >= {between.since} AND epoch_us(event_time) < {between.until}"
        with connect(self._places.home) as duck:
            numbers = f"SELECT seq FROM {files(self._places.events())} WHERE {condition} ORDER BY seq"
            some = f"SELECT min(seq), max(seq) FROM ({numbers} LIMIT {events} OFFSET {skipped})"
            first, last = duck.execute(some).fetchall()[0]
        return Between(between.since, between.until, int(first), int(last), events)

    def stretch(self, between: Between) -> Stretch:
        """To be read once."""
        return Stretch(
            self._events(between), self._outcomes(between), self._history(between), between.since, between.until
        )

    def snapshots(self, *, is_pseudonymous: bool = False) -> PastSnapshots:
        """Every customer's; NotFound where the contract has batch features and nobody built them. For events as the
        log has them; `is_pseudonymous`: for events that name customers as training sets do."""
        names = [feature.name for feature in self._contract.of_kind(Kind.BATCH)]
        path = self._places.snapshots(self._contract)
        if names and not path.is_file():
            raise NotFound(f"no snapshots at {path}: run the materialise stage first")
        named = Pseudonyms(self._places).of if names and not is_pseudonymous else str
        return PastSnapshots(self._module, self._contract, _snapshot_rows(path if names else None, names), named)

    def event(self, seq: int, names: Sequence[str]) -> PastEvent | None:
        """Of the port PastLog, as the two after it."""
        found = self._past(names, "seq = ?", [seq])
        return found[0] if found else None

    def events_of(self, field: str, key: str, names: Sequence[str], until: int) -> list[PastEvent]:
        return self._past(names, f"{quoted(field)} = ? AND seq <= ?", [key, until])

    def outcomes_of(self, field: str, key: str, kind: str, until: int) -> list[PastOutcome]:
        paths = self._places.outcomes()
        if not paths:
            return []
        number = self._number()
        query = (
            f"SELECT epoch_us(e.event_time), epoch_us(o.known_at), {number}, o.value FROM {files(paths)} o "
            f"JOIN {files(self._places.events())} e ON o.seq = e.seq WHERE e.{quoted(field)} = ? AND o.kind = ? "
            f"AND {number} <= ? AND o.value IS NOT NULL ORDER BY {number}"
        )
        with connect(self._places.home) as duck:
            return [PastOutcome(*row) for row in duck.execute(query, [key, kind, until]).fetchall()]

    def _past(self, names: Sequence[str], condition: str, values: list[str | int]) -> list[PastEvent]:
        named = "".join(f", {_plain(self._module, name)}" for name in names)
        query = f"SELECT epoch_us(event_time), seq{named} FROM {files(self._places.events())} WHERE {condition}"
        with connect(self._places.home) as duck:
            rows = duck.execute(f"{query} ORDER BY seq", values).fetchall()
        return [PastEvent(time, seq, dict(zip(names, rest, strict=True))) for time, seq, *rest in rows]

    def _one(self, what: str, condition: str) -> tuple[Any, ...]:
        query = f"SELECT {what} FROM {files(self._places.events())} WHERE {condition}"
        with connect(self._places.home) as duck:
            return tuple(duck.execute(query).fetchall()[0])

    def _number(self) -> str:
        """An outcome's own number; that of its event where files are older than such numbers."""
        query = f"DESCRIBE SELECT * FROM {files(self._places.outcomes())}"
        with connect(self._places.home) as duck:
            held = {str(name) for (name, *_) in duck.execute(query).fetchall()}
        return "coalesce(o.number, o.seq)" if "number" in held else "o.seq"

    def _events(self, between: Between) -> Iterator[tuple[int, Event]]:
        named = "".join(f", {_plain(self._module, name)} AS {quoted(name)}" for name in self._fields)
        query = (
            f"SELECT seq, event_id, epoch_us(event_time), epoch_us(observed_at){named} "
            f"FROM {files(self._places.events())} WHERE seq >= ? AND seq <= ? ORDER BY seq"
        )
        names, tenant, module = self._fields, self._tenant, self._module.name
        for seq, event_id, time, observed, *values in self._portions(query, between):
            yield seq, Event(event_id, tenant, module, time, observed, dict(zip(names, values, strict=True)))

    def _outcomes(self, between: Between) -> Iterator[Learnt]:
        """Of all kinds that windows look at; their events carry the entities' keys and nothing else."""
        kinds = sorted({kind for entity in self._layout.entities for (kind, _, _), _ in entity.sources})
        paths = self._places.outcomes()
        if not kinds or not paths:
            return
        number = self._number()
        keys = "".join(f", e.{quoted(name)}" for name in self._keys)
        wanted = ", ".join(f"'{kind}'" for kind in kinds)
        query = (
            f"SELECT {number}, o.kind, o.value, epoch_us(o.known_at), epoch_us(e.event_time), e.event_id{keys} "
            f"FROM (SELECT * FROM {files(paths)} o WHERE {number} >= ? AND {number} <= ? AND o.value IS NOT NULL "
            f"AND o.kind IN ({wanted})) o "
            f"JOIN {files(self._places.events())} e ON o.seq = e.seq ORDER BY {number}, o.kind"
        )
        for number_, kind, value, known_at, time, event_id, *values in self._portions(query, between):
            fields = dict(zip(self._keys, values, strict=True))
            event = Event(event_id, self._tenant, self._module.name, time, time, fields)
            yield Learnt(event, kind, value, known_at, number_)

    def _portions(self, query: str, between: Between) -> Iterator[tuple[Any, ...]]:
        """Rows of a query over a run of numbers, portion by portion."""
        for first in range(between.first, between.last + 1, PORTION):
            last = min(first + PORTION - 1, between.last)
            with connect(self._places.home) as duck:
                table = duck.execute(query, [first, last]).to_arrow_table()
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)

    def _history(self, between: Between) -> Iterator[tuple[int, bytes]]:
        path = self._places.training_set(self._contract)
        if not path.is_file():
            raise NotFound(f"no training set of {self._contract.name} at {path}: run the materialise stage first")
        names = list(self._contract.names)
        with pq.ParquetFile(path) as file:
            groups = [i for i in range(file.num_row_groups) if _holds(file.metadata.row_group(i), between)]
            for batch in file.iter_batches(PORTION, row_groups=groups, columns=["seq", "event_time", *names]):
                yield from _rows_of(_inside(batch, between), names)


def _plain(module: Module, name: str) -> str:
    """A column as events carry it: times in microseconds."""
    return f"epoch_us({quoted(name)})" if module.columns[name] is FieldType.TIME else quoted(name)


def _holds(group: Any, between: Between) -> bool:
    numbers = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "seq")
    known = numbers.statistics
    return known is None or (known.max >= between.first and known.min <= between.last)


def _inside(batch: pa.RecordBatch, between: Between) -> pa.RecordBatch:
    seq, time = batch["seq"], batch["event_time"].cast(pa.int64())
    tests = [
        pc.greater_equal(seq, between.first),
        pc.less_equal(seq, between.last),
        pc.greater_equal(time, between.since),
        pc.less(time, between.until),
    ]
    kept = tests[0]
    for test in tests[1:]:
        kept = pc.and_(kept, test)
    return batch.filter(kept)


def _rows_of(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    matrix = np.column_stack([batch[name].to_numpy(zero_copy_only=False) for name in names]).astype("<f8")
    matrix[np.isnan(matrix)] = np.nan  # one NaN is as good as another
    raw, width = matrix.tobytes(), 8 * len(names)
    for i, seq in enumerate(batch["seq"].to_pylist()):
        yield seq, raw[i * width : (i + 1) * width]


def _snapshot_rows(path: Path | None, names: Sequence[str]) -> SnapshotRows:
    if path is None:
        none = np.zeros(0, np.int64)
        return SnapshotRows((), none, none, none, np.zeros((0, len(names))))
    table = pq.read_table(path, columns=["customer_id", "event_timestamp", "created", *names])
    owners = table["customer_id"].combine_chunks().dictionary_encode()
    midnight, created = (table[name].cast(pa.int64()).to_numpy() for name in ("event_timestamp", "created"))
    values = np.column_stack([table[name].to_numpy() for name in names])
    codes = owners.indices.to_numpy().astype(np.int64)
    return SnapshotRows(owners.dictionary.to_pylist(), codes, midnight, created, values)
