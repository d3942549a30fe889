"""Events, transactions, decisions and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _events()
    _transactions()
    _risk_decisions()
    _outbox()


def downgrade() -> None:
    for name in ("outbox", "risk_decisions", "transactions", "events"):
        op.drop_table(name)


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(256), primary_key=True),
        sa.Column("seq", sa.BigInteger),
        sa.Column("event_time", sa.BigInteger, nullable=False),
        sa.Column("observed_at", sa.BigInteger, nullable=False),
        sa.Column("fields", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant_id", "module", "seq", name="events_seq"),
    )


def _transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(256), primary_key=True),
        sa.Column("customer_id", sa.String(256)),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("risk_score", sa.Integer, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
    )
    op.create_index("transactions_customer", "transactions", ["tenant_id", "customer_id", "created_at"])


def _risk_decisions() -> None:
    op.create_table(
        "risk_decisions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("module", sa.String(64), nullable=False),
        sa.Column("entity_type", sa.String(64), nullable=False),
        sa.Column("entity_id", sa.String(256), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("probability", sa.Double),
        sa.Column("factors", sa.Text, nullable=False),
        sa.Column("could_not_run", sa.Text, nullable=False),
        sa.Column("degraded", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("missing", sa.Text, nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("timings", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("writer", sa.String(64), nullable=False),
        sa.Column("chain_seq", sa.BigInteger, nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("outcome", sa.String(32)),
        sa.Column("outcome_updated_at", sa.BigInteger),
        sa.UniqueConstraint("tenant_id", "module", "entity_id", name="risk_decisions_entity"),
        sa.UniqueConstraint("writer", "chain_seq", name="risk_decisions_chain"),
    )
    op.create_index("risk_decisions_time", "risk_decisions", ["tenant_id", "module", "created_at"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", sa.BigInteger),
    )
