"""Decisions a page at a time, the newest first. A page starts below a place and is the same however many come after."""

from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import reading
from fradect.adapters.decision_reads import NOT_TOLD, conditions
from fradect.adapters.tables import risk_decisions
from fradect.outcomes import Listed, Place
from fradect.reproduce import Wanted

LOOKED_AT = 20_000
"""Decisions that one page looks at where no index knows which are wanted: it may be short, and the next goes on."""

_c = risk_decisions.c
_COLUMNS: tuple[sa.Column[Any], ...] = (
    _c.id,
    _c.module,
    _c.entity_type,
    _c.entity_id,
    _c.score,
    _c.decision,
    _c.model_version,
    _c.degraded,
)
_COLUMNS += (_c.created_at, _c.outcome, _c.outcome_updated_at)
_at = sa.tuple_(_c.created_at, _c.id)
_NEWEST = (_c.created_at.desc(), _c.id.desc())


class DecisionPages:
    """Over one ledger."""

    def __init__(self, engine: sa.Engine, looked_at: int = LOOKED_AT) -> None:
        self._engine = engine
        self._looked_at = looked_at

    def page(self, wanted: Wanted, most: int, after: Place | None = None) -> tuple[list[Listed], Place | None]:
        """At most so many, and where the next page starts; None after the last."""
        below = () if after is None else (_at < _literal(after),)
        with reading(self._engine, "the ledger does not answer") as connection:
            end = self._end(connection, wanted, below) if _is_scattered(wanted) else None
            above = () if end is None else (_at >= _literal(end),)
            chosen = sa.select(*_COLUMNS).where(*conditions(wanted), *below, *above)
            rows = connection.execute(chosen.order_by(*_NEWEST).limit(most + 1)).all()
        listed = [_listed(row) for row in rows[:most]]
        return listed, Place(listed[-1].created_at, listed[-1].id) if len(rows) > most else end

    def _end(self, connection: sa.Connection, wanted: Wanted, below: tuple[Any, ...]) -> Place | None:
        """Where this page stops looking, if there is anything beyond."""
        everything = Wanted(tenant_id=wanted.tenant_id, since=wanted.since, until=wanted.until)
        order = sa.select(_c.created_at, _c.id).where(*conditions(everything), *below).order_by(*_NEWEST)
        row = connection.execute(order.offset(self._looked_at - 1).limit(1)).one_or_none()
        return None if row is None else Place(row.created_at, row.id)


def _literal(place: Place) -> sa.Tuple:
    return sa.tuple_(sa.literal(place.created_at, sa.BigInteger), sa.literal(place.id, sa.String))


def _is_scattered(wanted: Wanted) -> bool:
    """Whether what is wanted may lie anywhere among what is not."""
    if wanted.customer_id is not None or wanted.outcome not in (None, NOT_TOLD):
        return False
    fields = (wanted.module, wanted.action, wanted.release_id, wanted.outcome, wanted.min_score, wanted.max_score)
    return any(field is not None for field in (*fields, wanted.degraded))


def _listed(row: sa.Row[Any]) -> Listed:
    return Listed(
        id=row.id,
        module=row.module,
        entity_type=row.entity_type,
        entity_id=row.entity_id,
        score=row.score,
        action=row.decision,
        release_id=row.model_version,
        degraded=tuple(msgspec.json.decode(row.degraded)),
        created_at=row.created_at,
        outcome=row.outcome,
        outcome_updated_at=row.outcome_updated_at,
    )
