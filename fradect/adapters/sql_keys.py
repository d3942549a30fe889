"""Wrapped data keys in SQL: of decisions in the ledger, of imports and streams beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fradect.adapters.database import open_database, reading, reason, sqlite_path
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.tables import data_keys, imported_data_keys
from fradect.errors import Unavailable

_AT_ONCE = 500


class SqlKeys:
    """Implements KeyStore: adds to the shared table, and reads both."""

    def __init__(self, ledger: sa.Engine | None, shared: sa.Engine) -> None:
        self._ledger, self._shared = ledger, shared

    @classmethod
    def at(cls, ledger_url: str) -> "SqlKeys":
        """Beside a ledger that another process may be writing, or that is not there yet."""
        ledger: sa.Engine | None = open_database(ledger_url)
        path = sqlite_path(ledger) if ledger is not None else None
        if ledger is not None and ((path is not None and not path.exists()) or not _has_keys(ledger)):
            ledger.dispose()
            ledger = None
        return cls(ledger, open_shared(ledger_url))

    def close(self) -> None:
        for _, engine in self._tables():
            engine.dispose()

    def find(self, key_id: str) -> Any:
        for table, engine in self._tables():
            rows = self._all(engine, table.select().where(table.c.id == key_id))
            if rows:
                return rows[0]
        return None

    def of_owners(self, tenant_id: str, owners: Sequence[str]) -> list[Any]:
        found: list[Any] = []
        for table, engine in self._tables():
            for start in range(0, len(owners), _AT_ONCE):
                mine = (table.c.tenant_id == tenant_id, table.c.owner.in_(owners[start : start + _AT_ONCE]))
                live = table.select().where(*mine, table.c.wrapped.is_not(None))
                found += self._all(engine, live.order_by(table.c.created_at, table.c.id))
        return found

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        try:
            with self._shared.begin() as connection:
                connection.execute(imported_data_keys.insert(), [dict(row) for row in rows])
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"data keys were not stored ({reason(error)})") from error

    def destroy(self, tenant_id: str, owner: str, made_by: int, now: int) -> int:
        """Overwrite every key of the owner that was made up to a moment; how many there were."""
        destroyed = 0
        for table, engine in self._tables():
            mine = (table.c.tenant_id == tenant_id, table.c.owner == owner, table.c.created_at <= made_by)
            gone = table.update().where(*mine, table.c.wrapped.is_not(None)).values(wrapped=None, destroyed_at=now)
            try:
                with engine.begin() as connection:
                    if engine.dialect.name == "sqlite":
                        connection.exec_driver_sql("PRAGMA secure_delete=ON")
                    destroyed += connection.execute(gone).rowcount
                _scrub(engine, table)
            except sa.exc.DBAPIError as error:
                raise Unavailable(f"data keys were not destroyed ({reason(error)}): ask again") from error
        return destroyed

    def _tables(self) -> list[tuple[sa.Table, sa.Engine]]:
        both = [(imported_data_keys, self._shared)]
        return both if self._ledger is None else [(data_keys, self._ledger), *both]

    def _all(self, engine: sa.Engine, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with reading(engine, "data keys cannot be read") as connection:
            return connection.execute(statement).all()


def _has_keys(engine: sa.Engine) -> bool:
    try:
        return sa.inspect(engine).has_table(data_keys.name)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger does not answer ({reason(error)})") from error


def _scrub(engine: sa.Engine, table: sa.Table) -> None:
    """What a database leaves of an old row: SQLite in its write-ahead log, PostgreSQL until the table is vacuumed."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("SET statement_timeout = '60s'")
            connection.exec_driver_sql(f"VACUUM {table.name}")
            connection.exec_driver_sql("RESET statement_timeout")
