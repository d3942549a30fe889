"""A stretch of one chain, row by row: the first that is not as it was written is named."""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.chain import DECISION_COLUMNS, DRAWN_FORMAT, EVENT_COLUMNS, GENESIS, columns_of
from fradect.adapters.database import open_database, reason
from fradect.errors import Unavailable

_PAGE = 250  # rows that the driver hands over at a time: few enough to stay in the processor's cache
_BEFORE = 2  # columns of a row ahead of those that its hash covers
_WRITER, _SEQ, _ID = (
    _BEFORE + len(EVENT_COLUMNS) + DECISION_COLUMNS.index(name) for name in ("writer", "chain_seq", "id")
)
_END = {format_: _BEFORE + len(columns_of(format_)) for format_ in range(1, DRAWN_FORMAT + 1)}
_FORMAT, _PROPENSITY = (_BEFORE + columns_of(DRAWN_FORMAT).index(name) for name in ("chain_format", "propensity"))

_OF_DECISION = columns_of(DRAWN_FORMAT)[len(EVENT_COLUMNS) :]
_COVERED = ", ".join([*(f"e.{name}" for name in EVENT_COLUMNS), *(f"d.{name}" for name in _OF_DECISION)])
SAME = "ON e.tenant_id = d.tenant_id AND e.module = d.module AND e.event_id = d.entity_id"
_BEFORE_IT = "SELECT row_hash FROM risk_decisions WHERE writer = {p} AND chain_seq = {p}"
_ROWS = (
    f"SELECT d.prev_hash, d.row_hash, {_COVERED} FROM risk_decisions d LEFT JOIN events e {SAME} "  # noqa: S608  our names
    "WHERE d.writer = {p} AND d.chain_seq BETWEEN {p} AND {p} ORDER BY d.chain_seq"
)
_PLACE = {"sqlite": "?", "postgresql": "%s"}

# Along the chain's index from row to row, each with its event, whatever the statistics say: nothing is sorted, and the
# first rows come at once.
_STEPS = ("seqscan", "hashjoin", "mergejoin", "sort", "bitmapscan", "material")
_IN_ORDER = (
    "SET LOCAL jit = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    *(f"SET LOCAL enable_{step} = off" for step in _STEPS),
)


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that is not as it was written, or is not there."""

    what: str
    writer: str = ""
    chain_seq: int = 0
    decision_id: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a writer's chain. `due`: by number, the hash that a row must have, and who says so."""

    writer: str
    first: int
    last: int
    due: Mapping[int, tuple[bytes, str]]

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Walked:
    """How many rows were right, and the first that was not."""

    rows: int
    broken: Broken | None


@contextmanager
def as_of_now(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose reads all see the same moment."""
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        yield connection


def walk(url: str, stretch: Stretch) -> Walked:
    """Beside whoever writes. Unavailable when the database cannot be read."""
    engine = open_database(url, kept=False)
    try:
        with as_of_now(engine) as connection:
            previous = _hash_before(connection, stretch)
            with closing(_rows(connection, stretch)) as rows:
                return _walk(rows, stretch, previous)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger cannot be read ({reason(error)})") from error
    except engine.dialect.loaded_dbapi.Error as error:  # of the driver itself, as rows come
        raise Unavailable(f"the ledger cannot be read ({type(error).__name__})") from error
    finally:
        engine.dispose()


def _hash_before(connection: sa.Connection, stretch: Stretch) -> bytes | None:
    """None where that row is missing, which the stretch before this one tells."""
    if stretch.first == 1:
        return GENESIS
    before = _BEFORE_IT.format(p=_PLACE[connection.dialect.name])
    row = connection.exec_driver_sql(before, (stretch.writer, stretch.first - 1)).one_or_none()
    return None if row is None else bytes(row[0])


def _rows(connection: sa.Connection, stretch: Stretch) -> Generator[tuple[Any, ...], None, None]:
    """From the driver itself: values as they are stored, and on PostgreSQL as they come, no cursor between."""
    driver: Any = connection.connection.driver_connection
    asked = (_ROWS.format(p=_PLACE[connection.dialect.name]), (stretch.writer, stretch.first, stretch.last))
    if connection.dialect.name == "sqlite":
        yield from driver.execute(*asked)
        return
    for statement in _IN_ORDER:
        connection.exec_driver_sql(statement)
    dbapi: Any = connection.dialect.loaded_dbapi
    page = _PAGE if dbapi.capabilities.has_stream_chunked() else 1
    with driver.cursor() as cursor, closing(cursor.stream(*asked, binary=True, size=page)) as rows:
        yield from rows


def _walk(rows: Iterable[tuple[Any, ...]], stretch: Stretch, previous: bytes | None) -> Walked:
    """The inner loop: its steps stand in line, since a call for each row would cost as much as the hashing."""
    encode, sha256, ends, due = msgspec.msgpack.Encoder().encode, hashlib.sha256, _END, stretch.due
    seq = stretch.first - 1
    for row in rows:
        seq += 1
        if previous is None:
            previous = row[0]
        own = sha256(previous + encode(row[_BEFORE : ends.get(row[_FORMAT], _BEFORE)])).digest()
        if (
            row[1] != own
            or row[_SEQ] != seq
            or row[0] != previous
            or (seq in due and due[seq][0] != own)
            or (row[_PROPENSITY] is not None and row[_FORMAT] != DRAWN_FORMAT)
        ):
            return Walked(seq - stretch.first, _what_is_wrong(row, seq, previous, own, due))
        previous = own
    gone = None if seq == stretch.last else Broken(_missing(seq + 1, stretch.last), stretch.writer, seq + 1)
    return Walked(seq - stretch.first + 1, gone)


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _what_is_wrong(
    row: tuple[Any, ...], seq: int, previous: bytes, own: bytes, due: Mapping[int, tuple[bytes, str]]
) -> Broken:
    writer, decision_id = row[_WRITER], row[_ID]
    if row[_SEQ] != seq:
        return Broken(_missing(seq, row[_SEQ] - 1), writer, seq)
    if row[_BEFORE] is None:
        return Broken("its event is missing", writer, seq, decision_id)
    if row[0] != previous:
        return Broken("it does not follow the row before it", writer, seq, decision_id)
    if row[1] != own or (row[_PROPENSITY] is not None and row[_FORMAT] != DRAWN_FORMAT):
        return Broken("a value of the decision or of its event is not as it was written", writer, seq, decision_id)
    return Broken(f"it is another row than {due[seq][1]} says", writer, seq, decision_id)
