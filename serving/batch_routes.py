"""Routes of batches: files and jobs of the caller's tenant, and what came of them."""

import csv
import hashlib
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fradect.errors import Conflict, InvalidInput, NotFound, Unavailable
from fradect.jobs import Job, Kept, NewJob
from fradect.turns import OwnThread
from fradect.types import SECOND
from serving.auth import caller_of
from serving.batch_body import lines, read_batch
from serving.batch_schemas import JobOut, JobsOut, job_out, upload_out
from serving.batch_uploads import Receiver
from serving.idempotency import key_of
from serving.purchases import Received

JSON = "application/json"
SECONDS = 10.0
MOST_LISTED = 100
_ID = re.compile(r"(job|upl)_[0-9a-f]{13,40}")
_FORMATS = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_RISKY = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = ("row", "transaction_id", "decision", "score", "decision_id", "release", "problem", "detail", "field")

T = TypeVar("T")
Answering = Callable[[Request], Awaitable[Response]]


class Jobs(Protocol):
    """As fradect.adapters.batch_jobs.SqlJobs."""

    def submit(self, job: NewJob) -> Job: ...
    def shown(self, tenant_id: str, job_id: str) -> Job: ...
    def listed(self, tenant_id: str, most: int, before: str | None = None) -> list[Job]: ...
    def cancel(self, tenant_id: str, job_id: str, now: int) -> Job: ...
    def results(self, job_id: str, number: int) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What the routes stand on. `wake` has the runner look for work; `speed` is what it last made in a second."""

    jobs: Jobs
    receiver: Receiver
    thread: OwnThread
    wake: Callable[[], None]
    speed: Callable[[], float | None]
    modules: frozenset[str]
    now: Callable[[], int]
    kept: Kept

    async def call(self, do: Callable[..., T], *args: Any) -> T:
        try:
            return await self.thread.call(SECONDS, do, *args)
        except TimeoutError as error:
            raise Unavailable("the database of batches did not answer in time; ask again in a second") from error

    async def later(self, module: str, received: Received, body: dict[str, Any], key: str | None) -> Response:
        """One request as a job of its own, which is told of like every decision."""
        options = {name: value for name, value in body.get("options", {}).items() if name != "async"}
        line = lines(({**body, "options": options},))
        digest = hashlib.sha256(module.encode() + b"/one/" + line).hexdigest()
        job = NewJob(received.tenant_id, module, digest, 1, received.at, items=line, idempotency_key=key)
        return await self.submit(job)

    async def submit(self, job: NewJob) -> Response:
        """202 with where to look for it."""
        submitted = await self.call(self.jobs.submit, job)
        self.wake()
        where = {"Location": f"/api/v1/batch/jobs/{submitted.id}"}
        return Response(msgspec.json.encode(self.out(submitted)), 202, where, JSON)

    def out(self, job: Job) -> JobOut:
        now, speed = self.now(), self.speed()
        at = job.completes_at(now)
        if at is None and not job.state.is_over and speed:
            at = now + int((job.total - job.tally.rows) / speed * SECOND)
        return job_out(job, at)


class BatchRoutes:
    """The endpoints under /api/v1/batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def all(self) -> tuple[tuple[str, str, Answering], ...]:
        """Method, path and what answers."""
        root, one = "/api/v1/batch", "/api/v1/batch/jobs/{job_id}"
        return (
            ("POST", f"{root}/score", self.score),
            ("POST", f"{root}/uploads", self.upload),
            ("DELETE", f"{root}/uploads/{{upload_id}}", self.drop),
            ("GET", f"{root}/jobs", self.listed),
            ("GET", one, self.show),
            ("DELETE", one, self.cancel),
            ("POST", f"{one}/cancel", self.cancel),
            ("GET", f"{one}/result", self.result),
        )

    async def score(self, request: Request) -> Response:
        """Items, or a file that was sent, become a job."""
        batch, tenant_id, key = self._batch, caller_of(request).tenant_id, key_of(request)
        asked, raw = await read_batch(request)
        if asked.module not in batch.modules:
            raise InvalidInput(f"module: there is {', '.join(sorted(batch.modules))}", "module")
        if asked.upload_id is not None and not _ID.fullmatch(asked.upload_id):
            raise NotFound("no such upload")
        job = NewJob(
            tenant_id=tenant_id,
            module=asked.module,
            request_digest=hashlib.sha256(raw).hexdigest(),
            total=len(asked.items or ()),
            created_at=batch.now(),
            include_factors=asked.options.include_factors,
            upload_id=asked.upload_id,
            items=None if asked.items is None else lines(asked.items),
            idempotency_key=key,
        )
        return await batch.submit(job)

    async def upload(self, request: Request) -> Response:
        """A file for a job that is made of it next."""
        received = await self._batch.receiver.receive(request, caller_of(request).tenant_id)
        return Response(msgspec.json.encode(upload_out(received, self._batch.kept)), 201, media_type=JSON)

    async def drop(self, request: Request) -> Response:
        """The file is deleted at once, if no job has it."""
        upload_id, receiver = _id(request, "upload_id"), self._batch.receiver
        await self._batch.call(receiver.uploads.drop, caller_of(request).tenant_id, upload_id)
        await self._batch.call(receiver.files.delete, upload_id)
        return Response(status_code=204)

    async def listed(self, request: Request) -> Response:
        """The newest first."""
        batch, before = self._batch, request.query_params.get("before")
        most = _most(request.query_params.get("limit", "20"))
        jobs = await batch.call(batch.jobs.listed, caller_of(request).tenant_id, most, before)
        last = jobs[-1].id if len(jobs) == most else None
        return Response(msgspec.json.encode(JobsOut(tuple(map(batch.out, jobs)), last)), media_type=JSON)

    async def show(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self._batch.out(await self._job(request))), media_type=JSON)

    async def cancel(self, request: Request) -> Response:
        """Nothing more of it is decided."""
        batch, tenant_id = self._batch, caller_of(request).tenant_id
        job = await batch.call(batch.jobs.cancel, tenant_id, _id(request, "job_id"), batch.now())
        return Response(msgspec.json.encode(batch.out(job)), media_type=JSON)

    async def result(self, request: Request) -> Response:
        """What came of every row, as it was written down chunk by chunk."""
        form = request.query_params.get("format", "ndjson")
        if form not in _FORMATS:
            raise InvalidInput(f"format: give one of {', '.join(_FORMATS)}", "format")
        job = await self._job(request)
        if not job.state.is_over:
            raise Conflict(f"job {job.id} is not done: ask again when it is")
        headers = {"Content-Disposition": f'attachment; filename="{job.id}.{form}"'}
        return StreamingResponse(self._parts(job, form), media_type=_FORMATS[form], headers=headers)

    async def _parts(self, job: Job, form: str) -> AsyncIterator[bytes]:
        if form == "csv":
            yield ",".join(COLUMNS).encode() + b"\r\n"
        for number in range(job.chunks):
            part = await self._batch.call(self._batch.jobs.results, job.id, number)
            if part is None:  # who reads for a month loses what is read last
                raise Unavailable(f"the results of job {job.id} are not kept any more")
            yield part if form == "ndjson" else await self._batch.call(as_csv, part)

    async def _job(self, request: Request) -> Job:
        batch = self._batch
        return await batch.call(batch.jobs.shown, caller_of(request).tenant_id, _id(request, "job_id"))


def as_csv(part: bytes) -> bytes:
    """Lines of a result as rows of CSV. A text that a spreadsheet would take for a formula gets an apostrophe."""
    held = io.StringIO()
    writer = csv.writer(held)
    for line in part.splitlines():
        told = msgspec.json.decode(line)
        answer, problem = told.get("answer", {}), told.get("problem", {})
        names = [answer.get(name) for name in ("decision", "score", "decision_id", "release")]
        why = [problem.get(name) for name in ("type", "detail", "field")]
        writer.writerow(_harmless(value) for value in (told["row"], told.get("transaction_id"), *names, *why))
    return held.getvalue().encode()


def _harmless(value: str | int | None) -> str | int:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value


def _id(request: Request, name: str) -> str:
    given: str = request.path_params[name]
    if not _ID.fullmatch(given):
        raise NotFound("no such job" if name == "job_id" else "no such upload")
    return given


def _most(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MOST_LISTED):
        raise InvalidInput(f"limit: give a whole number from 1 to {MOST_LISTED}", "limit")
    return int(text)
