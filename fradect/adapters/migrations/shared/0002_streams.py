"""What streams bring: events, outcomes, how far each part has been taken, and what failed."""

import sqlalchemy as sa
from alembic import op

revision = "shared_0002"
down_revision = "shared_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _stream_events()
    _outcomes()
    _stream_offsets()
    _stream_attempts()


def downgrade() -> None:
    for name in ("stream_attempts", "stream_offsets", "outcomes", "stream_events"):
        op.drop_table(name)


def _stream_events() -> None:
    op.create_table(
        "stream_events",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(1024), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("event_time", sa.BigInteger, nullable=False),
        sa.Column("observed_at", sa.BigInteger, nullable=False),
        sa.Column("fields", sa.LargeBinary, nullable=False),
        sa.Column("origin", sa.String(512), nullable=False),
        sa.Column("compacted", sa.Boolean, nullable=False),
        sa.UniqueConstraint("tenant_id", "module", "seq", name="stream_events_seq"),
    )
    op.create_index("stream_events_compacted", "stream_events", ["tenant_id", "module", "compacted", "seq"])


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(1024), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("value", sa.Boolean, nullable=False),
        sa.Column("known_at", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger),
        sa.Column("seq", sa.BigInteger),
        sa.Column("event_time", sa.BigInteger),
        sa.Column("origin", sa.String(512), nullable=False),
        sa.Column("learnt", sa.Boolean, nullable=False),
        sa.Column("compacted", sa.Boolean, nullable=False),
        sa.UniqueConstraint("tenant_id", "module", "number", name="outcomes_number"),
    )
    op.create_index("outcomes_learnt", "outcomes", ["tenant_id", "module", "learnt", "number"])
    op.create_index("outcomes_compacted", "outcomes", ["tenant_id", "module", "compacted", "number"])


def _stream_offsets() -> None:
    op.create_table(
        "stream_offsets",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(512), primary_key=True),
        sa.Column("topic", sa.String(512), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )


def _stream_attempts() -> None:
    op.create_table(
        "stream_attempts",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(512), primary_key=True),
        sa.Column("topic", sa.String(512), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
    )
