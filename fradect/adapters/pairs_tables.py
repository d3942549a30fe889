"""The table of pairs, in the shared set: whoever decides appends, whoever judges a challenger reads."""

import sqlalchemy as sa

from fradect.adapters.tables import SHARED

_ROW = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# What two releases said of one event while one of them was tried beside the other: see fradect/pairs.py.
pairs = sa.Table(
    "pairs",
    SHARED,
    sa.Column("id", _ROW, primary_key=True, autoincrement=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("module", sa.String(64), nullable=False),
    sa.Column("challenger", sa.String(32), nullable=False),
    sa.Column("champion", sa.String(32), nullable=False),
    sa.Column("share", sa.Integer, nullable=False),
    sa.Column("decision_id", sa.String(64)),
    sa.Column("decided_at", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("by_challenger", sa.Boolean, nullable=False),
    sa.Column("request_us", sa.BigInteger, nullable=False),
    sa.Column("theirs_action", sa.SmallInteger),
    sa.Column("theirs_score", sa.SmallInteger),
    sa.Column("theirs_degraded", sa.Text, nullable=False),
    sa.Column("theirs_failed", sa.Text, nullable=False),
    sa.Column("theirs_us", sa.Integer, nullable=False),
    sa.Column("ours_action", sa.SmallInteger),
    sa.Column("ours_score", sa.SmallInteger),
    sa.Column("ours_degraded", sa.Text, nullable=False),
    sa.Column("ours_failed", sa.Text, nullable=False),
    sa.Column("ours_us", sa.Integer, nullable=False),
    sa.Index("pairs_challenger", "tenant_id", "module", "challenger", "decided_at"),
    sa.Index("pairs_time", "decided_at"),
)
