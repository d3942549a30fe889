"""Statements written once for a dialect, for the few that run at every request."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
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
        self._sql = f"SELECT * FROM unnest({', '.join(f'%s::{_name_of(type_)}[]' for type_ in types)})"  # noqa: S608

    def sql(self, _rows: int) -> str:
        return self._sql

    def parameters(self, rows: Rows) -> tuple[Any, ...]:
        return tuple(list(column) for column in zip(*rows, strict=True))


class Insert:
    """Rows into a table. Values go through as they are: whole numbers, text, bytes, floats, None."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect, left_out: Iterable[str] = ()) -> None:
        """`left_out`: columns that the database fills."""
        columns = [column for column in table.columns if column.name not in set(left_out)]
        self._columns = [column.name for column in columns]
        quote = dialect.identifier_preparer.quote
        names = ", ".join(quote(name) for name in self._columns)
        self._into = f"INSERT INTO {quote(table.name)} ({names}) "
        place = "?" if dialect.name == "sqlite" else "%s"
        self._one = f"{self._into}VALUES ({', '.join([place] * len(columns))})"
        self._key = [column.name for column in table.primary_key.columns]
        self._source = _source([column.type for column in columns], dialect)
        self._new = cache(self._new_of)

    def run(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            connection.exec_driver_sql(self._one, [tuple(row[name] for name in self._columns) for row in rows])

    def run_new(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        """Leaves out each row that is there already, by any unique key; the primary keys of the rest.

        Waits for other transactions that are writing the same; all write in the order of keys, so none waits for ever.
        """
        if not rows:
            return set()
        ordered = sorted(rows, key=lambda row: tuple(row[name] for name in self._key))
        values = self._source.parameters([tuple(row[name] for name in self._columns) for row in ordered])
        return {tuple(row) for row in connection.exec_driver_sql(self._new(len(rows)), values)}

    def _new_of(self, rows: int) -> str:
        return f"{self._into}{self._source.sql(rows)} ON CONFLICT DO NOTHING RETURNING {', '.join(self._key)}"


class Lookup:
    """Rows by many keys at once. `select` reads from `wanted`, which has the columns named here, all of them text."""

    def __init__(self, columns: Sequence[str], select: str, dialect: sa.Dialect) -> None:
        self._wanted = ", ".join(columns)
        self._select = select
        self._source = _source([sa.Text()] * len(columns), dialect)
        self._of = cache(self._statement)

    def run(self, connection: sa.Connection, keys: Sequence[tuple[str, ...]]) -> Sequence[sa.Row[Any]]:
        if not keys:
            return []
        few = 1 << (len(keys) - 1).bit_length()
        padded = [*keys, *[keys[-1]] * (few - len(keys))]
        return connection.exec_driver_sql(self._of(few), self._source.parameters(padded)).all()

    def _statement(self, keys: int) -> str:
        return f"WITH wanted ({self._wanted}) AS ({self._source.sql(keys)}) {self._select}"


def _source(types: Sequence[sa.types.TypeEngine[Any]], dialect: sa.Dialect) -> _Source:
    return _Values(len(types)) if dialect.name == "sqlite" else _Arrays(types)


def _name_of(type_: sa.types.TypeEngine[Any]) -> str:
    """Without a length: a cast to one would cut what is too long, where an insert refuses it."""
    return next(name for kind, name in _NAMES.items() if isinstance(type_, kind))


_NAMES = {
    sa.String: "text",
    sa.BigInteger: "bigint",
    sa.Integer: "integer",
    sa.Double: "double precision",
    sa.LargeBinary: "bytea",
}
