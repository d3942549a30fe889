"""Signals of a decision, the chain's format, checkpoints of chains, outcomes of decisions, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("risk_decisions", sa.Column("signals", sa.Text, nullable=False, server_default="{}"))
    op.add_column("risk_decisions", sa.Column("chain_format", sa.Integer, nullable=False, server_default="1"))
    _decision_outcomes()
    _idempotency_keys()
    _chain_checkpoints()


def downgrade() -> None:
    for name in ("chain_checkpoints", "idempotency_keys", "decision_outcomes"):
        op.drop_table(name)
    for name in ("chain_format", "signals"):
        op.drop_column("risk_decisions", name)


def _decision_outcomes() -> None:
    op.create_table(
        "decision_outcomes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("known_at", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("number", sa.BigInteger),
        sa.UniqueConstraint("tenant_id", "decision_id", "known_at", "outcome", name="decision_outcomes_once"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("module", sa.String(64), nullable=False),
        sa.Column("entity_id", sa.String(256), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def _chain_checkpoints() -> None:
    op.create_table(
        "chain_checkpoints",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("writer", sa.String(64), nullable=False),
        sa.Column("chain_seq", sa.BigInteger, nullable=False),
        sa.Column("row_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("day", "writer", name="chain_checkpoints_day"),
    )
