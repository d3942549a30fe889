"""Outcomes told of decisions, handed on to the live state and to the table that the log is compacted from.

The first outcome of a decision that says whether it was fraud is what windows see, as of streams; what is told later
corrects labels (fradect/adapters/told_labels.py). Every step may be the last before a crash: the ledger has the
outcome, and what was not handed on is handed on next time.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import sqlalchemy as sa

from fradect.adapters.database import reason
from fradect.adapters.sql_events import event_of
from fradect.adapters.tables import decision_outcomes, events, outcomes, risk_decisions
from fradect.errors import Unavailable
from fradect.features.held import Learnt
from fradect.outcomes import IS_FRAUD
from fradect.types import OutcomeKind

MOST = 500
FRAUD = str(OutcomeKind.FRAUD)
PASSED_OVER = 0
"""The number of an outcome that windows never see: another of its event came before it, or it says nothing."""

Row = sa.Row[Any]


class Learner(Protocol):
    """The live state's part."""

    def learn(self, outcomes: Sequence[Learnt]) -> Sequence[int]:
        """Once for each event and kind; their numbers, given here to those that bring none."""
        ...


class OutcomeFeed:
    """Between one ledger and the shared tables."""

    def __init__(self, ledger: sa.Engine, shared: sa.Engine, state: Learner) -> None:
        self._ledger = ledger
        self._shared = shared
        self._state = state

    def hand_on(self, tenant_id: str, module: str) -> int:
        """How many were news to windows. Unavailable while a database or the state is away."""
        try:
            return self._hand_on(self._pending(tenant_id, module))
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"outcomes were not handed on ({reason(error)})") from error

    def _hand_on(self, rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        known = self._known(rows)
        fresh: dict[str, Row] = {}
        for row in rows:
            if row.outcome in IS_FRAUD and row.entity_id not in known:
                fresh.setdefault(row.entity_id, row)
        given = self._state.learn([_learnt(row) for row in fresh.values()]) if fresh else ()
        for row, number in zip(fresh.values(), given, strict=True):
            self._store(row, number)
        known = self._known(rows)
        mine = {row.id: known[row.entity_id].number for row in rows if _is_of(known.get(row.entity_id), row)}
        self._state.learn([_learnt(row, mine[row.id]) for row in rows if row.id in mine])
        self._mark(rows, mine)
        return len(mine)

    def _pending(self, tenant_id: str, module: str) -> Sequence[Row]:
        """What was told and not handed on, in that order; of events that have their number."""
        told, d, e = decision_outcomes.c, risk_decisions.c, events.c
        of_event = (d.tenant_id == e.tenant_id, d.module == e.module, d.entity_id == e.event_id)
        wanted = (
            sa.select(events, d.entity_id, told.id, told.outcome, told.known_at)
            .join_from(decision_outcomes, risk_decisions, told.decision_id == d.id)
            .join(events, sa.and_(*of_event))
            .where(told.number.is_(None), d.tenant_id == tenant_id, d.module == module, e.seq.is_not(None))
        )
        with self._ledger.connect() as connection:
            return connection.execute(wanted.order_by(told.id).limit(MOST)).all()

    def _known(self, rows: Sequence[Row]) -> dict[str, Row]:
        """What the shared table says of their events."""
        c = outcomes.c
        mine = (c.tenant_id == rows[0].tenant_id, c.module == rows[0].module, c.kind == FRAUD)
        wanted = sa.select(c.event_id, c.origin, c.number)
        with self._shared.connect() as connection:
            found = connection.execute(wanted.where(*mine, c.event_id.in_({row.entity_id for row in rows})))
            return {row.event_id: row for row in found}

    def _store(self, row: Row, number: int) -> None:
        """Unless another outcome of the event came first."""
        saying = {
            "tenant_id": row.tenant_id,
            "module": row.module,
            "event_id": row.entity_id,
            "kind": FRAUD,
            "value": IS_FRAUD[row.outcome],
            "known_at": row.known_at,
            "number": number,
            "seq": row.seq,
            "event_time": row.event_time,
            "origin": _origin(row),
            "learnt": False,
            "compacted": False,
        }
        with suppress(sa.exc.IntegrityError), self._shared.begin() as connection:
            connection.execute(outcomes.insert(), saying)

    def _mark(self, rows: Sequence[Row], mine: Mapping[int, int]) -> None:
        """The ledger last: until it says so, all this is done again."""
        c = outcomes.c
        learnt = outcomes.update().where(
            c.tenant_id == rows[0].tenant_id, c.module == rows[0].module, c.number == sa.bindparam("its_number")
        )
        if mine:
            with self._shared.begin() as connection:
                connection.execute(learnt.values(learnt=True), [{"its_number": n} for n in mine.values()])
        handed_on = decision_outcomes.update().where(decision_outcomes.c.id == sa.bindparam("its_id"))
        numbers = [{"its_id": row.id, "its_number": mine.get(row.id, PASSED_OVER)} for row in rows]
        with self._ledger.begin() as connection:
            connection.execute(handed_on.values(number=sa.bindparam("its_number")), numbers)


def _learnt(row: Row, number: int | None = None) -> Learnt:
    return Learnt(event_of(row), FRAUD, IS_FRAUD[row.outcome], row.known_at, number)


def _origin(row: Row) -> str:
    return f"decisions/{row.id}"


def _is_of(known: Row | None, row: Row) -> bool:
    return known is not None and known.origin == _origin(row)
