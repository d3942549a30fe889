"""Batches: what is to be decided, who works on it, and what came of it."""

import sqlalchemy as sa
from alembic import op

revision = "shared_0005"
down_revision = "shared_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _batch_uploads()
    _batch_jobs()
    _batch_chunks()
    unfinished = sa.text("state IN ('waiting', 'running')")
    columns = ["tenant_id", "lease_until"]
    op.create_index("batch_jobs_due", "batch_jobs", columns, sqlite_where=unfinished, postgresql_where=unfinished)


def downgrade() -> None:
    for name in ("batch_chunks", "batch_jobs", "batch_uploads"):
        op.drop_table(name)


def _batch_uploads() -> None:
    op.create_table(
        "batch_uploads",
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


def _batch_jobs() -> None:
    op.create_table(
        "batch_jobs",
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
    )


def _batch_chunks() -> None:
    op.create_table(
        "batch_chunks",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
