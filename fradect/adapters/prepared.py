"""Statements compiled once for a dialect, for the few that run at every request."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa


class Prepared:
    """A statement as the driver takes it. Values go through as they are: whole numbers, text, bytes, floats, None."""

    def __init__(self, statement: sa.Select[Any] | sa.Insert, dialect: sa.Dialect, columns: Sequence[str] = ()) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns or None)
        self._sql = str(compiled)
        self._order: tuple[str, ...] | None = None
        if compiled.positiontup is not None:
            self._order = tuple(compiled.positiontup)

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        """`values` by the names of columns or bound parameters."""
        given = dict(values) if self._order is None else tuple(values[name] for name in self._order)
        return connection.exec_driver_sql(self._sql, given)
