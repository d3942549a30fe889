"""What callers are told of batches."""

from typing import Literal

import msgspec

from fradect.deliveries import written
from fradect.jobs import Format, Job, JobState, Kept, Upload
from serving.schemas import Time

Status = Literal["PROCESSING", "COMPLETED", "CANCELLED", "FAILED"]

_STATUS: dict[JobState, Status] = {
    JobState.WAITING: "PROCESSING",
    JobState.RUNNING: "PROCESSING",
    JobState.DONE: "COMPLETED",
    JobState.CANCELLED: "CANCELLED",
    JobState.FAILED: "FAILED",
}


class UploadOut(msgspec.Struct, frozen=True):
    """A file that was sent. `rows` may count blank lines. Without a job it is deleted at `expires_at`."""

    upload_id: str
    format: Format
    bytes: int
    rows: int
    created_at: Time
    expires_at: Time


class ByDecision(msgspec.Struct, frozen=True, rename="upper"):
    """Rows by their decision."""

    approve: int
    review: int
    decline: int


class JobOut(msgspec.Struct, frozen=True):
    """A batch as it stands. `total` may count blank lines until it is completed.

    `rejected` rows were not decided; the result says why, row by row. `estimated_completion`: by the speed so far.
    """

    job_id: str
    module: str
    status: Status
    total: int
    done: int
    progress: float
    decisions: ByDecision
    rejected: int
    items_per_second: float | None
    estimated_completion: Time | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    result: str | None
    problem: str | None


class JobsOut(msgspec.Struct, frozen=True):
    """The newest first. `next`: the value of `before` for those that follow."""

    jobs: tuple[JobOut, ...]
    next: str | None


def upload_out(upload: Upload, kept: Kept) -> UploadOut:
    ends = upload.created_at + kept.unused_upload
    return UploadOut(upload.id, upload.format, upload.size, upload.rows, written(upload.created_at), written(ends))


def job_out(job: Job, completes_at: int | None) -> JobOut:
    tally, speed = job.tally, job.per_second()
    return JobOut(
        job_id=job.id,
        module=job.module,
        status=_STATUS[job.state],
        total=job.total,
        done=tally.rows,
        progress=1.0 if job.state is JobState.DONE else round(tally.rows / max(job.total, 1), 4),
        decisions=ByDecision(tally.approved, tally.in_review, tally.declined),
        rejected=tally.rejected,
        items_per_second=None if speed is None else round(speed, 1),
        estimated_completion=_when(completes_at),
        created_at=written(job.created_at),
        started_at=_when(job.started_at),
        finished_at=_when(job.finished_at),
        result=f"/api/v1/batch/jobs/{job.id}/result" if job.state.is_over else None,
        problem=job.problem,
    )


def _when(micros: int | None) -> str | None:
    return None if micros is None else written(micros)
