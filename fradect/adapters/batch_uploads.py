"""Uploads as rows: what a tenant has sent, and how much of it may lie here."""

import secrets

import sqlalchemy as sa

from fradect.adapters.batch_sql import KEY_FIELD, Vault, reading, upload_of, writing
from fradect.adapters.batch_tables import batch_uploads
from fradect.errors import Conflict, NotFound
from fradect.jobs import Allowed, Format, Kept, QuotaExceeded, Upload
from fradect.types import HOUR

_u = batch_uploads.c
RECEIVING, READY, TAKEN = "receiving", "ready", "taken"
_ABANDONED = HOUR  # what is received for so long was left by a process that died
_PRUNED = 100


class SqlUploads:
    """Whoever asks names the tenant; what is another tenant's is NotFound."""

    def __init__(self, engine: sa.Engine, vault: Vault, allowed: Allowed | None = None) -> None:
        self._engine = engine
        self._vault = vault
        self.allowed = allowed or Allowed()

    def begin(self, tenant_id: str, form: Format, now: int) -> Upload:
        """A file is about to come. QuotaExceeded when too many come already, or there is no room for another byte."""
        upload_id, key = f"upl_{now:013x}{secrets.token_hex(6)}", secrets.token_bytes(32)
        sealed = self._vault.seal(tenant_id, KEY_FIELD, upload_id, key.hex())
        row = {"id": upload_id, "tenant_id": tenant_id, "format": str(form), "state": RECEIVING, "key": sealed}
        with writing(self._engine) as connection:
            self._check(connection, tenant_id, 0)
            connection.execute(batch_uploads.insert(), row | {"bytes": 0, "rows": 0, "created_at": now})
        return Upload(upload_id, tenant_id, form, 0, 0, now, key)

    def finish(self, upload: Upload) -> None:
        """It lies there whole, with its size and rows. QuotaExceeded when there is no room for it after all."""
        with writing(self._engine) as connection:
            self._check(connection, upload.tenant_id, upload.size)
            mine = (_u.id == upload.id, _u.tenant_id == upload.tenant_id, _u.state == RECEIVING)
            values = {"state": READY, "bytes": upload.size, "rows": upload.rows}
            if not connection.execute(batch_uploads.update().where(*mine).values(values)).rowcount:
                raise Conflict(f"upload {upload.id} took so long that it was given up: send it again")

    def shown(self, tenant_id: str, upload_id: str) -> Upload:
        wanted = sa.select(batch_uploads).where(_u.id == upload_id, _u.tenant_id == tenant_id, _u.state != RECEIVING)
        with reading(self._engine) as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            raise NotFound(f"no upload {upload_id[:64]!r}: it was never sent, was deleted, or its job is done")
        return upload_of(row, self._vault)

    def drop(self, tenant_id: str, upload_id: str) -> None:
        """Conflict when a job has it: cancel the job."""
        mine = (_u.id == upload_id, _u.tenant_id == tenant_id)
        with writing(self._engine) as connection:
            state = connection.execute(sa.select(_u.state).where(*mine)).scalar_one_or_none()
            if state is None:
                raise NotFound(f"no upload {upload_id[:64]!r}")
            if state == TAKEN:
                raise Conflict("a job has this upload: cancel the job, which deletes it")
            connection.execute(batch_uploads.delete().where(*mine))

    def prune(self, kept: Kept, now: int) -> None:
        """Forget what nobody made a job of, and what was never received whole."""
        unused = sa.and_(_u.state == READY, _u.created_at < now - kept.unused_upload)
        broken = sa.and_(_u.state == RECEIVING, _u.created_at < now - _ABANDONED)
        with reading(self._engine) as connection:
            old = connection.execute(sa.select(_u.id).where(unused | broken).limit(_PRUNED)).scalars().all()
        if old:
            with writing(self._engine) as connection:
                connection.execute(batch_uploads.delete().where(_u.id.in_(old), unused | broken))

    def ids(self) -> frozenset[str]:
        """Of every upload that a file belongs to."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(sa.select(_u.id)).scalars())

    def _check(self, connection: sa.Connection, tenant_id: str, more: int) -> None:
        rows = sa.select(sa.func.coalesce(sa.func.sum(_u.bytes), 0), sa.func.count().filter(_u.state == RECEIVING))
        held, receiving = connection.execute(rows.where(_u.tenant_id == tenant_id)).one()
        if held + max(more, 1) > self.allowed.tenant_bytes:
            most = self.allowed.tenant_bytes
            raise QuotaExceeded(f"{held} bytes of uploads lie here, of {most}: wait for jobs to end, or delete some")
        if receiving >= self.allowed.receiving and not more:
            raise QuotaExceeded(f"{receiving} uploads are under way already: send one after the other")
