"""API keys get a name, a kind, an end, a last use, and who made, replaced and revoked them."""

import sqlalchemy as sa
from alembic import op

revision = "shared_0004"
down_revision = "shared_0003"
branch_labels = None
depends_on = None

ADDED = ("kind", "name", "created_by", "expires_at", "last_used_at", "revoked_by", "replaces")


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as table:
        table.add_column(sa.Column("kind", sa.String(8), nullable=False, server_default="live"))
        table.add_column(sa.Column("name", sa.String(128), nullable=False, server_default=""))
        table.add_column(sa.Column("created_by", sa.String(256), nullable=False, server_default=""))
        table.add_column(sa.Column("expires_at", sa.BigInteger))
        table.add_column(sa.Column("last_used_at", sa.BigInteger))
        table.add_column(sa.Column("revoked_by", sa.String(256)))
        table.add_column(sa.Column("replaces", sa.String(32)))


def downgrade() -> None:
    with op.batch_alter_table("api_keys") as table:
        for name in ADDED:
            table.drop_column(name)
