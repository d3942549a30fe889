"""Live states under several processes, deaths, hot keys and whatever a stream may bring: always what history says."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fradect.adapters.state_parts import KEPT
from fradect.adapters.state_sqlite import SqliteState
from fradect.adapters.states import States, open_state
from fradect.errors import InvalidInput, Unavailable
from fradect.features.contract import MAX_LATE, Contract
from fradect.features.held import Held, Learnt
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.settings import PROJECT
from fradect.types import DAY, HOUR, MINUTE, Event
from tests.factories_decision import purchase
from tests.features.factories_history import history_of

MODULE = module_of("ecommerce")
CONTRACT = contract_of("ecommerce/standard")
READER = Reader(MODULE, CONTRACT)
SCOPE = ("demo", "ecommerce")
START = 20_000 * DAY
CLIENT = Path(__file__).parent / "state_client.py"


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    redis = request.param == "redis"
    return str(request.getfixturevalue("redis_db")) if redis else f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def state(url: str) -> Iterator[States]:
    state = open_state(url)
    state.adopt("demo", READER.layout)
    yield state
    state.close()


Seen = tuple[int, Event, list[float | None]]
"""Number, event and vector."""


def _started(url: str, *words: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.Popen([sys.executable, str(CLIENT), url, *words], stdout=subprocess.PIPE, env=environment)


def _bought(url: str, processes: int, clients: int, purchases: int) -> list[Seen]:
    running = [_started(url, "shop", str(n), str(clients), str(purchases)) for n in range(processes)]
    seen: list[Seen] = []
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        seen += msgspec.json.decode(said, type=list[Seen])
    return sorted(seen, key=lambda one: one[0])


def _equals_history(contract: Contract, seen: list[Seen], learnt: list[Learnt]) -> None:
    history = history_of(contract, [(seq, event) for seq, event, _ in seen], learnt)
    for j, name in enumerate(contract.names):
        if name in history:
            live = np.array([np.nan if values[j] is None else values[j] for _, _, values in seen])
            assert np.array_equal(live, history[name], equal_nan=True), name


@pytest.mark.parametrize(("url", "processes", "clients"), [("redis", 4, 8), ("sqlite", 2, 3)], indirect=["url"])
def test_what_many_processes_saw_is_history_by_number(state: States, url: str, processes: int, clients: int) -> None:
    """A hundred simultaneous requests with one card see one another, whichever server takes them."""
    seen = _bought(url, processes, clients, purchases=15)
    count = processes * clients * 15
    assert [seq for seq, _, _ in seen] == list(range(1, count + 1)), "each has one number, and none is lost"
    _equals_history(CONTRACT, seen, [])
    in_order = SqliteState("", scratch=True)
    in_order.adopt("demo", READER.layout)
    assert in_order.apply_many([event for _, event, _ in seen]) == list(range(1, count + 1))
    assert _settled(state, count) == _settled(in_order, count)


def _settled(state: States, last: int) -> list[tuple[str, str, Held]]:
    state.confirm(*SCOPE, last)
    state.settle_all(*SCOPE)
    return list(state.dump(*SCOPE))


def test_a_death_between_arrival_and_commit_leaves_an_arrival_that_waits(state: States, url: str) -> None:
    dying = _started(url, "die")
    dying.communicate(timeout=60)
    assert dying.returncode == 9
    assert [w.event_id for w in state.unconfirmed(*SCOPE)] == ["doomed"]
    assert len(list(state.dump(*SCOPE))) >= 5
    state.withdraw_id(*SCOPE, "doomed")
    assert list(state.dump(*SCOPE)) == []
    assert state.arrive(purchase("next")).seq == 2


def test_clocks_that_disagree_only_order_the_windows(state: States) -> None:
    """A server that is an hour ahead: windows go by event time, who sees whom by number."""
    seen: list[Seen] = []
    for i in range(30):
        event = purchase(f"e{i}", at=START + i * MINUTE + (HOUR if i % 2 else 0), ip="192.0.2.1")
        arrival = state.arrive(event)
        seen.append((arrival.seq, event, list(READER.vector(event, arrival.view, Snapshot({}, {})).values)))
    _equals_history(CONTRACT, seen, [])


def test_a_hot_address_costs_no_more_than_its_tiles(state: States) -> None:
    """Ten thousand purchases of a thousand customers behind one address in three days."""
    layout = next(entity for entity in READER.layout.entities if entity.entity == "ip")
    fields: dict[str, Any] = {"merchant_id": None, "device_id": None, "card_token": None}
    fields["shipping_address_token"] = None
    largest = 0
    for start in range(0, 10_000, 500):
        events = [
            purchase(f"e{i}", at=START + i * (3 * DAY // 10_000), customer_id=f"c{i % 1000}", ip="192.0.2.1", **fields)
            for i in range(start, start + 500)
        ]
        state.apply_many(events)
        state.confirm(*SCOPE, start + 500)
        probe = purchase(f"probe{start}", at=events[-1].event_time, customer_id=None, ip="192.0.2.1", **fields)
        state.arrive(probe)
        held = state.read(probe, 0).seen["ip"]
        assert held is not None
        state.withdraw(probe)
        largest = max(largest, len(held.tiles))
        assert len(held.fresh) <= 8 * layout.width * 70
    assert 0 < largest < 100_000, largest


def test_a_state_that_is_away_is_unavailable_and_tells_no_password() -> None:
    away = open_state("redis://user:s3cret@127.0.0.1:1/0", wait=0.2)
    with pytest.raises(Unavailable) as caught:
        away.adopt("demo", READER.layout)
    assert "s3cret" not in repr(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    for url in ("redis://user:s3cret@", "postgresql://user:s3cret@host/db", "sqlite://", "redis://:s3cret@h:x/0"):
        with pytest.raises(InvalidInput) as refused:
            open_state(url)
        assert "s3cret" not in str(refused.value)


def test_a_file_that_another_process_writes_is_unavailable_for_a_while(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    state, other = open_state(url, wait=0.05), SqliteState(tmp_path / "state.db")
    state.adopt("demo", READER.layout)
    with other.together(), pytest.raises(Unavailable, match="locked"):
        state.arrive(purchase("a"))
    assert state.arrive(purchase("a")).seq == 1
    state.close()
    other.close()


Step = tuple[str, Event]
BESIDE = ("again", "doomed", "learn", "tell", "tell", "unsaid", "confirm", "sweep", "settle")


@st.composite
def _steps(draw: st.DrawFn) -> list[Step]:
    """Arrivals, repeats, withdrawals, outcomes, confirmations, sweeps: equal times, some far too late, odd names."""
    now, steps, events = START, list[Step](), list[Event]()
    names = st.sampled_from([None, "a", "b", "\U0001f600 é", "a:b"])
    for i in range(draw(st.integers(1, 25))):
        now += draw(st.sampled_from([0, 1, MINUTE, HOUR, DAY, 3 * DAY]))
        time = now - draw(st.sampled_from([0, 0, 0, 1, HOUR, DAY, MAX_LATE, MAX_LATE + 1]))
        fields = {
            "customer_id": draw(names),
            "device_id": draw(names),
            "card_token": draw(names),
            "ip": draw(st.sampled_from([None, "192.0.2.1"])),
            "merchant_id": draw(st.sampled_from(["m", "n"])),
            "amount_base": draw(st.sampled_from([0, 1, 10**15])),
        }
        events.append(Event(f"e{i}", "demo", MODULE.name, time, time, fields))
        steps.append(("arrive", events[-1]))
        for what in draw(st.lists(st.sampled_from(BESIDE), max_size=3)):
            steps.append((what, draw(st.sampled_from(events))))
    return steps


@settings(max_examples=25)
@given(steps=_steps())
def test_whatever_comes_every_vector_is_history(redis_url: str, steps: list[Step]) -> None:
    states: list[Callable[[], States]] = [lambda: SqliteState("", scratch=True), lambda: open_state(redis_url)]
    for opened in states:
        state = opened()
        state.drop(*SCOPE)
        state.adopt("demo", READER.layout)
        seen, learnt = _played(state, steps)
        _equals_history(CONTRACT, seen, learnt)
        state.drop(*SCOPE)
        state.close()


def _played(state: States, steps: list[Step]) -> tuple[list[Seen], list[Learnt]]:
    seen: dict[str, Seen] = {}
    learnt: dict[str, Learnt] = {}
    for what, event in steps:
        if what == "arrive":
            arrival = state.arrive(event)
            values = READER.vector(event, arrival.view, Snapshot({}, {})).values
            seen[event.event_id] = (arrival.seq, event, list(values))
        elif what == "again" and event.event_time > state.mark(*SCOPE).newest - KEPT:
            assert state.arrive(event).seq == seen[event.event_id][0]
        elif what == "doomed":
            doomed = structs.replace(event, event_id="doomed")
            state.arrive(doomed)
            state.withdraw(doomed)
        elif what in {"learn", "tell", "unsaid"}:
            _told(state, what, Learnt(event, "fraud", True, event.event_time + DAY), learnt)
        elif what == "confirm":
            state.confirm(*SCOPE, state.mark(*SCOPE).last_seq)
        elif what == "sweep":
            state.sweep()
        elif what == "settle":
            state.settle_all(*SCOPE)
    return list(seen.values()), list(learnt.values())


def _told(state: States, what: str, outcome: Learnt, learnt: dict[str, Learnt]) -> None:
    """With a number or without, stored then or withdrawn; what is learnt already is told again, within a week."""
    event_id = outcome.event.event_id
    if event_id in learnt:
        first = learnt[event_id]
        if first.known_at > state.mark(*SCOPE).newest - KEPT:
            assert state.learn([first if what == "learn" else outcome]) == [first.number]
    elif what == "unsaid":
        state.learn([outcome])
        state.withdraw_id(*SCOPE, event_id, outcome.kind)
    else:
        given = replace(outcome, number=state.reserve(*SCOPE, 1) if what == "learn" else None)
        [number] = state.learn([given])
        learnt[event_id] = replace(outcome, number=number)
