"""Who is told of decisions, and each telling of it; the outbox finds what waits by an index."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _webhook_endpoints()
    _webhook_deliveries()
    _index("outbox_waiting", "outbox", ["id"], "delivered_at IS NULL")
    _index("webhook_deliveries_due", "webhook_deliveries", ["endpoint_id", "due_at"], "state = 'waiting'")
    _index("webhook_deliveries_dead", "webhook_deliveries", ["endpoint_id", "id"], "state = 'dead'")


def downgrade() -> None:
    op.drop_index("outbox_waiting", "outbox")
    for name in ("webhook_deliveries", "webhook_endpoints"):
        op.drop_table(name)


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _webhook_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("active_since", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("disabled_why", sa.String(16)),
        sa.Column("failing_since", sa.BigInteger),
        sa.Index("webhook_endpoints_tenant", "tenant_id", "id"),
    )


def _webhook_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("tried_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String(64)),
        sa.Index("webhook_deliveries_endpoint", "endpoint_id", "id"),
        sa.Index("webhook_deliveries_finished", "state", "finished_at"),
    )
