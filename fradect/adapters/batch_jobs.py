"""Jobs as their owner sees them: submitted, looked at, cancelled, and their results."""

import secrets
import zlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from fradect.adapters.batch_sql import ITEMS_FIELD, UNFINISHED, Vault, forget_upload, job_of, reading, writing
from fradect.adapters.batch_tables import batch_chunks, batch_jobs, batch_uploads
from fradect.adapters.batch_uploads import READY, TAKEN
from fradect.decide import DifferentBody
from fradect.errors import NotFound, Refused
from fradect.jobs import Allowed, Job, JobState, Kept, NewJob, QuotaExceeded

_j, _u, _c = batch_jobs.c, batch_uploads.c, batch_chunks.c
_PRUNED = 100


class SqlJobs:
    """Whoever asks names the tenant; what is another tenant's is NotFound."""

    def __init__(
        self, engine: sa.Engine, vault: Vault, forget: Callable[[str], None], allowed: Allowed | None = None
    ) -> None:
        """`forget` deletes an upload's file, whose key is gone by then."""
        self._engine = engine
        self._vault = vault
        self._forget = forget
        self._allowed = allowed or Allowed()

    def submit(self, job: NewJob) -> Job:
        """Durable when it returns. The same again, by its key or its upload, is the job that is there already.

        DifferentBody when it is another under the same; NotFound without the upload; QuotaExceeded when too many wait.
        """
        with writing(self._engine) as connection:
            there = self._known(connection, job)
            if there is not None:
                if there.request_digest != job.request_digest:
                    raise DifferentBody(f"it was used for another batch ({there.id}): use a new one")
                return job_of(there)
            self._check(connection, job.tenant_id)
            total = job.total if job.upload_id is None else _take(connection, job.tenant_id, job.upload_id)
            row = self._row(job, total)
            connection.execute(batch_jobs.insert(), row)
            return job_of(connection.execute(sa.select(batch_jobs).where(_j.id == row["id"])).one())

    def _known(self, connection: sa.Connection, job: NewJob) -> sa.Row[Any] | None:
        same = [_j.idempotency_key == job.idempotency_key] if job.idempotency_key is not None else []
        same += [_j.upload_id == job.upload_id] if job.upload_id is not None else []
        if not same:
            return None
        known = sa.select(batch_jobs).where(_j.tenant_id == job.tenant_id, sa.or_(*same)).order_by(_j.id).limit(1)
        return connection.execute(known).one_or_none()

    def _check(self, connection: sa.Connection, tenant_id: str) -> None:
        mine = sa.select(sa.func.count()).where(_j.tenant_id == tenant_id, UNFINISHED)
        if connection.execute(mine).scalar_one() >= self._allowed.unfinished:
            raise QuotaExceeded(f"{self._allowed.unfinished} jobs wait already: ask again when some are done")

    def _row(self, job: NewJob, total: int) -> dict[str, Any]:
        job_id = f"job_{job.created_at:013x}{secrets.token_hex(6)}"
        items = None
        if job.items is not None:
            items = self._vault.seal(job.tenant_id, ITEMS_FIELD, job_id, job.items.decode())
        counts = dict.fromkeys(("taken", "position", "chunks", "approved", "in_review", "declined", "rejected"), 0)
        return counts | {
            "id": job_id,
            "tenant_id": job.tenant_id,
            "module": job.module,
            "state": str(JobState.WAITING),
            "upload_id": job.upload_id,
            "items": items,
            "include_factors": job.include_factors,
            "idempotency_key": job.idempotency_key,
            "request_digest": job.request_digest,
            "total": total,
            "worked_us": 0,
            "created_at": job.created_at,
            "fence": 0,
            "lease_until": job.created_at,
        }

    def shown(self, tenant_id: str, job_id: str) -> Job:
        with reading(self._engine) as connection:
            return job_of(_one(connection, tenant_id, job_id))

    def listed(self, tenant_id: str, most: int, before: str | None = None) -> list[Job]:
        """The newest first."""
        mine = sa.select(batch_jobs).where(_j.tenant_id == tenant_id).order_by(_j.id.desc()).limit(most)
        with reading(self._engine) as connection:
            return [job_of(row) for row in connection.execute(mine if before is None else mine.where(_j.id < before))]

    def cancel(self, tenant_id: str, job_id: str, now: int) -> Job:
        """What was decided stays so; nothing more is begun. Refused when it is over otherwise."""
        with writing(self._engine) as connection:
            row = _one(connection, tenant_id, job_id)
            if JobState(row.state).is_over and row.state != JobState.CANCELLED:
                raise Refused(f"job {job_id} is {row.state} already")
            ended = {"state": str(JobState.CANCELLED), "finished_at": now, "items": None, "owner": None}
            connection.execute(batch_jobs.update().where(_j.id == job_id, UNFINISHED).values(ended))
            forget_upload(connection, row.upload_id)
            cancelled = job_of(_one(connection, tenant_id, job_id))
        if row.upload_id is not None:
            self._forget(row.upload_id)
        return cancelled

    def results(self, job_id: str, number: int) -> bytes | None:
        """The lines of one chunk, from 0; None when there is no such chunk. The caller knows whose job it is."""
        wanted = sa.select(_c.body).where(_c.job_id == job_id, _c.number == number)
        with reading(self._engine) as connection:
            body = connection.execute(wanted).scalar_one_or_none()
        return None if body is None else zlib.decompress(body)

    def unfinished(self) -> tuple[int, int]:
        """How many wait for a worker, and how many rows are yet to be decided, everybody's."""
        wanted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_j.total - _j.taken), 0)).where(UNFINISHED)
        with reading(self._engine) as connection:
            jobs, rows = connection.execute(wanted).one()
        return jobs, max(0, int(rows))

    def prune(self, kept: Kept, now: int) -> None:
        """Forget jobs that ended long ago, their results first, a little at a time."""
        old = sa.select(_j.id).where(_j.finished_at < now - kept.result).order_by(_j.finished_at).limit(_PRUNED)
        with reading(self._engine) as connection:
            ids = connection.execute(old).scalars().all()
            some = sa.select(_c.job_id, _c.number).where(_c.job_id.in_(ids)).limit(_PRUNED)
            chunks = connection.execute(some).all()
        if not ids:
            return
        with writing(self._engine) as connection:
            for job_id, number in chunks:
                connection.execute(batch_chunks.delete().where(_c.job_id == job_id, _c.number == number))
            if len(chunks) < _PRUNED:
                connection.execute(batch_jobs.delete().where(_j.id.in_(ids)))


def _one(connection: sa.Connection, tenant_id: str, job_id: str) -> sa.Row[Any]:
    wanted = sa.select(batch_jobs).where(_j.id == job_id, _j.tenant_id == tenant_id)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id[:64]!r}")
    return row


def _take(connection: sa.Connection, tenant_id: str, upload_id: str) -> int:
    """The upload is the job's from now on; how many rows it may have."""
    mine = (_u.id == upload_id, _u.tenant_id == tenant_id, _u.state == READY)
    taken = batch_uploads.update().where(*mine).values(state=TAKEN).returning(_u.rows)
    rows = connection.execute(taken).scalar_one_or_none()
    if rows is None:
        raise NotFound(f"no upload {upload_id[:64]!r}: it was never sent whole, or was deleted after a day")
    return int(rows)
