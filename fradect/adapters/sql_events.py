"""Every event in SQL, wherever it came from: decided by the service (the ledger) or taken from a stream (shared)."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import open_database, sqlite_path
from fradect.adapters.tables import events, outcomes, stream_events
from fradect.errors import Unavailable
from fradect.types import Event

_MOST_NAMES = 500  # in one IN list
_ROWS = 5_000


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

    def close(self) -> None:
        if self._ledger is not None and self._ledger is not self._shared:
            self._ledger.dispose()

    def find(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> dict[str, Numbered]:
        """Those that are stored under a number."""
        found: dict[str, Numbered] = {}
        for table, engine in self._tables():
            for some in _chunks(event_ids):
                wanted = _columns(table, tenant_id, module).where(table.c.event_id.in_(some), table.c.seq.is_not(None))
                found |= {row.event_id: _numbered(row, table) for row in _all(engine, wanted)}
        return found

    def decided(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        """Which of the events are stored, with a number or without."""
        found: set[str] = set()
        for table, engine in self._tables():
            for some in _chunks(event_ids):
                wanted = sa.select(table.c.event_id).where(
                    table.c.tenant_id == tenant_id, table.c.module == module, table.c.event_id.in_(some)
                )
                found |= {row.event_id for row in _all(engine, wanted)}
        return found

    def told(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Event and kind of their outcomes that are stored under a number."""
        c = outcomes.c
        mine = sa.select(c.event_id, c.kind).where(c.tenant_id == tenant_id, c.module == module, c.number.is_not(None))
        rows = [row for some in _chunks(event_ids) for row in _all(self._shared, mine.where(c.event_id.in_(some)))]
        return {(row.event_id, row.kind) for row in rows}

    def events_after(self, tenant_id: str, module: str, seq: int) -> Iterator[tuple[int, Event]]:
        """Stored events with a higher number, in order of numbers."""
        return ((found.seq, found.event) for found in self.numbered(tenant_id, module, seq, seq))

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


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _MOST_NAMES] for start in range(0, len(names), _MOST_NAMES))


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


def _all(engine: sa.Engine, statement: sa.Select[tuple[Any, ...]]) -> Sequence[sa.Row[tuple[Any, ...]]]:
    try:
        with engine.connect() as connection:
            return connection.execute(statement).all()
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error
