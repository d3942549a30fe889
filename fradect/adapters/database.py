"""SQL databases: opened the same way everywhere, their tables brought up to date before use."""

import fcntl
import os
import threading
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from fradect.errors import InvalidInput, Refused, Unavailable

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# Of processes that start at the same time, one brings the tables up to date and the others wait for it.
_ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7254023)"}
_one_at_a_time = threading.Lock()  # Alembic keeps its context in module globals


def open_database(url: str) -> sa.Engine:
    """An engine whose commits are durable when they return. Errors never repeat the values of a statement."""
    try:
        engine = sa.create_engine(url, hide_parameters=True)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise InvalidInput(f"database URL {url.rsplit('@', maxsplit=1)[-1]!r}: {error}", field="url") from error
    if engine.dialect.name == "sqlite":
        if engine.url.database:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        sa.event.listen(engine, "connect", _durable)
    return engine


def migrate(engine: sa.Engine, tables: str) -> None:
    """Bring a set of tables ("ledger" or "shared") up to date; idempotent."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / tables))
    config.set_main_option("path_separator", "os")
    try:
        with _one_at_a_time, engine.begin() as connection:
            connection.exec_driver_sql(_ALONE[engine.dialect.name])
            config.attributes.update(connection=connection, version_table=f"{tables}_version")
            command.upgrade(config, "head")
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the {tables} tables could not be brought up to date: {error.orig}") from error


class OnlyWriter:
    """Holds a SQLite ledger against a second process; the operating system lets go when this one ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Refused while another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise Refused(
                f"the ledger {self._path.with_suffix('')} has its one writer already (process {holder}): stop that "
                "service first, or set another FRADECT_HOME"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def sqlite_path(engine: sa.Engine) -> Path | None:
    """The file behind an engine; None for databases that are no file."""
    name = engine.url.database
    return Path(name) if engine.dialect.name == "sqlite" and name and name != ":memory:" else None


def _durable(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
