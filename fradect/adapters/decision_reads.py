"""Decisions read back whole from the ledger, to be shown or made again. Never locks it."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from fradect.adapters.database import open_database, reading, sqlite_path
from fradect.adapters.decision_outcomes import standing
from fradect.adapters.sql_events import event_of
from fradect.adapters.tables import events, risk_decisions, transactions
from fradect.errors import NotFound
from fradect.modules.ecommerce import MODULE
from fradect.outcomes import Shown
from fradect.reproduce import Kept, Wanted, bits
from fradect.types import Action, Decision, Factor, Vector

PAGE = 500
PURCHASES = MODULE.name  # the only decisions that stand in `transactions` too

_EVENT = (events.c.event_time, events.c.observed_at, events.c.fields, events.c.event_id)
_factors = msgspec.json.Decoder(tuple[Factor, ...])


class DecisionReads:
    """Queries over one ledger."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def at(cls, url: str) -> "DecisionReads":
        """Over a ledger that another process may be writing; NotFound while there is none."""
        engine = open_database(url)
        path = sqlite_path(engine)
        if path is not None and not path.exists():
            raise NotFound(f"there is no ledger at {path}: start the service first")
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    def kept(self, decision_id: str, tenant_id: str | None = None) -> Kept:
        """NotFound when there is none of that id, or it is another tenant's."""
        whose = () if tenant_id is None else (risk_decisions.c.tenant_id == tenant_id,)
        rows = self._all(_whole().where(risk_decisions.c.id == decision_id, *whose))
        if not rows:
            raise NotFound(f"no decision {decision_id[:64]!r}")
        return _kept(rows[0])

    def shown(self, decision_id: str, tenant_id: str | None = None) -> Shown:
        """The same with its answer, and with what became known of it."""
        kept = self.kept(decision_id, tenant_id)
        with reading(self._engine, "the ledger does not answer") as connection:
            row = connection.execute(sa.select(risk_decisions).where(risk_decisions.c.id == decision_id)).one()
            return Shown(kept, bytes(row.answer), standing(connection, row))

    def ids_of(self, whose: tuple[str, str], event_ids: Sequence[str]) -> dict[str, str]:
        """Decisions of a tenant's module (`whose`) by the events that they decide."""
        c, found = risk_decisions.c, dict[str, str]()
        mine = sa.select(c.entity_id, c.id).where(c.tenant_id == whose[0], c.module == whose[1])
        for start in range(0, len(event_ids), PAGE):
            rows = self._all(mine.where(c.entity_id.in_(event_ids[start : start + PAGE])))
            found |= {row.entity_id: row.id for row in rows}
        return found

    def listed(self, wanted: Wanted, most: int) -> list[Kept]:
        """The newest first."""
        newest = _whole().where(*conditions(wanted)).order_by(risk_decisions.c.created_at.desc(), risk_decisions.c.id)
        return [_kept(row) for row in self._all(newest.limit(most))]

    def releases(self, wanted: Wanted) -> dict[str, int]:
        """How many decisions each release made."""
        column = risk_decisions.c.model_version
        counts = sa.select(column, sa.func.count().label("made")).where(*conditions(wanted)).group_by(column)
        return {row.model_version: row.made for row in self._all(counts.order_by(column))}

    def of_release(self, wanted: Wanted, release_id: str) -> Iterator[Kept]:
        """Every one that a release made, in order of ids, a page at a time."""
        page = _whole().where(*conditions(wanted), risk_decisions.c.model_version == release_id)
        page, last = page.order_by(risk_decisions.c.id).limit(PAGE), ""
        while rows := self._all(page.where(risk_decisions.c.id > last)):
            yield from (_kept(row) for row in rows)
            last = rows[-1].id

    def sample(self, wanted: Wanted, most: int) -> dict[str, list[str]]:
        """Ids by release, evenly drawn over the time, at most so many."""
        c = risk_decisions.c
        place = sa.func.row_number().over(order_by=(c.created_at, c.id)).label("place")
        numbered = sa.select(c.id, c.model_version, place).where(*conditions(wanted)).subquery()
        total = max(1, sum(self.releases(wanted).values()))
        most, at = min(most, total), numbered.c.place
        evenly = (at * most) // total > ((at - 1) * most) // total
        drawn: dict[str, list[str]] = {}
        for row in self._all(sa.select(numbered.c.id, numbered.c.model_version).where(evenly)):
            drawn.setdefault(row.model_version, []).append(row.id)
        return drawn

    def named(self, ids: Sequence[str]) -> Iterator[Kept]:
        """Those of these ids, a page at a time."""
        for start in range(0, len(ids), PAGE):
            page = _whole().where(risk_decisions.c.id.in_(ids[start : start + PAGE]))
            yield from (_kept(row) for row in self._all(page.order_by(risk_decisions.c.id)))

    def _all(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with reading(self._engine, "the ledger does not answer") as connection:
            return connection.execute(statement).all()


NOT_TOLD = "none"


def conditions(wanted: Wanted) -> tuple[sa.ColumnElement[bool], ...]:
    """On rows of `risk_decisions`."""
    c = risk_decisions.c
    named = {c.tenant_id: wanted.tenant_id, c.module: wanted.module, c.decision: wanted.action}
    named[c.model_version] = wanted.release_id
    named[c.outcome] = None if wanted.outcome == NOT_TOLD else wanted.outcome
    chosen = [column == value for column, value in named.items() if value is not None]
    chosen += [c.created_at < wanted.until] if wanted.until is not None else []
    chosen += [c.score >= wanted.min_score] if wanted.min_score is not None else []
    chosen += [c.score <= wanted.max_score] if wanted.max_score is not None else []
    chosen += [c.outcome.is_(None)] if wanted.outcome == NOT_TOLD else []
    chosen += [(c.degraded == "[]") != wanted.degraded] if wanted.degraded is not None else []
    chosen += _of_customer(wanted) if wanted.customer_id is not None else []
    return (*chosen, c.created_at >= wanted.since)


def _of_customer(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    c, t = risk_decisions.c, transactions.c
    whose = [t.customer_id == wanted.customer_id]
    whose += [t.tenant_id == wanted.tenant_id] if wanted.tenant_id is not None else []
    theirs = sa.select(t.tenant_id, t.id).where(*whose)
    return [c.module == PURCHASES, sa.tuple_(c.tenant_id, c.entity_id).in_(theirs)]


def _whole() -> sa.Select[Any]:
    c = risk_decisions.c
    both = (c.tenant_id == events.c.tenant_id, c.module == events.c.module, c.entity_id == events.c.event_id)
    return sa.select(risk_decisions, *_EVENT).join_from(risk_decisions, events, sa.and_(*both))


def _kept(row: sa.Row[Any]) -> Kept:
    decision = Decision(
        decision_id=row.id,
        request_id=row.request_id,
        event_id=row.entity_id,
        tenant_id=row.tenant_id,
        module=row.module,
        action=Action[row.decision],
        score=row.score,
        probability=row.probability,
        factors=_factors.decode(row.factors),
        release_id=row.model_version,
        vector=Vector((), tuple(np.frombuffer(row.vector, "<f8").tolist()), msgspec.json.decode(row.missing)),
        seq=row.seq,
        decided_at=row.created_at,
        degraded=tuple(msgspec.json.decode(row.degraded)),
        could_not_run=tuple(msgspec.json.decode(row.could_not_run)),
        timings_us=msgspec.json.decode(row.timings),
        signals=msgspec.json.decode(row.signals),
        propensity=row.propensity,
    )
    stored = {
        "score": row.score,
        "decision": row.decision,
        "probability": bits(row.probability),
        "factors": row.factors,
        "could_not_run": row.could_not_run,
        "degraded": row.degraded,
        "answer": bytes(row.answer),
        "propensity": bits(row.propensity),
    }
    return Kept(event_of(row), decision, bool(msgspec.json.decode(row.options).get("include_factors", True)), stored)
