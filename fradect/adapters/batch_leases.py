"""Jobs as their workers see them: leased, worked off chunk by chunk, given back. Several workers share one database."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from fradect.adapters.batch_sql import ITEMS_FIELD, UNFINISHED, Vault, forget_upload, reading, upload_of, writing
from fradect.adapters.batch_tables import batch_chunks, batch_jobs, batch_uploads
from fradect.crash import crash_point
from fradect.jobs import LEASE, Allowed, Chunk, JobState, Leased, LeaseLost

_j, _u = batch_jobs.c, batch_uploads.c
_LEVEL = 3  # of deflation: a chunk is small, and beside it callers wait


class SqlLeases:
    """Everybody's jobs, for one worker."""

    def __init__(
        self, engine: sa.Engine, vault: Vault, forget: Callable[[str], None], allowed: Allowed | None = None
    ) -> None:
        """`forget` deletes an upload's file, whose key is gone by then."""
        self._most = (allowed or Allowed()).working
        self._engine = engine
        self._vault = vault
        self._forget = forget

    def inherit(self, now: int) -> None:
        """End every lease: only for who knows that all the other workers are gone, as the one service of a SQLite
        ledger does."""
        with writing(self._engine) as connection:
            held = batch_jobs.update().where(UNFINISHED, _j.lease_until > now)
            connection.execute(held.values(lease_until=now, owner=None))

    def due(self, now: int) -> list[str]:
        """Tenants with a job that nobody works on, unless as many of theirs are worked on as may be."""
        waits, works = _j.lease_until <= now, _j.lease_until > now
        each = sa.select(_j.tenant_id).where(UNFINISHED).group_by(_j.tenant_id)
        wanted = each.having(sa.func.count().filter(waits) > 0, sa.func.count().filter(works) < self._most)
        with reading(self._engine) as connection:
            return list(connection.execute(wanted).scalars())

    def lease(self, tenant_id: str, owner: str, now: int) -> Leased | None:
        """The tenant's job that was left alone longest; nobody else gets it until the lease ends."""
        due = sa.select(_j.id).where(_j.tenant_id == tenant_id, UNFINISHED, _j.lease_until <= now)
        first = due.order_by(_j.lease_until, _j.id).limit(1).with_for_update(skip_locked=True)
        mine = {"state": str(JobState.RUNNING), "owner": owner, "fence": _j.fence + 1, "lease_until": now + LEASE}
        mine["started_at"] = sa.func.coalesce(_j.started_at, now)
        with writing(self._engine) as connection:
            job_id = connection.execute(first).scalar_one_or_none()
            if job_id is None:
                return None
            row = connection.execute(
                batch_jobs.update().where(_j.id == job_id).values(mine).returning(batch_jobs)
            ).one()
            sent = sa.select(batch_uploads).where(_u.id == row.upload_id)
            upload = connection.execute(sent).one_or_none() if row.upload_id is not None else None
        return self._leased(row, upload)

    def _leased(self, row: sa.Row[Any], upload: sa.Row[Any] | None) -> Leased:
        items = None if row.items is None else self._vault.open(row.tenant_id, ITEMS_FIELD, row.id, row.items).encode()
        return Leased(
            job_id=row.id,
            tenant_id=row.tenant_id,
            module=row.module,
            include_factors=row.include_factors,
            owner=row.owner,
            fence=row.fence,
            until=row.lease_until,
            position=row.position,
            taken=row.taken,
            chunks=row.chunks,
            total=row.total,
            created_at=row.created_at,
            upload=None if upload is None else upload_of(upload, self._vault),
            items=items,
        )

    def commit(self, leased: Leased, chunk: Chunk, now: int) -> Leased:
        """Results and progress in one transaction; the lease begins anew. LeaseLost when it is another's by now."""
        crash_point("batch-decided")
        taken, until, tally = leased.taken + chunk.tally.rows, now + LEASE, chunk.tally
        values: dict[str, Any] = {
            "taken": taken,
            "position": chunk.position,
            "chunks": leased.chunks + 1,
            "total": sa.case((_j.total < taken, taken), else_=_j.total),
            "approved": _j.approved + tally.approved,
            "in_review": _j.in_review + tally.in_review,
            "declined": _j.declined + tally.declined,
            "rejected": _j.rejected + tally.rejected,
            "worked_us": _j.worked_us + chunk.worked_us,
            "lease_until": until,
        }
        if chunk.is_last:
            values |= _ended(JobState.DONE, now) | {"total": taken}
        upload_id = leased.upload.id if leased.upload is not None and chunk.is_last else None
        result = {"job_id": leased.job_id, "number": leased.chunks, "rows": tally.rows}
        with writing(self._engine) as connection:
            _change(connection, leased, values)
            body = zlib.compress(chunk.results, _LEVEL)
            connection.execute(batch_chunks.insert(), result | {"body": body})
            forget_upload(connection, upload_id)
        crash_point("batch-committed")
        if upload_id is not None:
            self._forget(upload_id)
        return replace(leased, taken=taken, position=chunk.position, chunks=leased.chunks + 1, until=until)

    def renew(self, leased: Leased, now: int) -> Leased:
        """Still at work, with nothing to show yet. LeaseLost when it is another's by now."""
        with writing(self._engine) as connection:
            _change(connection, leased, {"lease_until": now + LEASE})
        return replace(leased, until=now + LEASE)

    def give_back(self, leased: Leased, until: int) -> None:
        """Whoever is next may have it from then on. LeaseLost when it is another's already."""
        with writing(self._engine) as connection:
            _change(connection, leased, {"lease_until": until, "owner": None})

    def fail(self, leased: Leased, problem: str, now: int) -> None:
        """Nobody will be able to read it. LeaseLost when it is another's by now."""
        upload_id = None if leased.upload is None else leased.upload.id
        with writing(self._engine) as connection:
            _change(connection, leased, _ended(JobState.FAILED, now) | {"problem": problem})
            forget_upload(connection, upload_id)
        if upload_id is not None:
            self._forget(upload_id)


def _ended(state: JobState, now: int) -> dict[str, Any]:
    """What was sent is not kept a moment longer than it is needed."""
    return {"state": str(state), "finished_at": now, "owner": None, "items": None}


def _change(connection: sa.Connection, leased: Leased, values: dict[str, Any]) -> None:
    mine = (_j.id == leased.job_id, _j.owner == leased.owner, _j.fence == leased.fence, _j.state == JobState.RUNNING)
    if not connection.execute(batch_jobs.update().where(*mine).values(values)).rowcount:
        raise LeaseLost(f"job {leased.job_id} was cancelled, or is worked on elsewhere by now")
