"""Every row of the ledger held against its chain: what was changed, removed or put in since is found and named."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from fradect.adapters.chain import GENESIS, checkpoint_link
from fradect.adapters.database import count_values, open_database, reason, sqlite_path
from fradect.adapters.ledger_checkpoints import ENDS
from fradect.adapters.ledger_walk import SAME, Broken, Stretch, Walked, as_of_now, walk
from fradect.adapters.tables import chain_checkpoints, events, risk_decisions
from fradect.errors import NotFound, Unavailable

__all__ = ["Broken", "Checked", "End", "verify"]

ROWS = 25_000  # in a stretch
_WORTH_IT = 2  # stretches a process, at least: each takes a while to start

_UNDECIDED = f"""SELECT e.tenant_id, e.module, e.event_id FROM events e LEFT JOIN risk_decisions d {SAME}
WHERE d.id IS NULL ORDER BY e.observed_at LIMIT 1"""  # noqa: S608  our own names, no values

_Due = dict[int, tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain ends. Kept elsewhere, it shows later whether rows were taken from the end."""

    writer: str
    chain_seq: int
    row_hash: str


@dataclass(frozen=True, slots=True)
class Checked:
    """`decisions`: those that are as they were written; `broken` is None when all are. `ends`: of all chains."""

    decisions: int
    checkpoints: int
    ends: tuple[End, ...]
    broken: Broken | None


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the database held when the verification began."""

    checkpoints: Sequence[sa.Row[Any]]
    ends: tuple[End, ...]
    decisions: int
    stray: Broken | None


def verify(url: str, kept: Sequence[End] = (), tell: Callable[[int, int], None] = lambda _done, _all: None) -> Checked:
    """Read every row, beside whoever writes. `kept`: ends of an earlier time, which must still be there.

    `tell` hears of rows done and rows in all. NotFound without a ledger, Unavailable when it cannot be read.
    """
    moment = _moment(url)
    broken, done = _broken_checkpoint(moment.checkpoints), 0
    if broken is None:
        due = _due(moment.checkpoints, kept)
        stretches = _stretches(moment.ends, due)
        for walked in _walked(url, stretches):
            done += walked.rows
            tell(done, moment.decisions)
            broken = walked.broken
            if broken is not None:
                break
        broken = broken or _taken_away(moment.ends, due) or moment.stray
    return Checked(done, len(moment.checkpoints), moment.ends, broken)


def _moment(url: str) -> _Moment:
    engine = open_database(url, kept=False)
    path = sqlite_path(engine)
    if path is not None and not path.exists():
        raise NotFound(f"there is no ledger at {path}: start the service first")
    try:
        count_values(engine, (events, risk_decisions))
        with as_of_now(engine) as connection:
            return _read(connection)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger cannot be read ({reason(error)}): was its service ever started?") from error
    finally:
        engine.dispose()


def _read(connection: sa.Connection) -> _Moment:
    checkpoints = connection.execute(sa.select(chain_checkpoints).order_by(chain_checkpoints.c.number)).all()
    ends = tuple(End(row.writer, row.chain_seq, bytes(row.row_hash).hex()) for row in connection.execute(ENDS))
    decisions, there = (
        int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in (risk_decisions, events)
    )
    return _Moment(checkpoints, ends, decisions, _put_in(connection) if there > decisions else None)


def _put_in(connection: sa.Connection) -> Broken | None:
    """Each decision has its event, and one alone; more of them were never decided."""
    row = connection.exec_driver_sql(_UNDECIDED).one_or_none()
    if row is None:
        return None
    return Broken(f"event {row.event_id!r} of {row.tenant_id}/{row.module} has no decision: it was put in")


def _walked(url: str, stretches: Sequence[Stretch]) -> Iterator[Walked]:
    """In order. Other processes, where they are worth it, begin at the end; this one at the beginning, at once."""
    others = min(len(os.sched_getaffinity(0)), len(stretches) // _WORTH_IT) - 1
    if others < 1:
        yield from map(walk, repeat(url), stretches)
        return
    with ProcessPoolExecutor(others, multiprocessing.get_context("spawn")) as pool:
        theirs = [pool.submit(walk, url, stretch) for stretch in reversed(stretches)]
        try:
            for stretch, begun in zip(stretches, reversed(theirs), strict=True):
                yield walk(url, stretch) if begun.cancel() else begun.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _stretches(ends: Sequence[End], due: Mapping[str, _Due]) -> list[Stretch]:
    stretches = []
    for end in ends:
        named = due.get(end.writer, {})
        for first in range(1, end.chain_seq + 1, ROWS):
            last = min(first + ROWS - 1, end.chain_seq)
            here = {seq: hash_ for seq, hash_ in named.items() if first <= seq <= last}
            stretches.append(Stretch(end.writer, first, last, here))
    return stretches


def _broken_checkpoint(checkpoints: Sequence[sa.Row[Any]]) -> Broken | None:
    previous = GENESIS
    for number, row in enumerate(checkpoints, start=1):
        linked = checkpoint_link(previous, row._asdict())
        if (row.number, row.prev_hash, row.hash) != (number, previous, linked):
            return Broken(f"checkpoint {number} ({row.day}) was changed or removed", row.writer, row.chain_seq)
        previous = row.hash
    return None


def _due(checkpoints: Sequence[sa.Row[Any]], kept: Sequence[End]) -> dict[str, _Due]:
    due: dict[str, _Due] = {}
    for row in checkpoints:
        due.setdefault(row.writer, {})[row.chain_seq] = (row.row_hash, f"the checkpoint of {row.day}")
    for end in kept:
        due.setdefault(end.writer, {})[end.chain_seq] = (bytes.fromhex(end.row_hash), "the end that was kept")
    return due


def _taken_away(ends: Sequence[End], due: Mapping[str, _Due]) -> Broken | None:
    reached = {end.writer: end.chain_seq for end in ends}
    for writer in sorted(due):
        there, last = reached.get(writer, 0), max(due[writer])
        if there < last:
            gone = f"row {last} is missing" if there == last - 1 else f"rows {there + 1} to {last} are missing"
            return Broken(f"{gone}: {due[writer][last][1]} names the last of them", writer, there + 1)
    return None
