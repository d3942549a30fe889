"""Which tables the live state keeps for a module, and what a contract reads from them.

Each entity has a table of its own whose rows stand in the order in which windows read them, with every value that
some window needs beside the row, so that one range scan answers an entity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fradect.errors import Refused
from fradect.features.contract import Contract, Window
from fradect.modules.declaration import FieldType, Module

Source = tuple[str, int]  # an outcome's kind and its delay in microseconds


@dataclass(frozen=True, slots=True)
class EntityTable:
    """`field` identifies the entity; `values` are the event fields that its windows look at."""

    name: str
    entity: str
    field: str
    values: tuple[str, ...]
    sources: tuple[Source, ...]

    @property
    def outcomes(self) -> str:
        return f"{self.name}_outcomes"

    def ddl(self, money: frozenset[str]) -> Iterable[str]:
        values = "".join(f", {_column(name, money)}" for name in self.values)
        yield (
            f"CREATE TABLE {self.name} (scope INTEGER NOT NULL, key TEXT NOT NULL, time INTEGER NOT NULL, "
            f"seq INTEGER NOT NULL{values}, PRIMARY KEY (scope, key, time, seq)) WITHOUT ROWID"
        )
        if self.sources:
            yield (
                f"CREATE TABLE {self.outcomes} (scope INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, "
                "at INTEGER NOT NULL, seq INTEGER NOT NULL, known_at INTEGER NOT NULL, value INTEGER NOT NULL, "
                "PRIMARY KEY (scope, key, source, at, seq, known_at)) WITHOUT ROWID"
            )

    @property
    def insert(self) -> str:
        return _insert(self.name, ("scope", "key", "time", "seq", *self.values))


@dataclass(frozen=True, slots=True)
class Layout:
    """A module's tables. `columns`: the event fields kept in the table of arrivals, entity keys among them."""

    module: str
    columns: tuple[str, ...]
    money: frozenset[str]
    tables: Mapping[str, EntityTable]

    @property
    def events(self) -> str:
        return f"{self.module}_events"

    def ddl(self) -> list[str]:
        columns = "".join(f", {_column(name, self.money)}" for name in self.columns)
        statements = [
            f"CREATE TABLE {self.events} (scope INTEGER NOT NULL, seq INTEGER NOT NULL, event_id TEXT NOT NULL, "
            f"time INTEGER NOT NULL{columns}, PRIMARY KEY (scope, seq)) WITHOUT ROWID",
            f"CREATE UNIQUE INDEX {self.events}_id ON {self.events} (scope, event_id)",
        ]
        for table in self.tables.values():
            statements += table.ddl(self.money)
        return statements

    @property
    def insert(self) -> str:
        return _insert(self.events, ("scope", "seq", "event_id", "time", *self.columns))


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """How a contract reads one entity: the scan over its events, and how far back; the same for outcomes."""

    table: EntityTable
    select: str
    span: int
    values: tuple[str, ...]
    outcomes: tuple[tuple[Source, int], ...]

    @property
    def outcomes_select(self) -> str:
        return (
            f"SELECT at, seq, value FROM {self.table.outcomes} "  # noqa: S608  names come from the declaration
            "WHERE scope = ? AND key = ? AND source = ? AND at > ? AND at <= ? AND seq <= ? ORDER BY at, seq"
        )


def layout_of(module: Module) -> Layout:
    """Tables for the windows of all the module's contracts, so that any of its releases can read them."""
    windows = [window for contract in module.contracts for _, window in contract.windows]
    tables = {
        entity: _table(module, entity, [w for w in windows if w.entity == entity])
        for entity in sorted({window.entity for window in windows})
    }
    columns = {name for table in tables.values() for name in (table.field, *table.values)}
    money = frozenset(name for name, kind in module.columns.items() if kind is FieldType.MONEY)
    return Layout(module.name, tuple(sorted(columns)), money, tables)


def plan_of(layout: Layout, contract: Contract) -> tuple[EntityPlan, ...]:
    """Refused when the contract looks at something that the state does not keep."""
    return tuple(_plan(layout, contract, entity) for entity in contract.entities)


def source_name(source: Source) -> str:
    return f"{source[0]}:{source[1]}"


def _table(module: Module, entity: str, windows: list[Window]) -> EntityTable:
    values = {w.of for w in windows if w.of is not None}
    sources = {_source(w) for w in windows} - {None}
    return EntityTable(
        f"{module.name}_{entity}",
        entity,
        module.entities[entity],
        tuple(sorted(values)),
        tuple(sorted(source for source in sources if source is not None)),
    )


def _plan(layout: Layout, contract: Contract, entity: str) -> EntityPlan:
    windows = [w for _, w in contract.windows if w.entity == entity]
    table = layout.tables.get(entity)
    values = tuple(sorted({w.of for w in windows if w.of is not None}))
    spans: dict[Source, int] = {}
    for window in windows:
        source = _source(window)
        if source is not None:
            spans[source] = max(window.length, spans.get(source, 0))
    if table is None or not set(values) <= set(table.values) or not set(spans) <= set(table.sources):
        raise Refused(
            f"contract {contract.name}: the live state does not keep what its {entity} windows look at; "
            f"declare the contract in module {layout.module} and restart"
        )
    span = max((w.length for w in windows if w.outcome is None), default=1)  # 1: the event itself
    return EntityPlan(table, _select(table, values), span, values, tuple(sorted(spans.items())))


def _source(window: Window) -> Source | None:
    return None if window.outcome is None else (window.outcome.value, window.delay)


def _select(table: EntityTable, values: tuple[str, ...]) -> str:
    columns = ", ".join(("time", "seq", *values))
    return (
        f"SELECT {columns} FROM {table.name} "  # noqa: S608  names come from the module's declaration
        "WHERE scope = ? AND key = ? AND time > ? AND time <= ? AND seq <= ? ORDER BY time, seq"
    )


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  names as above


def _column(name: str, money: frozenset[str]) -> str:
    return f"{name} INTEGER NOT NULL" if name in money else f"{name} TEXT"
