"""Every row of the ledger held against its chain: what was changed, removed or put in since is found and named."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.chain import CHAIN_FORMAT, DECISION_COLUMNS, EVENT_COLUMNS, GENESIS, checkpoint_link, columns_of
from fradect.adapters.database import open_database, reason, sqlite_path
from fradect.adapters.tables import chain_checkpoints
from fradect.errors import NotFound, Unavailable

_PAGE = 2_000
_BEFORE = 2  # columns of a row ahead of those that its hash covers
_WRITER, _SEQ, _ID = (
    _BEFORE + len(EVENT_COLUMNS) + DECISION_COLUMNS.index(name) for name in ("writer", "chain_seq", "id")
)
_END = {format_: _BEFORE + len(columns_of(format_)) for format_ in range(1, CHAIN_FORMAT + 1)}

_OF_DECISION = columns_of(CHAIN_FORMAT)[len(EVENT_COLUMNS) :]
_COVERED = ", ".join([*(f"e.{name}" for name in EVENT_COLUMNS), *(f"d.{name}" for name in _OF_DECISION)])
_SAME = "ON e.tenant_id = d.tenant_id AND e.module = d.module AND e.event_id = d.entity_id"
_ROWS = f"""SELECT d.prev_hash, d.row_hash, {_COVERED} FROM risk_decisions d LEFT JOIN events e {_SAME}
ORDER BY d.writer, d.chain_seq"""  # noqa: S608  our own names, no values
_UNDECIDED = f"""SELECT e.tenant_id, e.module, e.event_id FROM events e LEFT JOIN risk_decisions d {_SAME}
WHERE d.id IS NULL ORDER BY e.observed_at LIMIT 1"""  # noqa: S608

Anchors = Mapping[str, Mapping[int, tuple[bytes, str]]]
"""By writer and number, the hash that the row there must have, and who says so."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain ends. Kept elsewhere, it shows later whether rows were taken from the end."""

    writer: str
    chain_seq: int
    row_hash: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that is not as it was written, or is not there."""

    what: str
    writer: str = ""
    chain_seq: int = 0
    decision_id: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """`broken` is None when every row is as it was written; the ends are those of chains up to there."""

    decisions: int
    checkpoints: int
    ends: tuple[End, ...]
    broken: Broken | None


@dataclass(slots=True)
class _Walk:
    """What was seen so far."""

    decisions: int = 0
    ends: list[End] = field(default_factory=list)
    last: tuple[Any, ...] | None = None


def verify(url: str, kept: Sequence[End] = (), tell: Callable[[int, int], None] = lambda _done, _all: None) -> Checked:
    """Read every row as of now, beside whoever writes. `kept`: ends of an earlier time, which must still be there.

    `tell` hears of rows done and rows in all. NotFound without a ledger, Unavailable when it cannot be read.
    """
    engine = open_database(url)
    path = sqlite_path(engine)
    if path is not None and not path.exists():
        raise NotFound(f"there is no ledger at {path}: start the service first")
    try:
        with _as_of_now(engine) as connection:
            return _verify(connection, kept, tell)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger cannot be read ({reason(error)})") from error
    finally:
        engine.dispose()


@contextmanager
def _as_of_now(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose reads all see the same moment."""
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        yield connection


def _verify(connection: sa.Connection, kept: Sequence[End], tell: Callable[[int, int], None]) -> Checked:
    checkpoints = connection.execute(sa.select(chain_checkpoints).order_by(chain_checkpoints.c.number)).all()
    total = int(connection.exec_driver_sql("SELECT count(*) FROM risk_decisions").scalar_one())
    walk = _Walk()
    broken = _broken_checkpoint(checkpoints)
    if broken is None:
        anchors = _anchors(checkpoints, kept)
        with closing(_fast_cursor(connection)) as cursor:
            cursor.execute(_ROWS)
            broken = _walk_rows(cursor, anchors, walk, lambda done: tell(done, total))
        broken = broken or _taken_away(walk, anchors) or _put_in(connection, walk)
    return Checked(walk.decisions, len(checkpoints), tuple(walk.ends), broken)


