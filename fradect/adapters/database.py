"""SQL databases: opened the same way everywhere, their tables brought up to date before use."""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from fradect.errors import InvalidInput, Refused, Unavailable

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_ALONE = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        "SET LOCAL lock_timeout = 0",
        "SET LOCAL statement_timeout = 0",
        "SELECT pg_advisory_xact_lock(7254023)",
    ),
}
# A PostgreSQL that is not there is noticed: when connecting (2 s is the least that its library waits), when the network
# drops what is sent or kept open, and when a statement waits for a lock or, for those in a hurry, for the disk.
_REACHED = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "application_name": "fradect",
}
_PATIENT = "-c lock_timeout=10s"
_BY_INDEX = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
# Requests look rows up by their keys: while a table is young, its statistics would have it read whole. Where there is
# no key to go by, that is taken for so dear that the query would be compiled first, for 40 ms of a core.
_IN_TIME = "-c lock_timeout=500ms -c statement_timeout=1s -c idle_in_transaction_session_timeout=5s"
_HURRIED = f"{_IN_TIME} -c jit=off {_BY_INDEX}"
_one_at_a_time = threading.Lock()  # Alembic keeps its context in module globals


def open_database(url: str, *, hurried: bool = False, kept: bool = True) -> sa.Engine:
    """An engine whose commits are durable when they return. Errors never repeat the values of a statement.

    `hurried`: requests wait for it, so on PostgreSQL a statement takes a second at most. `kept`: connections stay open
    between uses.
    """
    pool = {} if kept else {"poolclass": sa.NullPool}
    try:
        parsed = sa.make_url(url)
        engine = sa.create_engine(parsed, hide_parameters=True, connect_args=_connect_args(parsed, hurried), **pool)
    except (sa.exc.ArgumentError, ModuleNotFoundError, ValueError) as error:
        raise InvalidInput(f"database URL {_shown(url)}: {_cause(error)}", field="url") from None
    if engine.dialect.name not in _ALONE:
        raise InvalidInput(f"database URL {_shown(url)}: use sqlite:///file or postgresql+psycopg://", field="url")
    if engine.dialect.name == "sqlite":
        if engine.url.database:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        sa.event.listen(engine, "connect", partial(_durable, patience_ms=2_000 if hurried else 10_000))
    return engine


def reason(error: sa.exc.DBAPIError) -> str:
    """What a database said, without values, addresses or accounts."""
    told = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    if told is None and type(error.orig).__module__ == "sqlite3":
        told = str(error.orig)
    name = type(error.orig).__name__
    return f"{name}: {told}" if told else name


@contextmanager
def reading(engine: sa.Engine, lost: str) -> Iterator[sa.Connection]:
    """A connection to read by. Unavailable, which says `lost` and the reason, where the database does not answer."""
    with _answering(lost), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine, lost: str) -> Iterator[sa.Connection]:
    """The same for one transaction, alone with the database from its first statement on where that is SQLite."""
    with _answering(lost), engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def _answering(lost: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"{lost} ({reason(error)})") from error


def migrate(engine: sa.Engine, tables: str) -> None:
    """Bring a set of tables ("ledger" or "shared") up to date; idempotent."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / tables))
    config.set_main_option("path_separator", "os")
    try:
        with _one_at_a_time, engine.begin() as connection:
            alone(connection)
            config.attributes.update(connection=connection, version_table=f"{tables}_version")
            command.upgrade(config, "head")
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the {tables} tables could not be brought up to date ({reason(error)})") from error


def alone(connection: sa.Connection) -> None:
    """Until the transaction ends, of processes that ask for it one goes on and the others wait."""
    for statement in _ALONE[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def count_values(engine: sa.Engine, tables: Sequence[sa.Table]) -> None:
    """Have PostgreSQL look at tables that it knows nothing of yet: without, it takes the wrong one of two indexes that
    begin alike, and reads every row of a tenant for one. It does so itself only after a minute of much writing."""
    if engine.dialect.name != "postgresql":
        return
    names = [table.name for table in tables]
    known = sa.text("SELECT count(DISTINCT tablename) FROM pg_stats WHERE tablename = ANY(:names)")
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if connection.execute(known, {"names": names}).scalar_one() < len(names):
            connection.exec_driver_sql(f"ANALYZE {', '.join(names)}")


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


def _connect_args(url: sa.URL, hurried: bool) -> dict[str, Any]:
    """What the URL says itself goes before."""
    if url.get_backend_name() != "postgresql":
        return {}
    defaults = {**_REACHED, "options": _HURRIED if hurried else _PATIENT}
    return {name: value for name, value in defaults.items() if name not in url.query}


def _shown(url: str) -> str:
    """Enough to recognise it by, nothing that may be secret."""
    scheme, colon, _ = url.partition(":")
    return f"{scheme[:40]}:..." if colon else "without a scheme"


def _cause(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; PostgreSQL is postgresql+psycopg://"
    return "it cannot be read; write it like postgresql+psycopg://user:password@host:5432/name"


def _durable(connection: sa.engine.interfaces.DBAPIConnection, _record: object, *, patience_ms: int) -> None:
    """`patience_ms`: for as long whoever writes waits for another who does."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={patience_ms}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
