"""The live state from the canonical log: the recent part for the service, a chosen part for a replay."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fradect.adapters.state_layout import EntityTable, Layout, source_name
from fradect.adapters.state_sqlite import SqliteState
from fradect.modules.declaration import Module
from fradect.types import DAY

MARGIN = DAY  # events that come late look back from before the log's last one


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the log to hold: events later than `since`, and of these only what `keys` (by entity) name.

    Without `since`: as far back as any window of the module looks from the log's last event, and a day.
    """

    since: int | None = None
    keys: Mapping[str, Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild held, and the number from which arrivals go on."""

    events: int
    outcomes: int
    last_seq: int


def rebuild(state: SqliteState, tenant_id: str, module: Module, log: Path, part: Part = Part()) -> Rebuilt:
    """Replace the tenant's state of a module by what the log's folder (`events/`, `outcomes/`) says; atomic."""
    layout = state.layout(module.name)
    events = _dataset(log / "events")
    with state.transaction() as db:
        scope = state.scope(tenant_id, module.name)
        _clear(db, layout, scope)
        last_seq, newest = _ends(events)
        recent = newest - MARGIN
        since = recent - _horizon(module) if part.since is None else part.since
        visible = recent - _longest_outcome(module) if part.since is None else part.since
        _gather_outcomes(db, layout, _dataset(log / "outcomes"), visible)
        held = _insert_events(db, layout, scope, _chosen(db, layout, events, since, part.keys))
        _fill_entities(db, layout, scope, since, part.keys)
        outcomes = _fill_outcomes(db, layout, scope, part.keys)
        db.execute(
            "UPDATE scopes SET last_seq = max(last_seq, ?), log_seq = ?, confirmed_seq = ? WHERE id = ?",
            (last_seq, last_seq, last_seq, scope),
        )
    return Rebuilt(held, outcomes, last_seq)


def log_end(log: Path) -> int:
    """The highest sequence number in the log's folder, 0 when it is empty."""
    return _ends(_dataset(log / "events"))[0]


def _dataset(folder: Path) -> ds.Dataset | None:
    files = sorted(str(path) for path in folder.glob("[!.]*.parquet"))
    return ds.dataset(files, format="parquet") if files else None


def _ends(events: ds.Dataset | None) -> tuple[int, int]:
    last, newest = 0, 0
    for batch in [] if events is None else events.to_batches(columns=["seq", "event_time"]):
        if batch.num_rows:
            last = max(last, pc.max(batch.column("seq")).as_py())
            newest = max(newest, pc.max(_microseconds(batch.column("event_time"))).as_py())
    return last, newest


def _horizon(module: Module) -> int:
    return max((contract.horizon for contract in module.contracts), default=0)


def _longest_outcome(module: Module) -> int:
    windows = [window for contract in module.contracts for _, window in contract.windows]
    return max((window.length for window in windows if window.outcome is not None), default=0)


def _clear(db: sqlite3.Connection, layout: Layout, scope: int) -> None:
    names = [layout.events, *(table.name for table in layout.tables.values())]
    names += [table.outcomes for table in layout.tables.values() if table.sources]
    for name in names:
        db.execute(f"DELETE FROM {name} WHERE scope = ?", (scope,))  # noqa: S608  declared names


def _gather_outcomes(db: sqlite3.Connection, layout: Layout, outcomes: ds.Dataset | None, since: int) -> None:
    """Every outcome that some window may still see, by the number of its event."""
    db.execute("DROP TABLE IF EXISTS temp.gathered")
    db.execute(
        "CREATE TEMP TABLE gathered "
        "(seq INTEGER, source TEXT, happened INTEGER, at INTEGER, known_at INTEGER, value INTEGER)"
    )
    sources = sorted({source for table in layout.tables.values() for source in table.sources})
    if outcomes is None:
        return
    for kind, delay in sources:
        scan = outcomes.to_batches(columns=["seq", "value", "event_time", "known_at"], filter=ds.field("kind") == kind)
        for batch in scan:
            db.executemany(
                "INSERT INTO gathered VALUES (?, ?, ?, ?, ?, ?)",
                _outcome_rows(batch, source_name((kind, delay)), delay, since),
            )


def _outcome_rows(batch: pa.RecordBatch, source: str, delay: int, since: int) -> Iterator[tuple[Any, ...]]:
    happened = _microseconds(batch.column("event_time"))
    known = _microseconds(batch.column("known_at"))
    at = pc.max_element_wise(pc.add(happened, delay), known)
    value = pc.cast(batch.column("value"), pa.int64())
    columns = {"seq": batch.column("seq"), "happened": happened, "at": at, "known": known, "value": value}
    seen = pa.table(columns).filter((pc.field("at") > since) & pc.is_valid(pc.field("value")))
    rows = zip(*(seen.column(name).to_pylist() for name in columns), strict=True)
    return ((seq, source, *rest) for seq, *rest in rows)


def _chosen(
    db: sqlite3.Connection,
    layout: Layout,
    events: ds.Dataset | None,
    since: int,
    keys: Mapping[str, Sequence[str]] | None,
) -> Iterator[pa.RecordBatch]:
    """The log's rows that matter: recent, or the subject of an outcome that came late; of the keys asked for."""
    if events is None:
        return
    late = pa.array(
        [seq for (seq,) in db.execute("SELECT DISTINCT seq FROM gathered WHERE happened <= ?", (since,))], pa.int64()
    )
    moment = pa.scalar(since, pa.timestamp("us", "UTC"))
    wanted = (ds.field("event_time") > moment) | ds.field("seq").isin(late)
    if keys is not None:
        named = [ds.field(layout.tables[e].field).isin(pa.array(list(k), pa.string())) for e, k in keys.items()]
        anyone = named[0]
        for another in named[1:]:
            anyone = anyone | another
        wanted = wanted & anyone
    columns = ["seq", "event_id", "event_time", *layout.columns]
    yield from events.to_batches(columns=columns, filter=wanted)


def _insert_events(db: sqlite3.Connection, layout: Layout, scope: int, batches: Iterator[pa.RecordBatch]) -> int:
    held = 0
    for batch in batches:
        held += batch.num_rows
        times = _microseconds(batch.column("event_time")).to_pylist()
        cells = [_cells(batch.column(name), name in layout.money) for name in layout.columns]
        scopes = [scope] * batch.num_rows
        seqs, ids = batch.column("seq").to_pylist(), batch.column("event_id").to_pylist()
        db.executemany(layout.insert, zip(scopes, seqs, ids, times, *cells, strict=True))
    return held


def _cells(column: pa.Array, money: bool) -> list[Any]:
    cells: list[Any] = (pc.fill_null(column, 0) if money else column).to_pylist()
    return cells


def _fill_entities(
    db: sqlite3.Connection, layout: Layout, scope: int, since: int, keys: Mapping[str, Sequence[str]] | None
) -> None:
    for table in layout.tables.values():
        columns = ", ".join((table.field, "time", "seq", *table.values))
        db.execute(
            f"INSERT INTO {table.name} SELECT scope, {columns} FROM {layout.events} "  # noqa: S608  declared names
            f"WHERE scope = ? AND time > ? AND {_among(db, table, keys)} ORDER BY {table.field}, time, seq",
            (scope, since),
        )


def _fill_outcomes(db: sqlite3.Connection, layout: Layout, scope: int, keys: Mapping[str, Sequence[str]] | None) -> int:
    filled = 0
    for table in layout.tables.values():
        if table.sources:
            names = ", ".join(f"'{source_name(source)}'" for source in table.sources)
            order = f"{table.field}, source, at, g.seq"
            filled += db.execute(
                f"INSERT OR REPLACE INTO {table.outcomes} "  # noqa: S608  declared names
                f"SELECT e.scope, e.{table.field}, g.source, g.at, g.seq, g.known_at, g.value FROM gathered g "
                f"JOIN {layout.events} e ON e.scope = ? AND e.seq = g.seq "
                f"WHERE g.source IN ({names}) AND {_among(db, table, keys)} ORDER BY {order}",
                (scope,),
            ).rowcount
    return filled


def _among(db: sqlite3.Connection, table: EntityTable, keys: Mapping[str, Sequence[str]] | None) -> str:
    """A condition on the table's key: named at all, and one of the keys asked for."""
    if keys is None:
        return f"{table.field} IS NOT NULL"
    chosen = f"chosen_{table.entity}"
    db.execute(f"CREATE TEMP TABLE IF NOT EXISTS {chosen} (key TEXT PRIMARY KEY)")
    db.execute(f"DELETE FROM {chosen}")  # noqa: S608  declared name
    db.executemany(f"INSERT OR IGNORE INTO {chosen} VALUES (?)", [(k,) for k in keys.get(table.entity, ())])  # noqa: S608
    return f"{table.field} IN (SELECT key FROM {chosen})"  # noqa: S608


def _microseconds(column: pa.Array) -> pa.Array:
    return pc.cast(column, pa.int64())
