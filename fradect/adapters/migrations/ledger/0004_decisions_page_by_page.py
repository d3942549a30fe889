"""A tenant's decisions in order of time, whatever the module; those whose outcome is known, by that."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0004"
down_revision = "ledger_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("risk_decisions_page", "risk_decisions", ["tenant_id", "created_at", "id"])
    known = sa.text("outcome IS NOT NULL")
    columns = ["tenant_id", "outcome", "created_at", "id"]
    op.create_index("risk_decisions_outcome", "risk_decisions", columns, sqlite_where=known, postgresql_where=known)
    op.drop_index("risk_decisions_time", "risk_decisions")


def downgrade() -> None:
    op.create_index("risk_decisions_time", "risk_decisions", ["tenant_id", "module", "created_at"])
    for name in ("risk_decisions_outcome", "risk_decisions_page"):
        op.drop_index(name, "risk_decisions")
