"""Outcomes of decisions on their way to windows, log and labels: each once, whatever breaks in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from fradect.adapters.decision_outcomes import SqlOutcomes
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.outcome_feed import PASSED_OVER, OutcomeFeed
from fradect.adapters.places import Places
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.states import States, open_state
from fradect.adapters.tables import decision_outcomes, outcomes
from fradect.adapters.told_labels import leave_told_labels
from fradect.errors import Unavailable
from fradect.features.held import Learnt
from fradect.outcomes import Outcome, Telling
from fradect.types import DAY, HOUR
from tests.factories_decision import NOON, purchase, record, toy_loaded

SCOPE = ("demo", "ecommerce")
FRAUD, HONEST, UNKNOWN = Outcome.CONFIRMED_FRAUD, Outcome.FALSE_POSITIVE, Outcome.UNKNOWN


@dataclass
class Ground:
    """A ledger with three decisions whose events arrived in a live state."""

    url: str
    ledger: SqlLedger
    shared: sa.Engine
    state: States

    @property
    def feed(self) -> OutcomeFeed:
        return OutcomeFeed(self.ledger.engine, self.shared, self.state)

    def tell(self, event_id: str, outcome: Outcome, days: int = 1) -> None:
        known_at = NOON + days * DAY
        telling = Telling(f"dec_{event_id}", outcome, known_at, known_at + HOUR, "api")
        SqlOutcomes(self.ledger.engine).tell("demo", telling)

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        engine = self.shared if table is outcomes else self.ledger.engine
        order = table.c.number if table is outcomes else table.c.id
        with engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(order))]

    def held(self) -> list[Any]:
        self.state.settle_all(*SCOPE)
        return list(self.state.dump(*SCOPE))


@pytest.fixture
def ground(ledger_url: str, tmp_path: Path) -> Iterator[Ground]:
    ledger, shared = SqlLedger(ledger_url), open_shared(ledger_url)
    state = open_state(f"sqlite:///{tmp_path}/state.db")
    state.adopt("demo", toy_loaded().reader.layout)
    for event_id in ("tx1", "tx2", "tx3"):
        ledger.commit(record(event_id, seq=state.arrive(purchase(event_id)).seq))
    yield Ground(ledger_url, ledger, shared, state)
    state.close()
    shared.dispose()
    ledger.close()


def test_the_first_outcome_is_learnt_under_a_number_of_its_own(ground: Ground) -> None:
    ground.tell("tx1", FRAUD)
    ground.tell("tx2", HONEST, days=2)
    assert ground.feed.hand_on(*SCOPE) == 2
    first, second = ground.rows(outcomes)
    assert (first["event_id"], first["kind"], first["value"], first["known_at"]) == ("tx1", "fraud", True, NOON + DAY)
    assert (second["event_id"], second["value"]) == ("tx2", False)
    assert first["number"] > 3, "after the events' numbers"
    assert second["number"] > first["number"]
    assert (first["seq"], first["event_time"], first["learnt"], first["compacted"]) == (1, NOON, True, False)
    assert [row["number"] for row in ground.rows(decision_outcomes)] == [first["number"], second["number"]]
    assert not [one for one in ground.state.unconfirmed(*SCOPE) if one.seq > 3], "what is stored no longer waits"


def test_handing_on_again_changes_nothing(ground: Ground) -> None:
    ground.tell("tx1", FRAUD)
    ground.feed.hand_on(*SCOPE)
    before, held = ground.rows(outcomes), ground.held()
    assert ground.feed.hand_on(*SCOPE) == 0
    assert (ground.rows(outcomes), ground.held()) == (before, held)


def test_a_correction_is_for_labels_and_not_for_windows(ground: Ground) -> None:
    ground.tell("tx1", FRAUD)
    ground.feed.hand_on(*SCOPE)
    held = ground.held()
    ground.tell("tx1", HONEST, days=3)
    assert ground.feed.hand_on(*SCOPE) == 0
    assert ground.held() == held
    assert [row["value"] for row in ground.rows(outcomes)] == [True]
    assert [row["number"] for row in ground.rows(decision_outcomes)][1] == PASSED_OVER


def test_unknown_says_nothing_and_what_comes_after_it_is_first(ground: Ground) -> None:
    ground.tell("tx1", UNKNOWN)
    ground.tell("tx1", HONEST, days=2)
    ground.tell("tx1", FRAUD, days=3)
    assert ground.feed.hand_on(*SCOPE) == 1
    assert [(row["event_id"], row["value"]) for row in ground.rows(outcomes)] == [("tx1", False)]


def test_what_a_stream_said_first_stands(ground: Ground) -> None:
    said = {"tenant_id": "demo", "module": "ecommerce", "event_id": "tx1", "kind": "fraud", "value": False}
    place = {"known_at": NOON + HOUR, "number": 90, "seq": 1, "event_time": NOON, "origin": "t/0/1"}
    with ground.shared.begin() as connection:
        connection.execute(outcomes.insert(), said | place | {"learnt": True, "compacted": False})
    ground.tell("tx1", FRAUD)
    assert ground.feed.hand_on(*SCOPE) == 0
    assert [(row["value"], row["origin"]) for row in ground.rows(outcomes)] == [(False, "t/0/1")]


def test_an_event_without_its_number_is_waited_for(ground: Ground) -> None:
    ground.ledger.commit(record("tx4"))
    ground.tell("tx4", FRAUD)
    assert ground.feed.hand_on(*SCOPE) == 0
    assert ground.rows(decision_outcomes)[0]["number"] is None


class _Breaks:
    """A live state that is there so many times."""

    def __init__(self, state: States, times: int) -> None:
        self._state, self._left = state, times

    def learn(self, some: Sequence[Learnt]) -> Sequence[int]:
        self._left -= 1
        if self._left < 0:
            raise Unavailable("away")
        return self._state.learn(some)


@pytest.mark.parametrize("times", [0, 1])
def test_what_broke_off_is_done_again_and_comes_out_the_same(ground: Ground, times: int) -> None:
    ground.tell("tx1", FRAUD)
    with pytest.raises(Unavailable):
        OutcomeFeed(ground.ledger.engine, ground.shared, _Breaks(ground.state, times)).hand_on(*SCOPE)
    assert ground.rows(decision_outcomes)[0]["number"] is None
    assert ground.feed.hand_on(*SCOPE) == 1
    (row,) = ground.rows(outcomes)
    assert (row["learnt"], row["number"]) == (True, ground.rows(decision_outcomes)[0]["number"])


def test_labels_say_what_was_told_last(ground: Ground, tmp_path: Path) -> None:
    places = Places(tmp_path, "ecommerce", "demo")
    assert leave_told_labels(ground.url, places) == 0
    assert not places.told_labels.exists()
    ground.tell("tx1", FRAUD)
    ground.tell("tx1", HONEST, days=4)
    ground.tell("tx2", FRAUD)
    ground.tell("tx3", HONEST)
    ground.tell("tx3", UNKNOWN, days=2)
    assert leave_told_labels(ground.url, places) == 3
    rows = pq.read_table(places.told_labels).to_pylist()
    assert [(row["event_id"], row["label"]) for row in rows] == [("tx1", False), ("tx2", True), ("tx3", None)]
    assert int(rows[0]["label_known_at"].timestamp() * 1e6) == NOON + 4 * DAY
    made = places.told_labels.stat().st_mtime_ns
    leave_told_labels(ground.url, places)
    assert places.told_labels.stat().st_mtime_ns == made, "what has not changed is not written again"
    assert leave_told_labels(f"sqlite:///{tmp_path}/none.db", places) == 0
