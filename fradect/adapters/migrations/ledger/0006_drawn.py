"""By what chance a decline could be let through, of those where it was drawn."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0006"
down_revision = "ledger_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("risk_decisions", sa.Column("propensity", sa.Double))
    drawn = sa.text("propensity IS NOT NULL")
    columns = ["tenant_id", "module", "created_at"]
    op.create_index("risk_decisions_drawn", "risk_decisions", columns, sqlite_where=drawn, postgresql_where=drawn)


def downgrade() -> None:
    op.drop_index("risk_decisions_drawn", "risk_decisions")
    op.drop_column("risk_decisions", "propensity")
