"""Every event in SQL, wherever it came from: decided by the service (the ledger) or taken from a stream (shared)."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import open_database, sqlite_path
from fradect.adapters.prepared import Lookup
from fradect.adapters.tables import events, outcomes, stream_events
from fradect.errors import Unavailable
from fradect.types import Event

_NAMED = 512  # keys in one statement
_NUMBERED = 500  # whoever reads them lets others in between pages
_ROWS = 5_000


def _numbers(table: sa.Table) -> sa.Select[tuple[Any, ...]]:
    c = table.c
    mine = (c.tenant_id == sa.bindparam("tenant_id"), c.module == sa.bindparam("module"), c.seq > sa.bindparam("last"))
    return sa.select(c.seq, c.event_id).where(*mine).order_by(c.seq).limit(_NUMBERED)


def _named(columns: str, table: sa.Table) -> str:
    """For a Lookup."""
    return f"SELECT {columns} FROM wanted JOIN {table.name} USING ({', '.join(_KEY)})"  # noqa: S608  names of ours


_KEY = ("tenant_id", "module", "event_id")
_TABLES = (events, stream_events)
_NUMBERS = {table.name: _numbers(table) for table in _TABLES}
_IDS = {table.name: _named("event_id", table) for table in _TABLES}
_WHOLE = {
    table.name: _named("seq, event_id, tenant_id, module, event_time, observed_at, fields", table) for table in _TABLES
}
_TOLD = f"{_named('event_id, kind', outcomes)} WHERE number IS NOT NULL"


class Numbered(NamedTuple):
    """An event with its number and the table it is in."""

    seq: int
    event: Event
    source: str


class SqlEvents:
    """Reads of both tables, bound to a tenant and a module each time. The ledger is only ever read.

    The side of a Reconciler that says what is stored, but for events without a number, which only the service has.
    """

    def __init__(self, ledger_url: str, shared: sa.Engine) -> None:
        self._ledger_url = ledger_url
        self._shared = shared
        self._ledger: sa.Engine | None = None
        self._lookups: dict[tuple[sa.Engine, str], Lookup] = {}

    def close(self) -> None:
        if self._ledger is not None and self._ledger is not self._shared:
            self._ledger.dispose()

    def find(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> dict[str, Numbered]:
        """Those that are stored under a number."""
        found: dict[str, Numbered] = {}
        for table, engine in self._tables():
            rows = self._named(engine, _WHOLE[table.name], tenant_id, module, event_ids)
            found |= {row.event_id: _numbered(row, table) for row in rows if row.seq is not None}
        return found

    def decided(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        """Which of the events are stored, with a number or without."""
        found: set[str] = set()
        for table, engine in self._tables():
            found |= {row[0] for row in self._named(engine, _IDS[table.name], tenant_id, module, event_ids)}
        return found

    def told(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Event and kind of their outcomes that are stored under a number."""
        return {(row[0], row[1]) for row in self._named(self._shared, _TOLD, tenant_id, module, event_ids)}

    def numbers_after(self, tenant_id: str, module: str, seq: int) -> Iterator[Sequence[tuple[int, str]]]:
        """Number and id of stored events with a higher number: pages of one table, then of the other, each in order."""
        for table, engine in self._tables():
            last = seq
            while True:
                wanted = {"tenant_id": tenant_id, "module": module, "last": last}
                page = _all(engine, _NUMBERS[table.name], wanted)
                if page:
                    yield page  # type: ignore[misc]  # rows are tuples
                    last = page[-1][0]
                if len(page) < _NUMBERED:
                    break

    def numbered(self, tenant_id: str, module: str, after: int, after_streamed: int | None) -> Iterator[Numbered]:
        """Events of the ledger after a number, and of streams after one (None: those not compacted yet), in order."""
        streams = []
        for table, engine in self._tables():
            wanted = _columns(table, tenant_id, module).where(table.c.seq.is_not(None))
            if table is stream_events and after_streamed is None:
                wanted = wanted.where(stream_events.c.compacted.is_(False))
            else:
                wanted = wanted.where(table.c.seq > (after if table is events else after_streamed))
            streams.append(_in_order(engine, wanted.order_by(table.c.seq), table))
        return heapq.merge(*streams, key=lambda found: found.seq)

    def highest(self, tenant_id: str, module: str) -> int:
        """The highest number that an event or an outcome is stored under."""
        columns = [(table.c.seq, table, engine) for table, engine in self._tables()]
        columns.append((outcomes.c.number, outcomes, self._shared))
        highest = 0
        for column, table, engine in columns:
            wanted = sa.select(sa.func.max(column).label("highest")).where(
                table.c.tenant_id == tenant_id, table.c.module == module
            )
            highest = max(highest, _all(engine, wanted)[0].highest or 0)
        return highest

    def unplaced(self, _tenant_id: str, _module: str) -> list[Event]:
        return []

    def place(self, event: Event, seq: int) -> None:
        raise AssertionError(f"{event.event_id!r} has a number already, not {seq}")

    def _named(
        self, engine: sa.Engine, select: str, tenant_id: str, module: str, event_ids: Sequence[str]
    ) -> Iterator[sa.Row[tuple[Any, ...]]]:
        """A page at a time, each its own short transaction."""
        lookup = self._lookups.get((engine, select))
        if lookup is None:
            lookup = self._lookups[engine, select] = Lookup(_KEY, select, engine.dialect)
        for start in range(0, len(event_ids), _NAMED):
            keys = [(tenant_id, module, event_id) for event_id in event_ids[start : start + _NAMED]]
            with _answering(), engine.connect() as connection:
                rows = lookup.run(connection, keys)
            yield from rows

    def _tables(self) -> Iterator[tuple[sa.Table, sa.Engine]]:
        yield stream_events, self._shared
        ledger = self._opened()
        if ledger is not None:
            yield events, ledger

    def _opened(self) -> sa.Engine | None:
        """The ledger, once the service has made it."""
        if self._ledger is None:
            engine = open_database(self._ledger_url)
            path = sqlite_path(engine)
            if path is not None and not path.exists():
                return None
            if not sa.inspect(engine).has_table(events.name):
                engine.dispose()
                return None
            self._ledger = engine
        return self._ledger


