"""The statements that requests wait for, straight to the driver: SQLAlchemy lends the connection, and that is all.

On PostgreSQL each is one round trip: prepared once for a connection, its parameters packed here, no transaction but
its own.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Protocol

import sqlalchemy as sa

from fradect.adapters.packed import BYTEA, column
from fradect.adapters.prepared import Insert, Lookup, Rows
from fradect.errors import Uncertain

_DONE = frozenset({1, 2})  # libpq's PGRES_COMMAND_OK and PGRES_TUPLES_OK
_BINARY = 1
_SQLSTATE, _NOT_PREPARED = 67, b"26000"


@contextmanager
def lent(engine: sa.Engine) -> Iterator[sa.PoolProxiedConnection]:
    """A connection of the pool. What the driver raises arrives as sa.exc.DBAPIError; after one that says
    `connection_invalidated` no connection is used that was open then."""
    connection: sa.PoolProxiedConnection | None = None
    try:
        connection = engine.raw_connection()
        yield connection
    except engine.dialect.loaded_dbapi.Error as error:
        raise _told(engine, connection, error) from error
    finally:
        if connection is not None:
            connection.close()


def _told(engine: sa.Engine, connection: sa.PoolProxiedConnection | None, error: Exception) -> Exception:
    dialect: Any = engine.dialect
    broken = False
    if connection is not None and _broke(dialect, connection, error):
        broken = True
        connection.invalidate(error)
        engine.dispose()
    return sa.exc.DBAPIError.instance(
        None, None, error, dialect.dbapi.Error, hide_parameters=True, connection_invalidated=broken, dialect=dialect
    )


def _broke(dialect: Any, connection: sa.PoolProxiedConnection, error: Exception) -> bool:
    """What PostgreSQL itself says has a number; anything else was said by its library, of the way there."""
    numbered = dialect.name != "postgresql" or getattr(error, "sqlstate", None) is not None
    return not numbered or dialect.is_disconnect(error, connection.driver_connection, None)


class _Statement:
    """One of PostgreSQL, whose parameters are arrays; under its name every connection prepares it once."""

    def __init__(self, name: str, sql: str, types: Iterable[str], dialect: sa.Dialect) -> None:
        self._name = name.encode()
        self._sql = sql.encode()
        self._pack = [column(type_) for type_ in types]
        self._formats = [_BINARY] * len(self._pack)
        self._driver: Any = dialect.dbapi

    def packed(self, columns: Iterable[Sequence[Any]]) -> list[bytes]:
        return [pack(values) for pack, values in zip(self._pack, columns, strict=True)]

    def run(self, connection: sa.PoolProxiedConnection, packed: list[bytes]) -> Any:
        """psycopg's result, in which text and bytes are as stored."""
        driver: Any = connection.driver_connection
        if self._name not in connection.info:
            self._prepare(connection)
        result = driver.pgconn.exec_prepared(self._name, packed, self._formats, _BINARY)
        if result.status not in _DONE and result.error_field(_SQLSTATE) == _NOT_PREPARED:
            # psycopg deallocates all there are, once it prepared some of its own and rolls back
            self._prepare(connection)
            result = driver.pgconn.exec_prepared(self._name, packed, self._formats, _BINARY)
        return self._checked(result)

    def _prepare(self, connection: sa.PoolProxiedConnection) -> None:
        driver: Any = connection.driver_connection
        self._checked(driver.pgconn.prepare(self._name, self._sql))
        connection.info[self._name] = True

    def _checked(self, result: Any) -> Any:
        if result.status in _DONE:
            return result
        error = self._driver.errors.error_from_result(result)
        raise error if error.sqlstate else self._driver.OperationalError(str(error))


class Group(Protocol):
    """Rows into several tables, all or none, on disk when they are told to be there."""

    def ready(self, connection: sa.PoolProxiedConnection, parts: Sequence[Rows]) -> Callable[[], None]:
        """What is left to do: to write and commit, or to commit. `parts`: the rows of each table."""
        ...


