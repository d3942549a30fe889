"""What the ledger knows of declines that could be let through, and of those that were."""

from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import open_database, reading, sqlite_path
from fradect.adapters.tables import events, risk_decisions
from fradect.exploration import Scope
from fradect.types import Action

_D, _E = risk_decisions.c, events.c
_SAME = sa.and_(_D.tenant_id == _E.tenant_id, _D.module == _E.module, _D.entity_id == _E.event_id)
_DECLINE, _APPROVE = Action.DECLINE.name, Action.APPROVE.name
_LOST = "the ledger does not answer"


@dataclass(frozen=True, slots=True)
class DrawnDeclines:
    """By event id the chance of every decline that could be let through, and 0 of those that could not; which were."""

    chance: dict[str, float]
    let_through: frozenset[str]


class _Amount(msgspec.Struct):
    amount_base: int = 0


_amount = msgspec.json.Decoder(_Amount)


def let_through_since(engine: sa.Engine, moment: int) -> dict[Scope, int]:
    """Amounts of what was let through since then (microseconds), by tenant and module; minor units."""
    wanted = (
        sa.select(_D.tenant_id, _D.module, _E.fields)
        .join_from(risk_decisions, events, _SAME)
        .where(_D.propensity.is_not(None), _D.decision == _APPROVE, _D.created_at >= moment)
    )
    found: dict[Scope, int] = {}
    with reading(engine, _LOST) as connection:
        for row in connection.execute(wanted):
            scope = (row.tenant_id, row.module)
            found[scope] = found.get(scope, 0) + _amount.decode(row.fields).amount_base
    return found


def drawn_declines(url: str, scope: Scope) -> DrawnDeclines | None:
    """Of a tenant's module; None where there is no ledger, or nothing was ever drawn. Never locks it."""
    engine = open_database(url, kept=False)
    path = sqlite_path(engine)
    mine = (_D.tenant_id == scope[0], _D.module == scope[1])
    try:
        if path is not None and not path.exists():
            return None
        with reading(engine, _LOST) as connection:
            columns = {column["name"] for column in sa.inspect(connection).get_columns(risk_decisions.name)}
            if _D.propensity.name not in columns:
                return None
            drawn = connection.execute(sa.select(_D.id).where(*mine, _D.propensity.is_not(None)).limit(1)).first()
            return _declines(connection, mine) if drawn is not None else None
    finally:
        engine.dispose()


def _declines(connection: sa.Connection, mine: tuple[sa.ColumnElement[bool], ...]) -> DrawnDeclines:
    would_be = sa.or_(_D.decision == _DECLINE, _D.propensity.is_not(None))
    rows = connection.execute(sa.select(_D.entity_id, _D.decision, _D.propensity).where(*mine, would_be)).all()
    return DrawnDeclines(
        chance={row.entity_id: row.propensity or 0.0 for row in rows},
        let_through=frozenset(row.entity_id for row in rows if row.propensity is not None and row.decision == _APPROVE),
    )
