"""Allow and deny lists in the shared tables: who put what on which and when; and in memory, for decisions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fradect.adapters.tables import list_entries
from fradect.errors import Unavailable
from fradect.lists import FOR_EVER, Entry, ListName, Lists, is_known
from fradect.types import Event, Value

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as the table has it, and whether it is in force; times in microseconds."""

    entry: Entry
    note: str
    added_at: int
    added_by: str
    removed_at: int | None
    removed_by: str | None

    def in_force(self, now: int) -> bool:
        return self.removed_at is None and now < self.entry.until


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a list, and when (microseconds)."""

    by: str
    at: int


_t = list_entries.c


class SqlLists:
    """The entries of all tenants. `of` is the port `Signals`, from memory; `reload` follows the table."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lists: Lists | None = None
        self._mark: tuple[Any, ...] | None = None

    def of(self, event: Event) -> Mapping[str, Value]:
        if self._lists is None:
            raise Unavailable("the lists could not be read yet; the service tries again every second")
        return self._lists.of(event)

    def reload(self) -> None:
        """Take over what changed; when the table cannot be read, what is known of it stays."""
        with self._reading() as connection:
            mark = tuple(connection.execute(_MARK).one())
            if mark == self._mark:
                return
            rows = connection.execute(sa.select(*_ENTRY).where(_t.removed_at.is_(None))).all()
        entries = [_entry(row) for row in rows]
        self._lists, self._mark = Lists(entry for entry in entries if is_known(entry)), mark
        log.info("%d entries on allow and deny lists", self._lists.size)

    def add(self, entries: Sequence[tuple[Entry, str]], change: Change) -> int:
        """Entries with their notes, all or none. One in force for the same value is replaced; how many were."""
        with self._writing() as connection:
            replaced = sum(self._take_off(connection, entry, change) for entry, _ in entries)
            connection.execute(list_entries.insert(), [_row(entry, note, change) for entry, note in entries])
        return replaced

    def remove(self, entry: Entry, change: Change) -> bool:
        """Whether it was on the list. The row stays, and says who took it off."""
        with self._writing() as connection:
            return self._take_off(connection, entry, change) > 0

    def entries(self, tenant_id: str, module: str) -> tuple[Kept, ...]:
        """Everything that ever was on the lists, the oldest first."""
        wanted = sa.select(*_ENTRY, *_KEPT).where(_t.tenant_id == tenant_id, _t.module == module).order_by(_t.id)
        with self._reading() as connection:
            rows = connection.execute(wanted).all()
        return tuple(Kept(_entry(row), *(getattr(row, column.name) for column in _KEPT)) for row in rows)

    def _take_off(self, connection: sa.Connection, entry: Entry, change: Change) -> int:
        same = list_entries.update().where(
            _t.tenant_id == entry.tenant_id,
            _t.module == entry.module,
            _t.list == entry.list.value,
            _t.kind == entry.kind,
            _t.value == entry.value,
            _t.removed_at.is_(None),
        )
        return connection.execute(same.values(removed_at=change.at, removed_by=change.by)).rowcount

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the lists could not be read: {error.orig}") from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the lists were not changed: {error.orig}") from error


_ENTRY = (_t.tenant_id, _t.module, _t.list, _t.kind, _t.value, _t.until)
_KEPT = (_t.note, _t.added_at, _t.added_by, _t.removed_at, _t.removed_by)
_MARK = sa.select(sa.func.max(_t.id), sa.func.count(_t.id), sa.func.count(_t.removed_at))
"""Rows are added and taken off, never changed otherwise, so these three tell of every change."""


def _entry(row: sa.Row[Any]) -> Entry:
    tenant_id, module, name, kind, value, until = row[: len(_ENTRY)]
    return Entry(tenant_id, module, ListName(name), kind, value, FOR_EVER if until is None else until)


def _row(entry: Entry, note: str, change: Change) -> dict[str, Any]:
    return {
        "tenant_id": entry.tenant_id,
        "module": entry.module,
        "list": entry.list.value,
        "kind": entry.kind,
        "value": entry.value,
        "until": None if entry.until == FOR_EVER else entry.until,
        "note": note,
        "added_at": change.at,
        "added_by": change.by,
    }
