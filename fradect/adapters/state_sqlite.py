"""Live state on SQLite: one file, one writer, and nothing in it that the log could not give back."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fradect.adapters.state_layout import EntityPlan, Layout, Source, layout_of, plan_of, source_name
from fradect.errors import Conflict
from fradect.features.contract import Contract
from fradect.features.live import Recent
from fradect.features.windows import Entries, Ints, codes
from fradect.modules.declaration import Module
from fradect.ports import Arrival
from fradect.types import Event, Value

_SCOPES = (
    "CREATE TABLE scopes (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, module TEXT NOT NULL, "
    "last_seq INTEGER NOT NULL DEFAULT 0, log_seq INTEGER NOT NULL DEFAULT 0, "
    "confirmed_seq INTEGER NOT NULL DEFAULT 0, UNIQUE (tenant_id, module))"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a tenant's state of a module has come.

    `last_seq`: the highest number given; `log_seq`: up to where it was built from the log; `confirmed_seq`: up to
    where every arrival is known to have its decision.
    """

    last_seq: int
    log_seq: int
    confirmed_seq: int


class SqliteState:
    """LiveState in one SQLite file. Safe to call from several threads, which take turns.

    A commit survives the process, not a power cut: the tail since the mark is applied again from the ledger.
    """

    def __init__(self, path: Path | str, modules: Iterable[Module]) -> None:
        self._layouts = {module.name: layout_of(module) for module in modules}
        self._plans: dict[int, tuple[Contract, tuple[EntityPlan, ...]]] = {}
        self._scopes: dict[tuple[str, str], int] = {}
        self._turn = threading.Lock()
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=2000", "cache_size=-65536"):
            self._db.execute(f"PRAGMA {pragma}")
        self._prepare()

    def close(self) -> None:
        self._db.close()

    def arrive(self, event: Event, contract: Contract) -> Arrival:
        plans = self._plans_of(contract)
        with self.transaction() as db:
            scope = self.scope(event.tenant_id, event.module)
            seq, time = self._place(db, scope, event)
            recent = _read(db, scope, plans, event, (time, seq))
        return Arrival(seq, time, recent)

    def read(self, event: Event, contract: Contract, seq: int) -> Mapping[str, Recent | None]:
        """The view that the event with this number had, or would have had; nothing is appended."""
        plans = self._plans_of(contract)
        with self._turn:
            scope = self.scope(event.tenant_id, event.module)
            return _read(self._db, scope, plans, event, (event.event_time, seq))

    def withdraw(self, event: Event) -> None:
        self.withdraw_id(event.tenant_id, event.module, event.event_id)

    def withdraw_id(self, tenant_id: str, module: str, event_id: str) -> None:
        """The same by id alone, for arrivals whose request is gone."""
        layout = self._layouts[module]
        with self.transaction() as db:
            scope = self.scope(tenant_id, module)
            found = db.execute(
                f"SELECT seq, time, {', '.join(layout.columns)} FROM {layout.events} "  # noqa: S608  declared names
                "WHERE scope = ? AND event_id = ?",
                (scope, event_id),
            ).fetchone()
            if found is not None:
                _delete(db, layout, scope, found)

    def apply(self, event: Event, seq: int | None = None) -> int:
        """Append a decided event that the state lost or never saw; its number, a new one when it has none."""
        with self.transaction() as db:
            scope = self.scope(event.tenant_id, event.module)
            return self._place(db, scope, event, seq)[0]

    def unconfirmed(self, tenant_id: str, module: str) -> list[tuple[int, str]]:
        """Number and event id of arrivals after the confirmed mark."""
        table = self._layouts[module].events
        with self._turn:
            scope = self.scope(tenant_id, module)
            return self._db.execute(
                f"SELECT seq, event_id FROM {table} "  # noqa: S608  declared name
                "WHERE scope = ? AND seq > (SELECT confirmed_seq FROM scopes WHERE id = ?) ORDER BY seq",
                (scope, scope),
            ).fetchall()

    def confirm(self, tenant_id: str, module: str, seq: int) -> None:
        """Every arrival up to this number has its decision."""
        with self.transaction() as db:
            db.execute(
                "UPDATE scopes SET confirmed_seq = max(confirmed_seq, ?) WHERE id = ?",
                (seq, self.scope(tenant_id, module)),
            )

    def confirmed(self, tenant_id: str, module: str) -> int:
        return self.mark(tenant_id, module).confirmed_seq

    def mark(self, tenant_id: str, module: str) -> Mark:
        with self._turn:
            scope = self.scope(tenant_id, module)
            row = self._db.execute(
                "SELECT last_seq, log_seq, confirmed_seq FROM scopes WHERE id = ?", (scope,)
            ).fetchone()
        return Mark(*row)

    def layout(self, module: str) -> Layout:
        return self._layouts[module]

    def scope(self, tenant_id: str, module: str) -> int:
        """The small number that stands for a tenant's part of a module; call with the turn held."""
        key = (tenant_id, module)
        if key not in self._scopes:
            self._db.execute("INSERT OR IGNORE INTO scopes (tenant_id, module) VALUES (?, ?)", key)
            row = self._db.execute("SELECT id FROM scopes WHERE tenant_id = ? AND module = ?", key).fetchone()
            self._scopes[key] = int(row[0])
        return self._scopes[key]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One atomic step; others wait for their turn."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._scopes.clear()  # a scope may have been made in what is rolled back
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        """Make the tables; start empty when the declaration they were made from has changed."""
        wanted = [_SCOPES] + [statement for layout in self._layouts.values() for statement in layout.ddl()]
        with self.transaction() as db:
            found = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            if sorted(sql for (sql,) in found) == sorted(wanted):
                return
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                db.execute(f"DROP TABLE {name}")
            for statement in wanted:
                db.execute(statement)

    def _plans_of(self, contract: Contract) -> tuple[EntityPlan, ...]:
        known = self._plans.get(id(contract))
        if known is None:
            known = (contract, plan_of(self._layouts[contract.module], contract))
            self._plans[id(contract)] = known  # holds the contract, so its id is not used again
        return known[1]

    def _place(self, db: sqlite3.Connection, scope: int, event: Event, seq: int | None = None) -> tuple[int, int]:
        layout = self._layouts[event.module]
        cells = [_cell(layout, name, event.fields) for name in layout.columns]
        found = db.execute(
            f"SELECT seq, time, {', '.join(layout.columns)} FROM {layout.events} "  # noqa: S608  declared names
            "WHERE scope = ? AND event_id = ?",
            (scope, event.event_id),
        ).fetchone()
        if found is not None:
            if list(found[2:]) != cells:
                raise Conflict(f"event {event.event_id!r} has arrived before with other fields: use a new id")
            return found[0], found[1]
        if seq is None:
            (seq,) = db.execute(
                "UPDATE scopes SET last_seq = last_seq + 1 WHERE id = ? RETURNING last_seq", (scope,)
            ).fetchone()
        else:
            db.execute("UPDATE scopes SET last_seq = max(last_seq, ?) WHERE id = ?", (seq, scope))
        _append(
            db, layout, (scope, seq, event.event_id, event.event_time), dict(zip(layout.columns, cells, strict=True))
        )
        return seq, event.event_time