def _fast_cursor(connection: sa.Connection) -> Any:
    """The driver's own, which holds a page at a time: values come as they are stored."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        cursor = driver.cursor()
        cursor.arraysize = _PAGE
    else:
        cursor = driver.cursor("verify", binary=True)
        cursor.itersize = cursor.arraysize = _PAGE
    return cursor


def _walk_rows(cursor: Any, anchors: Anchors, walk: _Walk, tell: Callable[[int], None]) -> Broken | None:
    while page := cursor.fetchmany(_PAGE):
        broken = _walk_page(page, anchors, walk)
        tell(walk.decisions)
        if broken is not None:
            return broken
    _end_chain(walk)
    return None


def _walk_page(page: Iterable[tuple[Any, ...]], anchors: Anchors, walk: _Walk) -> Broken | None:
    """The inner loop: its steps stand in line, since a call for each row would cost as much as the hashing."""
    encode, sha256, ends = msgspec.msgpack.Encoder().encode, hashlib.sha256, _END
    last = walk.last
    writer, seq, previous = ("", 0, GENESIS) if last is None else (last[_WRITER], last[_SEQ], last[1])
    due = anchors.get(writer, {})
    for row in page:
        if row[_WRITER] != writer:
            _end_chain(walk)
            writer, seq, previous = row[_WRITER], 0, GENESIS
            due = anchors.get(writer, {})
        seq += 1
        own = sha256(previous + encode(row[_BEFORE : ends.get(row[-1], _BEFORE)])).digest()
        if row[1] != own or row[_SEQ] != seq or row[0] != previous or (seq in due and due[seq][0] != own):
            return _what_is_wrong(row, seq, previous, own, due)
        previous = own
        walk.decisions += 1
        walk.last = row
    return None


def _end_chain(walk: _Walk) -> None:
    if walk.last is not None:
        walk.ends.append(End(walk.last[_WRITER], walk.last[_SEQ], bytes(walk.last[1]).hex()))
        walk.last = None


def _what_is_wrong(
    row: tuple[Any, ...], seq: int, previous: bytes, own: bytes, due: Mapping[int, tuple[bytes, str]]
) -> Broken:
    writer, decision_id = row[_WRITER], row[_ID]
    if row[_SEQ] != seq:
        gap = f"row {seq} is missing" if row[_SEQ] == seq + 1 else f"rows {seq} to {row[_SEQ] - 1} are missing"
        return Broken(gap, writer, seq)
    if row[_BEFORE] is None:
        return Broken("its event is missing", writer, seq, decision_id)
    if row[0] != previous:
        return Broken("it does not follow the row before it", writer, seq, decision_id)
    if row[1] != own:
        return Broken("a value of the decision or of its event is not as it was written", writer, seq, decision_id)
    return Broken(f"it is another row than {due[seq][1]} says", writer, seq, decision_id)


def _broken_checkpoint(checkpoints: Sequence[sa.Row[Any]]) -> Broken | None:
    previous = GENESIS
    for number, row in enumerate(checkpoints, start=1):
        linked = checkpoint_link(previous, row._asdict())
        if (row.number, row.prev_hash, row.hash) != (number, previous, linked):
            return Broken(f"checkpoint {number} ({row.day}) was changed or removed", row.writer, row.chain_seq)
        previous = row.hash
    return None


def _anchors(checkpoints: Sequence[sa.Row[Any]], kept: Sequence[End]) -> dict[str, dict[int, tuple[bytes, str]]]:
    anchors: dict[str, dict[int, tuple[bytes, str]]] = {}
    for row in checkpoints:
        anchors.setdefault(row.writer, {})[row.chain_seq] = (row.row_hash, f"the checkpoint of {row.day}")
    for end in kept:
        anchors.setdefault(end.writer, {})[end.chain_seq] = (bytes.fromhex(end.row_hash), "the end that was kept")
    return anchors


def _taken_away(walk: _Walk, anchors: Anchors) -> Broken | None:
    reached = {end.writer: end.chain_seq for end in walk.ends}
    for writer in sorted(anchors):
        last = max(anchors[writer])
        there = reached.get(writer, 0)
        if there < last:
            what = f"rows {there + 1} to {last} are missing: {anchors[writer][last][1]} names the last of them"
            return Broken(what, writer, there + 1)
    return None


def _put_in(connection: sa.Connection, walk: _Walk) -> Broken | None:
    """Each decision has its event, so any event beyond those was never decided."""
    events = int(connection.exec_driver_sql("SELECT count(*) FROM events").scalar_one())
    if events == walk.decisions:
        return None
    row = connection.exec_driver_sql(_UNDECIDED).one()
    return Broken(f"event {row.event_id!r} of {row.tenant_id}/{row.module} has no decision: it was put in")
