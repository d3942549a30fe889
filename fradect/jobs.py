"""Batches: what is to be decided in the background, who works on it, and what came of it.

A job is worked off in chunks. Whoever works on it holds a lease, which ends by itself; each lease has a fence, and
nothing is written under any but the last. So a job that was left goes on where its last chunk ended, and an item that
was decided by then gets the decision it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fradect.errors import FradectError, Refused
from fradect.types import DAY, SECOND, Action

MOST_ITEMS = 1_000
"""Of one request."""
MOST_ITEM_BYTES = 512 * 1024
MOST_ROWS = 1_000_000
"""Of one upload, where nothing else is set."""
MOST_ROW_BYTES = 64 * 1024

LEASE = 30 * SECOND
"""What a worker did not renew for so long is another's."""


class JobState(StrEnum):
    """Failed: it could not be read. What was decided of it stays decided, as it does of one that is cancelled."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        return self in (JobState.DONE, JobState.CANCELLED, JobState.FAILED)


class Format(StrEnum):
    """What an upload is written in."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class LeaseLost(Refused):
    """Somebody else works on the job by now, or nobody does: what this holder has is not written."""


class QuotaExceeded(FradectError):
    """More is kept for the tenant, or waits for it, than it may have."""

    status = 429
    type = "quota-exceeded"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one tenant may have here at a time. Bytes are those of the files as they were sent, rows those of one file.

    `working`: how many of its jobs are worked on at once, by however many workers there are.
    """

    rows: int = MOST_ROWS
    upload_bytes: int = 1 << 30
    tenant_bytes: int = 4 << 30
    receiving: int = 4
    unfinished: int = 10_000
    working: int = 64


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long what is done with stays, in microseconds."""

    result: int = 30 * DAY
    unused_upload: int = DAY


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows by what came of them."""

    approved: int = 0
    in_review: int = 0
    declined: int = 0
    rejected: int = 0

    @property
    def rows(self) -> int:
        return self.approved + self.in_review + self.declined + self.rejected

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.approved + other.approved,
            self.in_review + other.in_review,
            self.declined + other.declined,
            self.rejected + other.rejected,
        )


ONE_OF: Mapping[str, Tally] = {
    Action.APPROVE.name: Tally(approved=1),
    Action.REVIEW.name: Tally(in_review=1),
    Action.DECLINE.name: Tally(declined=1),
}
REJECTED = Tally(rejected=1)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be decided: the upload of that id, or `items`, lines of JSON. `total`: how many rows it may be.

    `idempotency_key`: SHA-256, in hexadecimal, of the caller's; `request_digest` tells apart what was asked under it.
    """

    tenant_id: str
    module: str
    request_digest: str
    total: int
    created_at: int
    include_factors: bool = False
    upload_id: str | None = None
    items: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `total` is what line ends say until the job is done. `worked_us`: how long it was worked on.
    Times are microseconds."""

    id: str
    tenant_id: str
    module: str
    state: JobState
    total: int
    tally: Tally
    chunks: int
    worked_us: int
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    problem: str | None = None

    def completes_at(self, now: int) -> int | None:
        """By the speed it had so far; None while nothing is known of that, and when it is over."""
        if self.state.is_over or not self.worked_us or not self.tally.rows:
            return None
        return now + int((self.total - self.tally.rows) * self.worked_us / self.tally.rows)

    def per_second(self) -> float | None:
        return self.tally.rows / self.worked_us * SECOND if self.worked_us else None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was sent. `key` makes it readable."""

    id: str
    tenant_id: str
    format: Format
    size: int
    rows: int
    created_at: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leased:
    """A job that this worker alone may write to, until `until`: from `position` on, the row after `taken`."""

    job_id: str
    tenant_id: str
    module: str
    include_factors: bool
    owner: str
    fence: int
    until: int
    position: int
    taken: int
    chunks: int
    total: int
    created_at: int
    upload: Upload | None
    items: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What came of the rows up to `position`: a line of JSON for each. `is_last`: there are no more."""

    results: bytes
    tally: Tally
    position: int
    worked_us: int
    is_last: bool = False
