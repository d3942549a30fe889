"""Outcomes of decisions in the ledger: each telling a row, the decision shows the last, the outbox announces it."""

from typing import Any

import msgspec
import sqlalchemy as sa

from fradect.adapters.database import reason
from fradect.adapters.tables import decision_outcomes, events, outbox, risk_decisions
from fradect.errors import NotFound, Unavailable
from fradect.outcomes import Standing, Telling, Told, moment

_json = msgspec.json.Encoder(order="deterministic")


class SqlOutcomes:
    """Outcomes on the ledger's engine, which is written by this process alone where it is SQLite."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def tell(self, tenant_id: str, telling: Telling) -> Standing:
        """As fradect.outcomes.Outcomes; a Fault names `known_at`."""
        try:
            with self._engine.begin() as connection:
                _take_turn(connection, tenant_id, telling.decision_id)
                row = _decision(connection, tenant_id, telling.decision_id)
                if not _is_news(telling, standing(connection, row)) or not _add(connection, row, telling):
                    return standing(connection, row)
                _show(connection, row, telling)
                return standing(connection, _decision(connection, tenant_id, telling.decision_id), is_news=True)
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the ledger does not answer ({reason(error)})") from error


def standing(connection: sa.Connection, row: sa.Row[Any], *, is_news: bool = False) -> Standing:
    """How the decision of a row (id, tenant_id, entity_id, outcome, outcome_updated_at) stands."""
    table = decision_outcomes.c
    sayings = sa.select(table.outcome, table.known_at, table.told_at, table.origin, table.note).where(
        table.tenant_id == row.tenant_id, table.decision_id == row.id
    )
    told = tuple(Told(*saying) for saying in connection.execute(sayings.order_by(table.id)))
    return Standing(row.id, row.entity_id, row.outcome, row.outcome_updated_at, told, is_news)


def _take_turn(connection: sa.Connection, tenant_id: str, decision_id: str) -> None:
    """Whoever tells of the same decision at the same time waits; NotFound when the tenant has none of that id."""
    c = risk_decisions.c
    nothing = risk_decisions.update().where(c.id == decision_id, c.tenant_id == tenant_id).values(outcome=c.outcome)
    if connection.execute(nothing).rowcount != 1:
        raise NotFound(f"no decision {decision_id[:64]!r}")


def _decision(connection: sa.Connection, tenant_id: str, decision_id: str) -> sa.Row[Any]:
    c = risk_decisions.c
    both = (c.tenant_id == events.c.tenant_id, c.module == events.c.module, c.entity_id == events.c.event_id)
    whole = sa.select(risk_decisions, events.c.event_time).join_from(risk_decisions, events, sa.and_(*both))
    return connection.execute(whole.where(c.id == decision_id, c.tenant_id == tenant_id)).one()


def _is_news(telling: Telling, now: Standing) -> bool:
    """Told without a time, an outcome that stands already is told again."""
    return telling.known_at is not None or telling.outcome != now.outcome


def _add(connection: sa.Connection, row: sa.Row[Any], telling: Telling) -> bool:
    """False when the very same was told before."""
    known_at = moment(telling, row.event_time)
    c = decision_outcomes.c
    same = (c.tenant_id == row.tenant_id, c.decision_id == row.id, c.known_at == known_at)
    if connection.execute(sa.select(c.id).where(*same, c.outcome == str(telling.outcome))).first() is not None:
        return False
    saying = {
        "tenant_id": row.tenant_id,
        "decision_id": row.id,
        "outcome": str(telling.outcome),
        "known_at": known_at,
        "told_at": telling.told_at,
        "origin": telling.origin,
        "note": telling.note,
    }
    connection.execute(decision_outcomes.insert(), saying)
    return True


def _show(connection: sa.Connection, row: sa.Row[Any], telling: Telling) -> None:
    change = risk_decisions.update().where(risk_decisions.c.id == row.id)
    connection.execute(change.values(outcome=str(telling.outcome), outcome_updated_at=telling.told_at))
    data = {
        "decision_id": row.id,
        "entity_type": row.entity_type,
        "entity_id": row.entity_id,
        "score": row.score,
        "decision": row.decision,
        "outcome": str(telling.outcome),
    }
    announcement = {
        "tenant_id": row.tenant_id,
        "event": "risk.decision.updated",
        "decision_id": row.id,
        "data": _json.encode(data),
        "created_at": telling.told_at,
    }
    connection.execute(outbox.insert(), announcement)
