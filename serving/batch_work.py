"""Rows of a batch decided, each the way a request is."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from fradect import decide
from fradect.errors import FradectError, InvalidInput, Unavailable
from fradect.jobs import ONE_OF, REJECTED, Leased, Tally
from serving.batch_room import SpareRoom
from serving.batch_rows import Row, body_of, id_in
from serving.problems import TITLES
from serving.purchases import Received
from serving.routes import READERS, Wired, new_request_id

TRIES, PAUSE_SECONDS = 10, 0.25
MOST_FAILURES = 8
"""After which the rest of the rows wait; fewer may be the rows' own."""


class RowProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a row was not decided, as a problem says it."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


class DecidedRow(msgspec.Struct, frozen=True):
    """A row's answer, as a request's. Rows are counted from 1."""

    row: int
    transaction_id: str
    answer: Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/Answer"})]


class RejectedRow(msgspec.Struct, frozen=True):
    """A row that was not decided, and why. The id is told wherever it could be read as one."""

    row: int
    transaction_id: str | None
    problem: RowProblem


class Came(NamedTuple):
    """What came of a row: a line of the result, and what it counts as."""

    line: bytes
    counts: Tally


class Away(Unavailable):
    """Something that every decision needs is gone: what is left of the rows waits for it."""


@dataclass(slots=True)
class _Some:
    """Rows of one job, by number: what came of them, and what kept others from it the last time."""

    job: Leased
    came: dict[int, Came] = field(default_factory=dict)
    failed: dict[int, Unavailable] = field(default_factory=dict)


class Deciding:
    """Decides rows of jobs on the event loop that requests are decided on, as there is room."""

    def __init__(self, wired: Wired, is_blind: Callable[[], bool], room: SpareRoom) -> None:
        """`is_blind`: whether decisions are made without the live state now."""
        self._wired, self._is_blind, self._room = wired, is_blind, room

    async def rows(self, job: Leased, rows: Sequence[Row]) -> list[Came]:
        """What came of each, in their order. Away when that cannot be said of all of them now; those that were decided
        get the same decision the next time."""
        some = _Some(job)
        for again in range(TRIES):
            await self._all(some, [row for row in rows if row.number not in some.came])
            if len(some.came) == len(rows):
                return [some.came[row.number] for row in rows]
            await asyncio.sleep(PAUSE_SECONDS * (again + 1))
        if not await self._is_there(some, rows):
            raise Away(f"job {job.job_id}: rows from {rows[0].number} on cannot be decided now")
        return [some.came.get(row.number) or _rejected(row, None, some.failed[row.number]) for row in rows]

    async def _all(self, some: "_Some", rows: Sequence[Row]) -> None:
        # A request cannot wait for what is away, and is decided without. Rows can: but for one, by which it is tried.
        failures: list[Unavailable] = []
        async with asyncio.TaskGroup() as together:
            for row in rows[:1] if self._is_blind() else rows:
                began = await self._room.enter()
                together.create_task(self._one(some, row, began, failures))
                if len(failures) >= MOST_FAILURES:
                    return

    async def _one(self, some: "_Some", row: Row, began: float, failures: list[Unavailable]) -> None:
        try:
            found = await self._row(some.job, row)
        finally:
            self._room.leave(began)
        if isinstance(found, Unavailable):
            some.failed[row.number] = found
            failures.append(found)
        else:
            some.came[row.number] = found

    async def _is_there(self, some: "_Some", rows: Sequence[Row]) -> bool:
        """Whether it is the rows' own fault, each having failed every time: others get their answer."""
        if not some.failed.keys() >= {row.number for row in rows if row.number not in some.came}:
            return False
        decided = (row for row in rows if row.number in some.came and some.came[row.number].counts != REJECTED)
        another = next(decided, None)
        return another is not None and isinstance(await self._row(some.job, another), Came)

    async def _row(self, job: Leased, row: Row) -> Came | Unavailable:
        asked: decide.Request | None = None
        try:
            if row.problem is not None:
                raise row.problem
            deciding = self._wired.champions.deciding(job.module, job.tenant_id)
            asked = self._request(job, row, deciding.champion)
            decided = await self._wired.beside.decide(self._wired.decider, deciding, asked)
        except Unavailable as error:
            return error
        except FradectError as error:
            return _rejected(row, asked, error)
        self._wired.metrics.decided_in_batch(decided.decision, job.module)
        return _answered(row, asked, decided)

    def _request(self, job: Leased, row: Row, champion: decide.Champion) -> decide.Request:
        wired = self._wired
        body = body_of(row.body, include_factors=job.include_factors)
        received = Received(job.tenant_id, wired.source.now(), new_request_id())
        ranges = wired.ip_tables.of(job.module, job.tenant_id)
        currency = champion.release.policy.base_currency
        return READERS[job.module](body, received, wired.vault, currency, ranges)


class _Outcome(msgspec.Struct):
    decision: str


_outcome = msgspec.json.Decoder(_Outcome)


def _answered(row: Row, asked: decide.Request, decided: decide.Decided) -> Came:
    result = DecidedRow(row.number, asked.event.event_id, msgspec.Raw(decided.answer))
    return Came(msgspec.json.encode(result) + b"\n", ONE_OF[_outcome.decode(decided.answer).decision])


def _rejected(row: Row, asked: decide.Request | None, error: FradectError) -> Came:
    field = error.field if isinstance(error, InvalidInput) else None
    kind = f"urn:fradect:problem:{error.type}"
    problem = RowProblem(kind, TITLES[error.type], error.status, _printable(str(error)), field and _printable(field))
    event_id = id_in(row.body) if asked is None else asked.event.event_id
    result = RejectedRow(row.number, event_id, problem)
    return Came(msgspec.json.encode(result) + b"\n", REJECTED)


def _printable(text: str) -> str:
    """Encodable whatever stood in the row."""
    return text[:500].encode("utf-8", "replace").decode()
