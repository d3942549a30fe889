"""Transactions over the tables of batches, and their rows as values."""

from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from fradect.adapters import database
from fradect.adapters.batch_tables import batch_jobs, batch_uploads
from fradect.jobs import Format, Job, JobState, Tally, Upload

KEY_FIELD, ITEMS_FIELD = "batch_key", "batch_items"
"""The names under which keys of uploads, and items, are sealed."""

_STATES: list[sa.ColumnElement[str]] = [
    sa.literal_column(f"'{state}'") for state in (JobState.WAITING, JobState.RUNNING)
]
UNFINISHED = batch_jobs.c.state.in_(_STATES)  # in the statement, so that its own index serves


class Vault(Protocol):
    """As fradect.ports.Vault."""

    def seal(self, tenant_id: str, field: str, row: str, text: str) -> str: ...
    def open(self, tenant_id: str, field: str, row: str, cipher: str) -> str: ...


_LOST = "batches: the database does not answer"
reading, writing = partial(database.reading, lost=_LOST), partial(database.writing, lost=_LOST)


def job_of(row: sa.Row[Any]) -> Job:
    return Job(
        id=row.id,
        tenant_id=row.tenant_id,
        module=row.module,
        state=JobState(row.state),
        total=row.total,
        tally=Tally(row.approved, row.in_review, row.declined, row.rejected),
        chunks=row.chunks,
        worked_us=row.worked_us,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        problem=row.problem,
    )


def upload_of(row: sa.Row[Any], vault: Vault) -> Upload:
    key = bytes.fromhex(vault.open(row.tenant_id, KEY_FIELD, row.id, row.key))
    return Upload(row.id, row.tenant_id, Format(row.format), row.bytes, row.rows, row.created_at, key)


def forget_upload(connection: sa.Connection, upload_id: str | None) -> None:
    """With its key goes whatever is left of the file."""
    if upload_id is not None:
        connection.execute(batch_uploads.delete().where(batch_uploads.c.id == upload_id))
