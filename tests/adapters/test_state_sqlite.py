"""The live state: one atomic arrival, the same answer to a repeat, equal to history, nothing lost or invented."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fradect.adapters.state_rebuild import Part, log_end, rebuild
from fradect.adapters.state_sqlite import SqliteState
from fradect.errors import Conflict, Refused
from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.features.live import Recent, Snapshot, vector
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import Module
from fradect.types import DAY, HOUR, Event
from tests.factories_decision import NOON, purchase
from tests.features.factories_log import events_of, random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = contract_of("ecommerce/standard"), contract_of("ecommerce/handbook")


Opener = Callable[..., SqliteState]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens a state by file name; closes what is still open at the end."""
    states: list[SqliteState] = []

    def open_state(name: str = "state.db", module: Module = MODULE) -> SqliteState:
        states.append(SqliteState(tmp_path / name, [module]))
        return states[-1]

    yield open_state
    for state in states:
        state.close()


@pytest.fixture
def state(opened: Opener) -> SqliteState:
    return opened()


def _values(event: Event, recent: dict[str, Recent | None]) -> dict[str, float]:
    return vector(MODULE, STANDARD, event, recent, Snapshot({}, {})).as_dict()


def test_an_arrival_sees_itself_and_what_came_before(state: SqliteState) -> None:
    state.arrive(purchase("a", at=NOON - 2 * HOUR), STANDARD)
    state.arrive(purchase("b", at=NOON - HOUR // 2, device_id="d2", card_token=None), STANDARD)
    third = purchase("c")
    arrival = state.arrive(third, STANDARD)
    seen = _values(third, dict(arrival.recent))
    assert arrival.seq == 3
    assert seen["customer_count_1h"] == 2
    assert seen["customer_count_1d"] == 3
    assert seen["customer_distinct_device_30d"] == 2
    assert seen["customer_distinct_card_30d"] == 1  # an absent card is no card
    assert seen["customer_amount_sum_1d"] == 300_000


def test_an_event_without_an_entity_has_none(state: SqliteState) -> None:
    arrival = state.arrive(purchase(card_token=None), STANDARD)
    assert arrival.recent["card"] is None
    assert arrival.recent["customer"] is not None


def test_a_repeat_gets_the_first_number_time_and_view(state: SqliteState) -> None:
    first = state.arrive(purchase("a"), STANDARD)
    state.arrive(purchase("b", at=NOON + 1), STANDARD)
    again = state.arrive(purchase("a", at=NOON + 5), STANDARD)
    assert (again.seq, again.event_time) == (first.seq, NOON)
    for entity, recent in first.recent.items():
        assert recent is not None
        other = again.recent[entity]
        assert other is not None
        assert recent.events.time.tolist() == other.events.time.tolist()
        assert recent.own == other.own


def test_the_same_id_with_other_fields_is_a_conflict(state: SqliteState) -> None:
    state.arrive(purchase("a"), STANDARD)
    with pytest.raises(Conflict, match="'a'"):
        state.arrive(purchase("a", amount_base=1), STANDARD)
    with pytest.raises(Conflict):
        state.arrive(purchase("a", customer_id="c2"), STANDARD)


def test_withdrawal_leaves_nothing_and_frees_the_id(state: SqliteState) -> None:
    state.arrive(purchase("a"), STANDARD)
    state.withdraw(purchase("a"))
    state.withdraw(purchase("a"))  # twice is once
    arrival = state.arrive(purchase("b"), STANDARD)
    assert _values(purchase("b"), dict(arrival.recent))["customer_count_1d"] == 1
    assert arrival.seq == 2  # a number is never given twice
    assert state.arrive(purchase("a", amount_base=7), STANDARD).seq == 3


def test_later_arrivals_are_not_seen_from_an_earlier_number(state: SqliteState) -> None:
    early, late = purchase("a"), purchase("b", at=NOON - HOUR // 2)
    state.arrive(early, STANDARD)
    state.arrive(late, STANDARD)  # happened before, arrived after
    assert _values(early, dict(state.read(early, STANDARD, 1)))["customer_count_1h"] == 1
    assert _values(late, dict(state.read(late, STANDARD, 2)))["customer_count_1h"] == 1
    after = purchase("c", at=NOON + 1)
    assert _values(after, dict(state.arrive(after, STANDARD).recent))["customer_count_1h"] == 3


def test_tenants_do_not_see_each_other(state: SqliteState) -> None:
    state.arrive(purchase("a", tenant="one"), STANDARD)
    other = purchase("a", tenant="two")
    arrival = state.arrive(other, STANDARD)
    assert arrival.seq == 1
    assert _values(other, dict(arrival.recent))["customer_count_1d"] == 1


def test_simultaneous_arrivals_each_see_those_with_lower_numbers(state: SqliteState) -> None:
    seen: dict[int, float] = {}

    def shop(worker: int) -> None:
        for i in range(25):
            event = purchase(f"w{worker}-{i}")
            arrival = state.arrive(event, STANDARD)
            seen[arrival.seq] = _values(event, dict(arrival.recent))["customer_count_1h"]

    workers = [threading.Thread(target=shop, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(seen) == list(range(1, 101))
    assert all(count == seq for seq, count in seen.items())


def test_what_survives_a_restart_is_everything(opened: Opener) -> None:
    first = opened()
    first.arrive(purchase("a"), STANDARD)
    first.close()
    again = opened()
    arrival = again.arrive(purchase("b"), STANDARD)
    assert arrival.seq == 2
    assert _values(purchase("b"), dict(arrival.recent))["customer_count_1h"] == 2


def test_a_changed_declaration_starts_empty(opened: Opener) -> None:
    state = opened()
    state.arrive(purchase("a"), STANDARD)
    state.close()
    by_ip = Feature(
        "customer_distinct_ip_1d", Kind.LIVE, "count", "", Window("customer", Aggregate.DISTINCT, DAY, of="ip")
    )
    changed = replace(MODULE, contracts=(replace(STANDARD, features=(*STANDARD.features, by_ip)),))
    again = opened(module=changed)
    assert again.mark("demo", "ecommerce").last_seq == 0
    assert again.arrive(purchase("a", ip="192.0.2.1"), changed.contracts[0]).seq == 1


def test_a_contract_that_looks_at_something_else_is_refused(state: SqliteState) -> None:
    odd = Feature("x", Kind.LIVE, "count", "", Window("merchant", Aggregate.DISTINCT, DAY, of="browser"))
    contract = Contract("ecommerce/odd", "ecommerce", (odd,), ())
    with pytest.raises(Refused, match="does not keep"):
        state.arrive(purchase("a"), contract)


def test_an_error_in_the_middle_of_an_arrival_leaves_nothing(state: SqliteState) -> None:
    with pytest.raises(sqlite3.Error), state.transaction() as db:
        db.execute("INSERT INTO ecommerce_events (scope, seq) VALUES (1, 1)")
    assert state.arrive(purchase("a"), STANDARD).seq == 1


@pytest.mark.parametrize("contract", [STANDARD, HANDBOOK])
@pytest.mark.parametrize("late", [0.0, 0.2])
def test_rebuilt_from_the_log_equals_arrived_one_by_one(
    tmp_path: Path, opened: Opener, contract: Contract, late: float
) -> None:
    columns = random_columns(5, 150, late=late)
    events = events_of(columns)
    places = write_log(tmp_path, columns, random_outcomes(5, columns), files=2)
    rebuilt = opened("rebuilt.db")
    what = rebuild(rebuilt, "default", MODULE, places.log, Part(since=0))
    assert (what.events, what.last_seq) == (150, 150)
    arrived = opened("arrived.db")
    for event in events:
        live = arrived.arrive(event, contract)
        read = rebuilt.read(event, contract, live.seq)
        for entity, recent in live.recent.items():
            other = read[entity]
            if recent is None or other is None:
                assert recent is other
                continue
            assert recent.own == other.own
            assert np.array_equal(recent.events.seq, other.events.seq)
            assert {n: v.tolist() for n, v in recent.events.values.items()} == {
                n: v.tolist() for n, v in other.events.values.items()
            }


def test_a_rebuild_goes_on_from_the_logs_last_number_and_holds_what_windows_need(
    tmp_path: Path, opened: Opener
) -> None:
    columns = random_columns(6, 400, span=200 * DAY)
    places = write_log(tmp_path, columns, random_outcomes(6, columns))
    state = opened()
    what = rebuild(state, "default", MODULE, places.log)
    assert what.events < 400
    assert log_end(places.log) == 400
    event = replace(
        purchase("new", tenant="default", at=max(columns["event_time"])), fields=events_of(columns)[7].fields
    )
    for contract in (STANDARD, HANDBOOK):
        whole = opened(f"{contract.name.split('/')[1]}.db")
        rebuild(whole, "default", MODULE, places.log, Part(since=0))
        expected = _vector(contract, event, whole.arrive(event, contract).recent)
        got = _vector(contract, event, state.arrive(event, contract).recent)
        assert np.array_equal(expected, got, equal_nan=True)
    assert state.mark("default", "ecommerce").last_seq == 401
    rebuild(state, "default", MODULE, places.log)
    assert state.mark("default", "ecommerce").log_seq == 400


def _vector(contract: Contract, event: Event, recent: object) -> np.ndarray:
    assert isinstance(recent, dict)
    return np.array(vector(MODULE, contract, event, recent, Snapshot({}, {})).values)