class _GroupInOneStatement:
    """PostgreSQL: the tables in the order given, so that writers of the same rows meet at the first of them."""

    def __init__(self, inserts: Sequence[Insert], dialect: sa.Dialect) -> None:
        self._widths = [len(insert.types) for insert in inserts]
        self._statement = _Statement(f"fradect_group_{len(inserts)}", *_in_one(inserts), dialect)

    def ready(self, connection: sa.PoolProxiedConnection, parts: Sequence[Rows]) -> Callable[[], None]:
        columns = chain.from_iterable(
            zip(*rows, strict=True) if rows else [()] * width for rows, width in zip(parts, self._widths, strict=True)
        )
        return partial(self._statement.run, connection, self._statement.packed(columns))


def _in_one(inserts: Sequence[Insert]) -> tuple[str, list[str]]:
    """A step that reads from another waits for it."""
    steps: list[str] = []
    types: list[str] = []
    for number, insert in enumerate(inserts):
        after = f" WHERE (SELECT count(*) FROM step{number - 1}) IS NOT NULL" if number else ""  # noqa: S608  ours
        rows = _arrays(insert.types, len(types) + 1)
        steps.append(f"step{number} AS ({insert.into}SELECT * FROM {rows}{after} RETURNING 1)")  # noqa: S608  ours
        types += insert.types
    return f"WITH {', '.join(steps)} SELECT count(*) FROM step{len(inserts) - 1}", types  # noqa: S608  ours


def _arrays(types: Sequence[str], first: int) -> str:
    return f"unnest({', '.join(f'${place}::{type_}[]' for place, type_ in enumerate(types, first))})"


class _GroupInOneTransaction:
    """SQLite: table after table, which costs no way."""

    def __init__(self, inserts: Sequence[Insert]) -> None:
        self._statements = [insert.one for insert in inserts]

    def ready(self, connection: sa.PoolProxiedConnection, parts: Sequence[Rows]) -> Callable[[], None]:
        driver: Any = connection.driver_connection
        for statement, rows in zip(self._statements, parts, strict=True):
            if rows:
                driver.executemany(statement, rows)
        return partial(_commit, driver)


def group(inserts: Sequence[Insert], dialect: sa.Dialect) -> Group:
    return _GroupInOneTransaction(inserts) if dialect.name == "sqlite" else _GroupInOneStatement(inserts, dialect)


def _commit(driver: sqlite3.Connection) -> None:
    try:
        driver.commit()
    except sqlite3.Error as error:
        raise unsure(f"{type(error).__name__}: {error}") from error


def unsure(said: str) -> Uncertain:
    return Uncertain(f"the ledger broke off as it wrote ({said}): ask again under the same id")


class Search(Protocol):
    """Rows by many keys at once, of text and bytes alone."""

    def run(self, connection: sa.PoolProxiedConnection, keys: Rows) -> Sequence[tuple[Any, ...]]: ...


class _SearchInArrays:
    """PostgreSQL."""

    def __init__(self, name: str, columns: Sequence[str], select: str, dialect: sa.Dialect) -> None:
        types = ["text"] * len(columns)
        sql = f"WITH wanted ({', '.join(columns)}) AS (SELECT * FROM {_arrays(types, 1)}) {select}"  # noqa: S608  ours
        self._statement = _Statement(name, sql, types, dialect)

    def run(self, connection: sa.PoolProxiedConnection, keys: Rows) -> Sequence[tuple[Any, ...]]:
        if not keys:
            return []
        found = self._statement.run(connection, self._statement.packed(zip(*keys, strict=True)))
        texts = [found.ftype(place) != BYTEA for place in range(found.nfields)]
        return [
            tuple(
                found.get_value(row, place).decode() if text else found.get_value(row, place)
                for place, text in enumerate(texts)
            )
            for row in range(found.ntuples)
        ]


class _SearchInValues:
    """SQLite."""

    def __init__(self, columns: Sequence[str], select: str, dialect: sa.Dialect) -> None:
        self._lookup = Lookup(columns, select, dialect)

    def run(self, connection: sa.PoolProxiedConnection, keys: Rows) -> Sequence[tuple[Any, ...]]:
        if not keys:
            return []
        driver: Any = connection.driver_connection
        rows: list[tuple[Any, ...]] = driver.execute(*self._lookup.asked(keys)).fetchall()
        return rows


def search(name: str, columns: Sequence[str], select: str, dialect: sa.Dialect) -> Search:
    """`select` reads from `wanted`, which has the columns named here, all of them text."""
    if dialect.name == "sqlite":
        return _SearchInValues(columns, select, dialect)
    return _SearchInArrays(name, columns, select, dialect)
