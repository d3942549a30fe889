"""A stream's live state beside others: a champion that changes, a state that is lost, numbers that stay unique."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fradect.features.layout import layout_of
from fradect.modules import contract_of
from tests.stream.factories_stream import RealState, Shop, message, open_shop, verdict


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home", real=True) as made:
        yield made


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


def test_an_outcome_that_was_stored_but_not_learnt_is_learnt_at_the_next_start(shop: Shop) -> None:
    class Died(BaseException):
        pass

    def die(step: str) -> Any:
        if step == "saved":
            raise Died

    with pytest.raises(Died):
        shop.take([message(1)], at=die)
    assert shop.state.learnt() == set()
    shop.take([message(1)])
    assert shop.state.learnt() == {("t1", "fraud")}
    assert shop.state.confirmed() == shop.events()["t1"]
    shop.check()