def _columns(table: sa.Table, tenant_id: str, module: str) -> sa.Select[tuple[Any, ...]]:
    c = table.c
    columns = (c.seq, c.event_id, c.tenant_id, c.module, c.event_time, c.observed_at, c.fields)
    return sa.select(*columns).where(c.tenant_id == tenant_id, c.module == module)


def _numbered(row: sa.Row[tuple[Any, ...]], table: sa.Table) -> Numbered:
    return Numbered(row.seq, event_of(row), "ledger" if table is events else "stream")


def event_of(row: sa.Row[tuple[Any, ...]]) -> Event:
    fields = msgspec.json.decode(row.fields)
    return Event(row.event_id, row.tenant_id, row.module, row.event_time, row.observed_at, fields)


def _in_order(engine: sa.Engine, statement: sa.Select[tuple[Any, ...]], table: sa.Table) -> Iterator[Numbered]:
    """A page at a time, each its own short transaction: nobody's writes wait for a reader."""
    last = None
    while True:
        page = statement.limit(_ROWS) if last is None else statement.where(table.c.seq > last).limit(_ROWS)
        rows = _all(engine, page)
        yield from (_numbered(row, table) for row in rows)
        if len(rows) < _ROWS:
            return
        last = rows[-1].seq


def _all(
    engine: sa.Engine, statement: sa.Select[tuple[Any, ...]], values: Mapping[str, object] | None = None
) -> Sequence[sa.Row[tuple[Any, ...]]]:
    with _answering(), engine.connect() as connection:
        return connection.execute(statement, values).all()


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error
