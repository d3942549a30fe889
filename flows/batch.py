"""A file decided by the running service: sent, followed, its result brought back.

The service works batches off by itself, whoever asked for them. This only asks: it can be interrupted, or killed, at
any point, and take up the job again by its id.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect import flow

from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring.batching import Door, door, publishing
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable

KINDS = {".ndjson": "application/x-ndjson", ".jsonl": "application/x-ndjson", ".csv": "text/csv"}
KINDS |= {".parquet": "application/vnd.apache.parquet"}
FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}
JOBS = "/api/v1/batch/jobs"
LOOK_SECONDS, PATIENCE_SECONDS = 1.0, 300.0
_PIECE = 1 << 20

Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a file's rows are, and whether reasons are wanted."""

    module: str = "ecommerce"
    include_factors: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """A job that is over, and where its result was left."""

    job: Job
    result: Path | None


class Batches:
    """The service's routes of batches. Problems come as errors; while it is away, what may be asked again is."""

    def __init__(self, where: Door) -> None:
        self._url = where.url
        self._http = httpx.Client(base_url=where.url, headers={"X-API-Key": where.key}, timeout=60, trust_env=False)

    def send(self, file: Path) -> str:
        """The id of the upload."""
        kind = KINDS.get(file.suffix)
        if kind is None or not file.is_file():
            raise InvalidInput(f"{file}: give a file that ends in {', '.join(KINDS)}", "file")
        headers = {"Content-Type": kind, "Content-Length": str(file.stat().st_size)}
        try:
            answer = self._http.post("/api/v1/batch/uploads", content=_pieces(file), headers=headers)
        except httpx.TransportError as error:
            raise Unavailable(f"{self._url} did not take the file whole: {_start(error)}") from error
        return str(_known(answer)["upload_id"])

    def submit(self, upload_id: str, asked: Asked) -> Job:
        body = {"upload_id": upload_id, "module": asked.module, "options": {"include_factors": asked.include_factors}}
        return self._patiently("POST", "/api/v1/batch/score", json=body)

    def job(self, job_id: str) -> Job:
        return self._patiently("GET", f"{JOBS}/{job_id}")

    def jobs(self, most: int) -> list[Job]:
        return list(self._patiently("GET", JOBS, params={"limit": most})["jobs"])

    def cancel(self, job_id: str) -> Job:
        return self._patiently("POST", f"{JOBS}/{job_id}/cancel")

    def fetch(self, job: Job, result: Path) -> None:
        """The file is there whole or not at all."""
        form = FORMATS.get(result.suffix)
        if form is None:
            raise InvalidInput(f"{result}: name a result that ends in {', '.join(FORMATS)}", "result")
        result.parent.mkdir(parents=True, exist_ok=True)
        with publishing(result) as staging, staging.open("wb") as file:
            try:
                with self._http.stream("GET", job["result"], params={"format": form}) as answer:
                    if not answer.is_success:
                        answer.read()
                        _known(answer)
                    for piece in answer.iter_bytes(_PIECE):
                        file.write(piece)
            except httpx.TransportError as error:
                remedy = f"`fradect batch follow {job['job_id']} --result {result}` brings it again"
                raise Unavailable(f"the result broke off: {remedy}") from error

    def close(self) -> None:
        self._http.close()

    def _patiently(self, method: str, path: str, **request: Any) -> Job:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, **request)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    return _known(answer)
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"no service answers at {self._url}: {_start(error)}") from error
            time.sleep(LOOK_SECONDS)


def follow(batches: Batches, job: Job, result: Path | None) -> Scored:
    """Until it is over; Refused when it was not completed. Its result, as far as it came, is left all the same."""
    with announced("batch") as told:
        while job["status"] == "PROCESSING":
            advance(job["done"], job["total"], _progress(job))
            time.sleep(LOOK_SECONDS)
            job = batches.job(job["job_id"])
        told.words = _progress(job)
    if result is not None:
        with announced("result") as told:
            batches.fetch(job, result)
            told.words = str(result)
    if job["status"] != "COMPLETED":
        raise Refused(f"job {job['job_id']} is {job['status'].lower()}: {job['problem'] or 'somebody cancelled it'}")
    return Scored(job, result)


@stage()
def score_file(file: Path, result: Path | None, asked: Asked, where: Door) -> Scored:
    """Every row of the file decided, what came of each in `result`."""
    batches = Batches(where)
    try:
        with announced("upload") as told:
            upload_id = batches.send(file)
            job = batches.submit(upload_id, asked)
            told.words = f"job {job['job_id']}"
        return follow(batches, job, result)
    finally:
        batches.close()


@flow(name="batch-scoring", log_prints=True)
def batch_flow(
    source: str, result: str, tenant: str = "demo", module: str = "ecommerce", url: str | None = None
) -> dict[str, Any]:
    """A file of the machine that the flow runs on, decided by the service; the job as it ended."""
    return score_file(Path(source), Path(result), Asked(module), door(tenant, url, None)).job


def _progress(job: Job) -> str:
    speed = job["items_per_second"]
    words = f"{job['done']:,} of {job['total']:,}, {job['rejected']:,} rejected"
    return words if speed is None else f"{words}, {speed:,.0f} a second"


def _pieces(file: Path) -> Iterator[bytes]:
    size, sent = file.stat().st_size, 0
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            sent += len(piece)
            advance(sent, size, file.name)
            yield piece


def _start(error: httpx.TransportError) -> str:
    return f"start it with `fradect serve`, or say where it is with --url ({type(error).__name__})"


def _known(answer: httpx.Response) -> Job:
    if answer.is_success:
        found: Job = answer.json()
        return found
    problem = answer.json() if "json" in answer.headers.get("content-type", "") else {"title": answer.text[:200]}
    words = f"{answer.status_code} {problem['title']}: {problem.get('detail', '')}"
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(words)
    raise Unavailable(words) if answer.is_server_error else InvalidInput(words, problem.get("field"))
