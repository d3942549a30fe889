"""The tables of webhooks, in the ledger's set: who is told of decisions, and each telling of it."""

import sqlalchemy as sa

from fradect.adapters.tables import LEDGER, some_rows

# Who is told, over HTTP. `secret`, `old_secret`: sealed; both sign until `old_secret_until`. It is told of what
# happened since `active_since`, and of nothing once it is disabled ("caller", "gone", "failing").
webhook_endpoints = sa.Table(
    "webhook_endpoints",
    LEDGER,
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

# One message to one endpoint: "waiting", "delivered" or "dead". A relay that takes it is its `owner` and moves `due_at`
# to when the lease ends: what it does not finish by then is due again.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    LEDGER,
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
    sa.Index("webhook_deliveries_due", "endpoint_id", "due_at", **some_rows("state = 'waiting'")),
    sa.Index("webhook_deliveries_dead", "endpoint_id", "id", **some_rows("state = 'dead'")),
)