def _append(
    db: sqlite3.Connection, layout: Layout, place: tuple[int, int, str, int], cells: Mapping[str, Value]
) -> None:
    scope, seq, _, time = place
    db.execute(layout.insert, (*place, *cells.values()))
    for table in layout.tables.values():
        key = cells[table.field]
        if key is not None:
            db.execute(table.insert, (scope, key, time, seq, *(cells[name] for name in table.values)))


def _delete(db: sqlite3.Connection, layout: Layout, scope: int, row: Sequence[Any]) -> None:
    seq, time = row[0], row[1]
    cells = dict(zip(layout.columns, row[2:], strict=True))
    db.execute(f"DELETE FROM {layout.events} WHERE scope = ? AND seq = ?", (scope, seq))  # noqa: S608
    for table in layout.tables.values():
        db.execute(
            f"DELETE FROM {table.name} WHERE scope = ? AND key = ? AND time = ? AND seq = ?",  # noqa: S608
            (scope, cells[table.field], time, seq),
        )


def _cell(layout: Layout, name: str, fields: Mapping[str, Value]) -> Value:
    value = fields.get(name)
    return 0 if value is None and name in layout.money else value


def _read(
    db: sqlite3.Connection, scope: int, plans: Sequence[EntityPlan], event: Event, place: tuple[int, int]
) -> dict[str, Recent | None]:
    recent: dict[str, Recent | None] = {}
    for plan in plans:
        key = event.fields.get(plan.table.field)
        recent[plan.table.entity] = None if key is None else _recent(db, plan, (scope, str(key)), place)
    return recent


def _recent(db: sqlite3.Connection, plan: EntityPlan, whose: tuple[int, str], place: tuple[int, int]) -> Recent:
    time, seq = place
    rows = db.execute(plan.select, (*whose, time - plan.span, time, seq)).fetchall()
    return Recent(_entries(rows, plan.values), _outcomes(db, plan, whose, place), len(rows) - 1)


def _outcomes(
    db: sqlite3.Connection, plan: EntityPlan, whose: tuple[int, str], place: tuple[int, int]
) -> dict[Source, Entries]:
    time, seq = place
    return {
        source: _entries(
            db.execute(plan.outcomes_select, (*whose, source_name(source), time - span, time, seq)).fetchall(),
            (source[0],),
        )
        for source, span in plan.outcomes
    }


def _entries(rows: Sequence[tuple[Any, ...]], values: Sequence[str]) -> Entries:
    """Rows of (time, seq, values...) as columns; text becomes codes that mean something in this answer only."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * (2 + len(values))
    time, seq = np.array(columns[0], np.int64), np.array(columns[1], np.int64)
    held = {name: _numbers(column) for name, column in zip(values, columns[2:], strict=True)}
    return Entries(np.zeros(len(rows), np.int64), time, seq, held)


def _numbers(column: Sequence[Any]) -> Ints:
    if not column or isinstance(column[0], int):
        return np.array(column, np.int64)
    return codes(column)
