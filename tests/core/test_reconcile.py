"""Live state and SQL that have parted are brought together again, whatever parted them, on every live state."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.state_upkeep import StoredEvents
from fradect.adapters.states import open_state
from fradect.adapters.tables import outcomes, stream_events
from fradect.features.held import Learnt
from fradect.features.layout import layout_of
from fradect.modules import contract_of, module_of
from fradect.reconcile import Reconciler, Repaired, Waiting
from fradect.types import Event
from tests.factories_decision import NOON, purchase, record

LAYOUT = layout_of(module_of("ecommerce"), contract_of("ecommerce/standard"))
SCOPE = ("demo", "ecommerce")
HOUR = 3_600_000_000


class House:
    """A real state and a real ledger, and what compares them: each process has a reconciler of its own."""

    def __init__(self, folder: Path, state_url: str) -> None:
        self.url = f"sqlite:///{folder}/ledger.db"
        self.ledger = SqlLedger(self.url)
        self.shared = open_shared(self.url)
        self.stored = StoredEvents(self.url, self.shared, LedgerReads(self.ledger.engine))
        self.open_state(state_url)

    def open_state(self, url: str) -> None:
        self.state = open_state(url)
        self.state.adopt("demo", LAYOUT)
        self.patient = Reconciler(self.state, self.stored, grace=HOUR)
        self.strict = Reconciler(self.state, self.stored, grace=0)

    def close(self) -> None:
        self.state.close()
        self.stored.close()
        self.shared.dispose()
        self.ledger.close()

    def decide(self, event_id: str) -> int:
        seq = self.state.arrive(purchase(event_id)).seq
        self.ledger.commit(record(event_id, seq=seq))
        return seq

    def stream(self, *numbered: tuple[Event, int]) -> None:
        whose = {"tenant_id": "demo", "module": "ecommerce", "fields": b"{}", "origin": "", "compacted": False}
        rows = [
            {"event_id": event.event_id, "seq": seq, "event_time": event.event_time, "observed_at": NOON} | whose
            for event, seq in numbered
        ]
        with self.shared.begin() as connection:
            connection.execute(sa.insert(stream_events), rows)

    def tell(self, event_id: str, number: int) -> None:
        row = {"tenant_id": "demo", "module": "ecommerce", "event_id": event_id, "kind": "fraud", "value": True}
        row |= {"known_at": NOON, "number": number, "seq": 1, "event_time": NOON, "origin": ""}
        with self.shared.begin() as connection:
            connection.execute(sa.insert(outcomes), row | {"learnt": False, "compacted": False})

    def start(self) -> Repaired:
        return self.patient.at_start(*SCOPE, alone=True)

    def meanwhile(self) -> Repaired:
        return self.patient.meanwhile(*SCOPE)

    def arrived(self) -> set[str]:
        return self.state.known(*SCOPE, list("abcde"))

    def counted(self) -> int:
        """Events that the customer's rows hold."""
        held = {entity: held for entity, _, held in self.state.dump(*SCOPE)}
        return len(held["customer"].rows) // (
            8 * LAYOUT.entities[[e.entity for e in LAYOUT.entities].index("customer")].width
        )


