"""Customers and how risky they are, the keys of what was imported of them, and who was erased."""

import sqlalchemy as sa
from alembic import op

revision = "shared_0006"
down_revision = "shared_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _customers()
    _erasures()
    op.create_table(
        "imported_data_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("destroyed_at", sa.BigInteger),
        sa.Index("imported_data_keys_owner", "tenant_id", "owner"),
    )


def downgrade() -> None:
    for name in ("imported_data_keys", "erasures", "customers"):
        op.drop_table(name)


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(256), primary_key=True),
        sa.Column("email", sa.Text),
        sa.Column("email_token", sa.String(64)),
        sa.Column("phone", sa.Text),
        sa.Column("phone_token", sa.String(64)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("risk_tier", sa.String(20), nullable=False),
        sa.Column("fraud_score", sa.Integer, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Index("customers_email", "tenant_id", "email_token"),
        sa.Index("customers_phone", "tenant_id", "phone_token"),
    )


def _erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.String(256), nullable=False),
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("requested_by", sa.String(256), nullable=False),
        sa.Column("until", sa.Text, nullable=False),
        sa.Column("done", sa.Text, nullable=False),
        sa.Column("completed_at", sa.BigInteger),
        sa.Column("receipt", sa.LargeBinary),
        sa.Index("erasures_customer", "tenant_id", "customer_id", "requested_at"),
        sa.Index("erasures_time", "requested_at"),
    )
