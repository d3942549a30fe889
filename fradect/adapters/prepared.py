"""Statements written once for a dialect, for the few that run at every request."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

_PLACES = {"qmark": "?", "format": "%s", "pyformat": "%s"}


class Insert:
    """Rows into a table. Values go through as they are: whole numbers, text, bytes, floats, None."""

    def __init__(self, table: sa.Table, dialect: sa.Dialect, left_out: Iterable[str] = ()) -> None:
        """`left_out`: columns that the database fills."""
        self._columns = [column.name for column in table.columns if column.name not in set(left_out)]
        quote = dialect.identifier_preparer.quote
        names = ", ".join(quote(name) for name in self._columns)
        self._into = f"INSERT INTO {quote(table.name)} ({names}) VALUES "  # noqa: S608  our own names, no values
        self._row = f"({', '.join([_PLACES[dialect.paramstyle]] * len(self._columns))})"
        self._key = [column.name for column in table.primary_key.columns]
        self._new = cache(self._new_of)

    def run(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            values = [tuple(row[name] for name in self._columns) for row in rows]
            connection.exec_driver_sql(self._into + self._row, values)

    def run_new(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        """Leaves out each row that is there already, by any unique key; the primary keys of the rest.

        Waits for other transactions that are writing the same; all write in the order of keys, so none waits for ever.
        """
        if not rows:
            return set()
        ordered = sorted(rows, key=lambda row: tuple(row[name] for name in self._key))
        values = tuple(row[name] for row in ordered for name in self._columns)
        return {tuple(row) for row in connection.exec_driver_sql(self._new(len(rows)), values)}

    def _new_of(self, rows: int) -> str:
        return f"{self._into}{', '.join([self._row] * rows)} ON CONFLICT DO NOTHING RETURNING {', '.join(self._key)}"


class Lookup:
    """Rows by many keys at once. `select` reads from `wanted`, which has the columns named here."""

    def __init__(self, columns: Sequence[str], select: str, dialect: sa.Dialect) -> None:
        self._with = f"WITH wanted ({', '.join(columns)}) AS (VALUES "
        self._row = f"({', '.join([_PLACES[dialect.paramstyle]] * len(columns))})"
        self._select = select
        self._of = cache(self._statement)

    def run(self, connection: sa.Connection, keys: Sequence[tuple[str, ...]]) -> Sequence[sa.Row[Any]]:
        if not keys:
            return []
        few = 1 << (len(keys) - 1).bit_length()  # few different statements, each prepared once
        padded = [*keys, *[keys[-1]] * (few - len(keys))]
        return connection.exec_driver_sql(self._of(few), tuple(part for key in padded for part in key)).all()

    def _statement(self, keys: int) -> str:
        return f"{self._with}{', '.join([self._row] * keys)}) {self._select}"