@pytest.fixture(params=["sqlite", "redis"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    redis = request.param == "redis"
    house = House(tmp_path, request.getfixturevalue("redis_db") if redis else f"sqlite:///{tmp_path}/state.db")
    yield house
    house.close()


def test_nothing_to_repair_is_nothing(house: House) -> None:
    house.decide("a")
    assert not house.start()
    assert house.state.confirmed(*SCOPE) == 1
    assert not house.start()
    assert not house.meanwhile()


def test_an_arrival_without_a_decision_is_withdrawn_at_a_start_alone(house: House) -> None:
    house.decide("a")
    house.state.arrive(purchase("b"))
    house.decide("c")
    assert house.start() == Repaired(withdrawn=1)
    assert house.arrived() == {"a", "c"}
    assert house.counted() == 2
    assert house.state.confirmed(*SCOPE) == 3


def test_a_start_beside_others_lets_their_young_arrivals_be(house: House) -> None:
    house.decide("a")
    house.state.arrive(purchase("b"))
    house.decide("c")
    assert not house.patient.at_start(*SCOPE, alone=False)
    assert house.arrived() == {"a", "b", "c"}
    assert house.state.confirmed(*SCOPE) == 1, "not beyond what is still in flight"
    house.ledger.commit(record("b", seq=2))
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 3


def test_what_is_not_stored_in_its_time_is_withdrawn(house: House) -> None:
    house.decide("a")
    house.state.arrive(purchase("b"))
    assert not house.meanwhile()
    assert house.strict.meanwhile(*SCOPE) == Repaired(withdrawn=1)
    assert house.arrived() == {"a"}
    assert house.state.confirmed(*SCOPE) == 1


def test_what_was_given_up_and_is_stored_after_all_comes_back_under_its_number(house: House) -> None:
    house.state.arrive(purchase("a"))
    house.decide("b")
    assert house.strict.meanwhile(*SCOPE) == Repaired(withdrawn=1)
    assert house.state.confirmed(*SCOPE) == 2
    house.ledger.commit(record("a", seq=1))
    assert house.strict.meanwhile(*SCOPE) == Repaired(applied=1)
    assert not house.strict.meanwhile(*SCOPE)
    assert house.counted() == 2
    assert house.state.arrive(purchase("a")).seq == 1


def test_what_a_request_withdrew_although_it_was_stored_comes_back(house: House) -> None:
    house.decide("a")
    house.decide("b")
    house.state.withdraw(purchase("a"))
    assert house.meanwhile() == Repaired(applied=1)
    assert house.counted() == 2
    assert house.state.confirmed(*SCOPE) == 2


def test_the_tail_that_the_state_lost_is_applied_under_its_numbers(house: House, tmp_path: Path) -> None:
    house.decide("a")
    house.decide("b")
    house.state.close()
    house.open_state(f"sqlite:///{tmp_path}/fresh.db")
    assert house.start() == Repaired(applied=2)
    assert house.state.arrive(purchase("b")).seq == 2
    assert house.state.arrive(purchase("c")).seq == 3


def test_an_event_decided_without_the_state_gets_its_place(house: House) -> None:
    house.decide("a")
    house.ledger.commit(record("b"))
    assert house.meanwhile() == Repaired(placed=1)
    assert house.state.arrive(purchase("b")).seq == 2
    assert not LedgerReads(house.ledger.engine).unplaced(*SCOPE)
    assert house.state.confirmed(*SCOPE) == 2


def test_an_outage_of_the_state_leaves_no_gap(house: House) -> None:
    """Some events are decided without it, one arrived late, one is in flight all the while."""
    house.decide("a")
    house.state.arrive(purchase("b"))
    for event_id in "cd":
        house.ledger.commit(record(event_id))
    house.ledger.commit(record("b", seq=2))
    assert house.meanwhile() == Repaired(placed=2)
    assert house.arrived() == {"a", "b", "c", "d"}
    assert house.counted() == 4
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 4


def test_events_of_a_stream_are_stored_too(house: House) -> None:
    event = purchase("a")
    [seq] = house.state.apply_many([event])
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 0, "not stored yet"
    house.stream((event, seq))
    assert not house.strict.meanwhile(*SCOPE)
    assert house.state.confirmed(*SCOPE) == 1
    house.stream((purchase("b"), 7))  # its arrival was lost
    assert house.meanwhile() == Repaired(applied=1)
    assert house.state.confirmed(*SCOPE) == house.state.mark(*SCOPE).last_seq == 7


def test_an_outcome_that_is_not_stored_in_its_time_is_withdrawn(house: House) -> None:
    house.decide("a")
    told = [Learnt(purchase("a"), kind, True, NOON) for kind in ("fraud", "return")]
    assert house.state.learn(told) == [2, 3]
    house.decide("b")
    house.tell("a", 2)
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 2, "not beyond what is still in flight"
    assert house.strict.meanwhile(*SCOPE) == Repaired(withdrawn=1)
    assert house.state.confirmed(*SCOPE) == 4
    assert not house.state.unconfirmed(*SCOPE)
    assert house.state.learn(told) == [2, 5]


def test_an_event_is_missed_although_an_outcome_of_it_waits(house: House) -> None:
    house.decide("a")
    house.state.withdraw(purchase("a"))
    house.state.learn([Learnt(purchase("a"), "fraud", True, NOON)])
    house.tell("a", 2)
    assert house.meanwhile() == Repaired(applied=1)
    assert house.arrived() == {"a"}
    assert house.state.confirmed(*SCOPE) == 2


def test_who_arrives_meanwhile_keeps_nobody_else_from_being_confirmed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.decide("a")
    look = house.state.unconfirmed

    def then_another(tenant_id: str, module: str) -> list[Waiting]:
        waiting = look(tenant_id, module)
        house.decide("b")
        return waiting

    monkeypatch.setattr(house.state, "unconfirmed", then_another)
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 1
    monkeypatch.undo()
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 2


def test_more_than_are_looked_at_in_one_go_are_all_compared(house: House) -> None:
    events = [purchase(f"e{i}") for i in range(1, 1_301)]
    house.state.apply_many(events)
    in_flight, withdrawn = 1_200, 700
    house.stream(*[(event, seq) for seq, event in enumerate(events, 1) if seq != in_flight])
    house.state.withdraw(events[withdrawn - 1])
    assert house.meanwhile() == Repaired(applied=1)
    assert house.state.confirmed(*SCOPE) == in_flight - 1
    assert [one.seq for one in house.state.unconfirmed(*SCOPE)] == list(range(in_flight, 1_301))
    assert house.state.known(*SCOPE, [f"e{withdrawn}"])
    house.stream((events[in_flight - 1], in_flight))
    assert not house.meanwhile()
    assert house.state.confirmed(*SCOPE) == 1_300


def test_two_processes_that_compare_at_once_do_no_harm(house: House) -> None:
    for event_id in "abc":
        house.decide(event_id)
    other = Reconciler(house.state, house.stored, grace=HOUR)
    for _ in range(3):
        assert not house.meanwhile()
        assert not other.meanwhile(*SCOPE)
        house.decide("d")
    assert house.counted() == 4
    assert house.state.confirmed(*SCOPE) >= 3
