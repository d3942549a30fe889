"""Outcomes of decisions: told, corrected, never overwritten, announced once; on both databases."""

from collections.abc import Iterator
from threading import Thread

import msgspec
import pytest
import sqlalchemy as sa

from fradect.adapters.decision_outcomes import SqlOutcomes
from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.tables import decision_outcomes, outbox, risk_decisions
from fradect.errors import NotFound
from fradect.faults import Fault
from fradect.outcomes import Outcome, Telling
from fradect.reproduce import Wanted
from fradect.types import DAY, HOUR
from tests.factories_decision import NOON, record

FRAUD, HONEST, UNKNOWN = Outcome.CONFIRMED_FRAUD, Outcome.FALSE_POSITIVE, Outcome.UNKNOWN


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    ledger = SqlLedger(ledger_url)
    ledger.commit(record("tx1"))
    ledger.commit(record("tx1", decision_id="dec_other", tenant="other"))
    yield ledger
    ledger.close()


def _telling(outcome: Outcome, known_at: int | None = None, told_at: int = NOON + DAY, **more: str) -> Telling:
    return Telling(more.pop("decision_id", "dec_tx1"), outcome, known_at, told_at, "api", **more)


def _count(ledger: SqlLedger, table: sa.Table) -> int:
    with ledger.engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_what_was_told_stands_with_its_time_and_is_announced(ledger: SqlLedger) -> None:
    told = SqlOutcomes(ledger.engine).tell("demo", _telling(FRAUD, NOON + HOUR, note="a chargeback"))
    assert (told.outcome, told.outcome_updated_at, told.is_news) == ("confirmed_fraud", NOON + DAY, True)
    (one,) = told.told
    assert (one.outcome, one.known_at, one.told_at, one.note) == (
        "confirmed_fraud",
        NOON + HOUR,
        NOON + DAY,
        "a chargeback",
    )
    with ledger.engine.connect() as connection:
        row = connection.execute(sa.select(outbox).where(outbox.c.event == "risk.decision.updated")).one()
    said = {"decision_id": "dec_tx1", "entity_type": "transaction", "entity_id": "tx1", "score": 640}
    assert msgspec.json.decode(row.data) == said | {"decision": "REVIEW", "outcome": "confirmed_fraud"}
    assert (row.tenant_id, row.decision_id, row.delivered_at) == ("demo", "dec_tx1", None)


def test_a_correction_is_added_and_shown_the_first_stays(ledger: SqlLedger) -> None:
    outcomes = SqlOutcomes(ledger.engine)
    outcomes.tell("demo", _telling(FRAUD))
    outcomes.tell("demo", _telling(HONEST, told_at=NOON + 2 * DAY))
    stands = outcomes.tell("demo", _telling(UNKNOWN, told_at=NOON + 3 * DAY))
    assert [one.outcome for one in stands.told] == ["confirmed_fraud", "false_positive", "unknown"]
    assert (stands.outcome, stands.outcome_updated_at) == ("unknown", NOON + 3 * DAY)
    assert _count(ledger, outbox) == 2 + 3


@pytest.mark.parametrize("known_at", [None, NOON + HOUR])
def test_the_same_told_again_changes_nothing(ledger: SqlLedger, known_at: int | None) -> None:
    outcomes = SqlOutcomes(ledger.engine)
    first = outcomes.tell("demo", _telling(FRAUD, known_at))
    again = outcomes.tell("demo", _telling(FRAUD, known_at, told_at=NOON + 5 * DAY))
    assert not again.is_news
    assert (again.told, again.outcome_updated_at) == (first.told, first.outcome_updated_at)
    assert _count(ledger, outbox) == 3


def test_a_retry_that_comes_after_a_correction_does_not_undo_it(ledger: SqlLedger) -> None:
    outcomes = SqlOutcomes(ledger.engine)
    outcomes.tell("demo", _telling(FRAUD, NOON + HOUR))
    outcomes.tell("demo", _telling(HONEST, NOON + 2 * HOUR))
    assert outcomes.tell("demo", _telling(FRAUD, NOON + HOUR)).outcome == "false_positive"


