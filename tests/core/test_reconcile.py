"""Live state and ledger that have parted are brought together again, whatever parted them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.state_sqlite import SqliteState
from fradect.modules import contract_of, module_of
from fradect.reconcile import Reconciler, Repaired
from tests.factories_decision import purchase, record

STANDARD = contract_of("ecommerce/standard")


class House:
    """A real state and a real ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        self.open_state("state.db")

    def open_state(self, name: str) -> None:
        self.state = SqliteState(self.folder / name, [module_of("ecommerce")])
        self.reconciler = Reconciler(self.state, LedgerReads(self.ledger.engine))

    def decide(self, event_id: str) -> int:
        seq = self.state.arrive(purchase(event_id), STANDARD).seq
        self.ledger.commit(record(event_id, seq=seq))
        return seq

    def start(self) -> Repaired:
        return self.reconciler.at_start("demo", "ecommerce")

    def meanwhile(self) -> Repaired:
        return self.reconciler.meanwhile("demo", "ecommerce")

    def arrived(self) -> set[str]:
        ids = ("a", "b", "c", "d")
        return {i for i in ids if self.state.apply(purchase(i), 900 + ids.index(i)) < 900}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.state.close()
    house.ledger.close()


def test_nothing_to_repair_is_nothing(house: House) -> None:
    house.decide("a")
    assert not house.start()
    assert house.state.confirmed("demo", "ecommerce") == 1
    assert not house.start()


def test_an_arrival_without_a_decision_is_withdrawn_at_start(house: House) -> None:
    house.decide("a")
    house.state.arrive(purchase("b"), STANDARD)
    house.decide("c")
    assert house.start() == Repaired(withdrawn=1)
    assert house.arrived() == {"a", "c"}


def test_the_tail_that_the_state_lost_is_applied_under_its_numbers(house: House) -> None:
    house.decide("a")
    house.decide("b")
    house.state.close()
    house.open_state("fresh.db")
    assert house.start() == Repaired(applied=2)
    assert house.state.arrive(purchase("b"), STANDARD).seq == 2
    assert house.state.arrive(purchase("c"), STANDARD).seq == 3


def test_an_event_decided_without_the_state_gets_its_place(house: House) -> None:
    house.decide("a")
    house.ledger.commit(record("b"))
    assert house.start() == Repaired(placed=1)
    assert house.state.arrive(purchase("b"), STANDARD).seq == 2
    assert not LedgerReads(house.ledger.engine).unplaced("demo", "ecommerce")


def test_while_serving_an_arrival_is_given_one_round_to_be_decided(house: House) -> None:
    house.decide("a")
    house.state.arrive(purchase("b"), STANDARD)
    house.state.arrive(purchase("c"), STANDARD)
    assert not house.meanwhile()
    assert house.state.confirmed("demo", "ecommerce") == 1, "not beyond what is still in flight"
    house.ledger.commit(record("c", seq=3))
    assert house.meanwhile() == Repaired(withdrawn=1)
    assert house.state.confirmed("demo", "ecommerce") == 3
    assert house.arrived() == {"a", "c"}
