"""A stream's live state beside others: a champion that changes, a state that is lost, numbers that stay unique."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fradect.adapters.states import open_state
from fradect.adapters.tables import event_row, outcomes, stream_events
from fradect.features.held import Learnt
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of
from fradect.types import DAY, MINUTE, Event
from tests.features.factories_history import history_of
from tests.stream.factories_stream import SHOP, RealState, Shop, message, open_shop, verdict
from tests.stream.test_stream_ingest import QUICK

MARCH = 19_783 * DAY  # 2024-03-01


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home", real=True) as made:
        yield made


class Died(BaseException):
    pass


def dying(point: str) -> Callable[[str], None]:
    def at(step: str) -> None:
        if step == point:
            raise Died

    return at


def again(shop: Shop) -> RealState:
    """Another process's view of the same state."""
    return RealState(shop.home, shop.shared, shop.stored)


def test_what_was_streamed_is_what_a_rebuild_makes_of_it(shop: Shop) -> None:
    told = [verdict(i, kind="return") for i in range(0, 40, 2)]
    shop.take([message(i, fraud="" if i % 3 else "0") for i in range(40)], told)
    shop.take([message(i, at="2024-03-01 00:30:00") for i in range(40, 50)])
    shop.check()


def test_a_new_champion_is_followed(shop: Shop) -> None:
    events = [message(i) for i in range(20)]
    shop.take(events[:10])
    other = layout_of(shop.mapping.module, contract_of("ecommerce/handbook"))
    promoted = again(shop)
    promoted.layout = other
    promoted.begin()
    shop.state.layout = other
    source = shop.take(events)
    assert source.rested
    assert len(shop.events()) == 20
    shop.check()
    promoted.close()


def test_a_state_that_is_lost_is_made_anew_and_gives_no_number_twice(shop: Shop) -> None:
    events = [message(i) for i in range(20)]
    shop.take(events[:10], [verdict(i, kind="return") for i in range(10)])
    shop.state.lose()
    shop.take(events, [verdict(i, kind="return") for i in range(20)])
    assert len(shop.events()) == 20
    assert not shop.letters.buried
    shop.check()


def test_an_outcome_that_was_stored_when_its_teller_died_is_told_at_the_next_start(shop: Shop) -> None:
    with pytest.raises(Died):
        shop.take([message(1)], at=dying("saved"))
    shop.state.lose()
    shop.take([message(1)])
    assert shop.state.learnt() == {("t1", "fraud")}
    assert shop.state.confirmed() == shop.events()["t1"]
    shop.check()


class Desk:
    """A service beside the stream, which decides of purchases at one merchant and stores them."""

    def __init__(self, shop: Shop, url: str) -> None:
        self._shop = shop
        self._state = open_state(url)
        self._reader = Reader(shop.mapping.module, shop.mapping.contract)
        self.seen: dict[int, tuple[float, ...]] = {}

    def decide(self, _step: str) -> None:
        time = MARCH + 9 * DAY + len(self.seen) * MINUTE
        fields = {"customer_id": "c1", "merchant_id": "m1", "device_id": "d1", "amount_base": 100}
        event = Event(f"d{len(self.seen)}", *SHOP, time, time, fields)
        self._state.adopt(SHOP[0], self._reader.layout)
        arrival = self._state.arrive(event)
        self.seen[arrival.seq] = self._reader.vector(event, arrival.view, Snapshot({}, {})).values
        with self._shop.shared.begin() as connection:
            connection.execute(
                stream_events.insert(), event_row(event, arrival.seq) | {"origin": "", "compacted": False}
            )

    def differing(self) -> set[str]:
        """Features of which a decision saw something else than history says by number."""
        stored = [(one.seq, one.event) for one in self._shop.stored.numbered(*SHOP, 0, 0)]
        events = {event.event_id: event for _, event in stored}
        told = self._shop.rows(outcomes, "event_id", "kind", "value", "known_at", "number")
        learnt = [Learnt(events[event_id], *rest) for event_id, *rest in told]
        history = history_of(self._shop.mapping.contract, stored, learnt)
        at = {seq: i for i, (seq, _) in enumerate(stored)}
        names = self._shop.mapping.contract.names
        return {
            name
            for seq, values in self.seen.items()
            for name, value in zip(names, values, strict=True)
            if name in history and not np.array_equal(value, history[name][at[seq]], equal_nan=True)
        }

    def close(self) -> None:
        self._state.close()


STEPS = ("judged", "applied", "numbered", "saved", "told", "marked")


@pytest.mark.parametrize("place", ["sqlite", "redis"])
def test_decisions_between_any_two_steps_saw_what_history_says(
    tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    """The consumer dies between them, too: what comes again has the numbers that it had."""
    url = request.getfixturevalue("redis_db") if place == "redis" else f"sqlite:///{tmp_path}/home/state.db"
    events = [message(i, at=f"2024-03-01 00:{i:02}:00", fraud="" if i % 3 else str(int(i < 4))) for i in range(24)]
    told = [verdict(i, value=i < 4, known_at="2024-03-05T00:00:00Z") for i in range(24) if i % 3]
    with open_shop(tmp_path / "home", real=True, state_url=url) as shop:
        desk = Desk(shop, url)
        for point in STEPS:

            def at(step: str, point: str = point) -> None:
                desk.decide(step)
                dying(point)(step)

            with pytest.raises(Died):
                shop.take(events, told, most=3, at=at, options=QUICK)
        shop.take(events, told, most=3, at=desk.decide, options=QUICK)
        desk.decide("afterwards")
        assert set(shop.events()) >= {f"t{i}" for i in range(24)}
        share = shop.mapping.contract.names.index("merchant_fraud_share_7d")
        assert len({values[share] for values in desk.seen.values()}) > 6, "outcomes were seen as they came"
        assert desk.differing() == set()
        desk.close()


@pytest.mark.parametrize("happens", ["make_anew", "lose"])
def test_a_state_that_is_made_anew_between_learning_and_saving_learns_again(shop: Shop, happens: str) -> None:
    events = [message(i) for i in range(10)]
    told = [verdict(i, kind="return") for i in range(10)]
    done: list[str] = []

    def at(step: str) -> None:
        if step == "numbered" and not done:
            done.append(step)
            getattr(shop.state, happens)()

    shop.take(events, told, at=at)
    assert done
    assert len(shop.outcomes()) == 20
    shop.check()