def test_without_a_time_it_can_be_changed_back(ledger: SqlLedger) -> None:
    outcomes = SqlOutcomes(ledger.engine)
    for day, outcome in enumerate((FRAUD, HONEST, FRAUD), 1):
        stands = outcomes.tell("demo", _telling(outcome, told_at=NOON + day * DAY))
    assert [one.outcome for one in stands.told] == ["confirmed_fraud", "false_positive", "confirmed_fraud"]


@pytest.mark.parametrize(
    ("tenant", "decision_id"), [("demo", "dec_nothing"), ("demo", "dec_other"), ("third", "dec_tx1")]
)
def test_another_tenants_decision_is_not_there(ledger: SqlLedger, tenant: str, decision_id: str) -> None:
    with pytest.raises(NotFound):
        SqlOutcomes(ledger.engine).tell(tenant, _telling(FRAUD, decision_id=decision_id))
    assert _count(ledger, decision_outcomes) == 0
    with pytest.raises(NotFound):
        DecisionReads(ledger.engine).shown(decision_id, tenant)


@pytest.mark.parametrize("known_at", [NOON - 1, NOON + 2 * DAY, -1])
def test_nothing_is_known_before_it_happened_or_in_the_future(ledger: SqlLedger, known_at: int) -> None:
    with pytest.raises(Fault):
        SqlOutcomes(ledger.engine).tell("demo", _telling(FRAUD, known_at))
    assert _count(ledger, decision_outcomes) == 0
    assert _count(ledger, outbox) == 2


def test_many_who_tell_the_same_at_once_are_one(ledger: SqlLedger) -> None:
    outcomes = SqlOutcomes(ledger.engine)
    tellers = [Thread(target=outcomes.tell, args=("demo", _telling(FRAUD, told_at=NOON + DAY + i))) for i in range(8)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    assert _count(ledger, decision_outcomes) == 1
    assert _count(ledger, outbox) == 3


def test_the_chain_does_not_cover_what_comes_later(ledger: SqlLedger) -> None:
    c = risk_decisions.c
    covered = sa.select(c.id, c.row_hash, c.answer).order_by(c.id)
    with ledger.engine.connect() as connection:
        before = connection.execute(covered).all()
    SqlOutcomes(ledger.engine).tell("demo", _telling(FRAUD))
    with ledger.engine.connect() as connection:
        assert connection.execute(covered).all() == before


def test_a_decision_is_read_back_as_it_was_written(ledger: SqlLedger) -> None:
    reads = DecisionReads(ledger.engine)
    made = record("tx1").decision
    shown = reads.shown("dec_tx1", "demo")
    read = shown.kept.decision
    assert (read.score, read.action, read.probability, read.timings_us) == (
        made.score,
        made.action,
        made.probability,
        made.timings_us,
    )
    assert read.vector.values[0] == 1.5
    assert read.vector.missing == {"b": "no value"}
    assert shown.answer == b'{"score":640}'
    assert shown.kept.event == record("tx1").event


@pytest.mark.parametrize("most", [1, 3, 7, 10, 50])
def test_a_sample_is_as_large_as_asked_and_spread_over_the_time(ledger: SqlLedger, most: int) -> None:
    for i in range(8):
        ledger.commit(record(f"s{i}", decided_at=NOON + i, release_id=f"rel_{i % 2:016d}"))
    drawn = DecisionReads(ledger.engine).sample(Wanted(), most)
    ids = sorted(each for ids in drawn.values() for each in ids)
    assert len(ids) == min(most, 10)
    assert len({kept.decision.decision_id for kept in DecisionReads(ledger.engine).named(ids)}) == len(ids)


def test_decisions_are_chosen_by_what_is_asked(ledger: SqlLedger) -> None:
    reads = DecisionReads(ledger.engine)
    ledger.commit(record("late", decided_at=NOON + DAY))
    assert [kept.decision.event_id for kept in reads.listed(Wanted("demo"), 10)] == ["late", "tx1"]
    assert [kept.decision.event_id for kept in reads.listed(Wanted(since=NOON + 1), 10)] == ["late"]
    assert reads.listed(Wanted(action="DECLINE"), 10) == []
    assert reads.releases(Wanted(tenant_id="other")) == {"rel_0000000000000000": 1}
    assert len(list(reads.of_release(Wanted(), "rel_0000000000000000"))) == 3
