"""The tables of batches, in the shared set: who submits, who works and who sweeps may be three processes."""

import sqlalchemy as sa

from fradect.adapters.tables import SHARED, some_rows

# A file that was sent, under the home: "receiving", "ready", or "taken" by a job. `key`: of the file, sealed; who
# deletes the row makes the file unreadable. `bytes` and `rows`: of what was sent; rows are counted by line ends.
batch_uploads = sa.Table(
    "batch_uploads",
    SHARED,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("format", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Index("batch_uploads_tenant", "tenant_id", "id"),
)

# What is to be decided: an upload, or `items`, sealed lines of JSON. `position`: where the next row begins in it;
# `taken` rows are done, their results in so many `chunks`. Whoever works on it is its `owner` until `lease_until`; each
# lease has a `fence` of its own, and only the last one's holder writes.
batch_jobs = sa.Table(
    "batch_jobs",
    SHARED,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("module", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("upload_id", sa.String(64)),
    sa.Column("items", sa.Text),
    sa.Column("include_factors", sa.Boolean, nullable=False),
    sa.Column("idempotency_key", sa.String(64)),
    sa.Column("request_digest", sa.String(64), nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("approved", sa.BigInteger, nullable=False),
    sa.Column("in_review", sa.BigInteger, nullable=False),
    sa.Column("declined", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("worked_us", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("started_at", sa.BigInteger),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("owner", sa.String(64)),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("lease_until", sa.BigInteger, nullable=False),
    sa.Column("problem", sa.Text),
    sa.UniqueConstraint("tenant_id", "idempotency_key", name="batch_jobs_key"),
    sa.UniqueConstraint("upload_id", name="batch_jobs_upload"),
    sa.Index("batch_jobs_tenant", "tenant_id", "id"),
    sa.Index("batch_jobs_finished", "finished_at"),
    sa.Index("batch_jobs_due", "tenant_id", "lease_until", **some_rows("state IN ('waiting', 'running')")),
)

# What came of some rows of a job: lines of JSON, deflated, in the transaction of the job's progress.
batch_chunks = sa.Table(
    "batch_chunks",
    SHARED,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
