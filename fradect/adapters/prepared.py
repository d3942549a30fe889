"""Statements written once for a dialect, for the few that run at every request."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Protocol

import sqlalchemy as sa

Rows = Sequence[tuple[Any, ...]]


class _Source(Protocol):
    """Rows as a part of a statement, and the parameters that fill it."""

    def sql(self, rows: int) -> str: ...

    def parameters(self, rows: Rows) -> tuple[Any, ...]: ...


class _Values:
    """Row after row; few different statements, since the driver keeps them by their text."""

    def __init__(self, columns: int) -> None:
        self._row = f"({', '.join('?' * columns)})"

    def sql(self, rows: int) -> str:
        return f"VALUES {', '.join([self._row] * rows)}"

    def parameters(self, rows: Rows) -> tuple[Any, ...]:
        return tuple(value for row in rows for value in row)


class _Arrays:
    """Column after column, the same text however many rows: psycopg reads anew what has more than fifty places."""

    def __init__(self, types: Sequence[sa.types.TypeEngine[Any]]) -> None:
        self._sql = f"SELECT * FROM unnest({', '.join(f'%s::{name_of(type_)}[]' for type_ in types)})"  # noqa: S608

    def sql(self, _rows: int) -> str:
        return self._sql

    def parameters(self, rows: Rows) -> tuple[Any, ...]:
        return tuple(list(column) for column in zip(*rows, strict=True))


class Insert:
    """Rows into a table. Values go through as they are: whole numbers, text, bytes, floats, None."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect, left_out: Iterable[str] = ()) -> None:
        """`left_out`: columns that the database fills."""
        columns = [column for column in table.columns if column.name not in set(left_out)]
        quote = dialect.identifier_preparer.quote
        place = "?" if dialect.name == "sqlite" else "%s"
        self.into = f"INSERT INTO {quote(table.name)} ({', '.join(quote(column.name) for column in columns)}) "
        self.types = [name_of(column.type) for column in columns]
        self.one = f"{self.into}VALUES ({', '.join([place] * len(columns))})"
        self._values = _getter([column.name for column in columns])
        self._key = [column.name for column in table.primary_key.columns]
        self._by_key = _getter(self._key)
        self._source = _source([column.type for column in columns], dialect)
        self._new = cache(self._new_of)

    def values(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """In the order of the table's columns."""
        return [self._values(row) for row in rows]

    def by_key(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Where many write the same, all do in this order, so that none waits for ever."""
        return sorted(rows, key=self._by_key) if len(rows) > 1 else rows

    def run(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            connection.exec_driver_sql(self.one, self.values(rows))

    def run_new(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        """Leaves out each row that is there already, by any unique key; the primary keys of the rest.

        Waits for other transactions that are writing the same.
        """
        if not rows:
            return set()
        values = self._source.parameters(self.values(self.by_key(rows)))
        return {tuple(row) for row in connection.exec_driver_sql(self._new(len(rows)), values)}

    def _new_of(self, rows: int) -> str:
        return f"{self.into}{self._source.sql(rows)} ON CONFLICT DO NOTHING RETURNING {', '.join(self._key)}"


class Lookup:
    """Rows by many keys at once. `select` reads from `wanted`, which has the columns named here, all of them text."""

    def __init__(self, columns: Sequence[str], select: str, dialect: sa.Dialect) -> None:
        self._wanted = ", ".join(columns)
        self._select = select
        self._source = _source([sa.Text()] * len(columns), dialect)
        self._of = cache(self._statement)

    def run(self, connection: sa.Connection, keys: Sequence[tuple[str, ...]]) -> Sequence[sa.Row[Any]]:
        return connection.exec_driver_sql(*self.asked(keys)).all() if keys else []

    def asked(self, keys: Rows) -> tuple[str, tuple[Any, ...]]:
        """For at least one key the statement, one of few, and its parameters."""
        few = 1 << (len(keys) - 1).bit_length()
        return self._of(few), self._source.parameters([*keys, *[keys[-1]] * (few - len(keys))])

    def _statement(self, keys: int) -> str:
        return f"WITH wanted ({self._wanted}) AS ({self._source.sql(keys)}) {self._select}"


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)


def _source(types: Sequence[sa.types.TypeEngine[Any]], dialect: sa.Dialect) -> _Source:
    return _Values(len(types)) if dialect.name == "sqlite" else _Arrays(types)


def name_of(type_: sa.types.TypeEngine[Any]) -> str:
    """Without a length: a cast to one would cut what is too long, where an insert refuses it."""
    return next(name for kind, name in _NAMES.items() if isinstance(type_, kind))


_NAMES = {
    sa.String: "text",
    sa.BigInteger: "bigint",
    sa.Integer: "integer",
    sa.Double: "double precision",
    sa.LargeBinary: "bytea",
}
