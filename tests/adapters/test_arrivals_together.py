"""Events that arrive together: each its own atomic step, in their order, and its own answer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fradect.adapters.state_parts import Filling, Mark
from fradect.adapters.states import States, open_state
from fradect.errors import Conflict, InvalidInput, Unavailable
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.ports import Arrival, Arriving
from tests.factories_decision import by_name, purchase

MODULE, CONTRACT = module_of("ecommerce"), contract_of("ecommerce/standard")
LAYOUT, READER = layout_of(MODULE, CONTRACT), Reader(MODULE, CONTRACT)


class _Ride:
    """An errand that counts how often it was brought something."""

    def __init__(self, commands: Sequence[Sequence[bytes]]) -> None:
        self.commands = commands
        self.brought: list[list[Any]] = []

    def bring(self, answers: Sequence[Any]) -> None:
        self.brought.append(list(answers))

    def snapshot(self) -> Snapshot:
        return Snapshot({}, {})


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("redis_db")) if request.param == "redis" else f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def state(url: str) -> Iterator[States]:
    opened = open_state(url)
    opened.adopt("demo", LAYOUT)
    yield opened
    opened.close()


def _count(arriving: Arriving, answer: object) -> float:
    assert isinstance(answer, Arrival)
    return by_name(READER.vector(arriving.event, answer.view, Snapshot({}, {})))["customer_count_1h"]


def test_each_sees_those_before_it(state: States) -> None:
    arriving = [Arriving(purchase(str(i))) for i in range(5)]
    answers = state.arrive_many(arriving)
    assert [_count(*pair) for pair in zip(arriving, answers, strict=True)] == [1, 2, 3, 4, 5]


def test_a_repeat_among_them_gets_the_first_number(state: States) -> None:
    first, _, again = state.arrive_many([Arriving(purchase("a")), Arriving(purchase("b")), Arriving(purchase("a"))])
    assert isinstance(first, Arrival)
    assert isinstance(again, Arrival)
    assert (first.seq, again.seq) == (1, 1)


def test_one_that_is_refused_costs_the_others_nothing(state: States) -> None:
    state.arrive(purchase("a", amount=1))
    other, huge, good = state.arrive_many(
        [
            Arriving(purchase("a", amount=2, amount_base=2, customer_id="somebody")),
            Arriving(purchase("b", amount=1 << 70, amount_base=1 << 70)),
            Arriving(purchase("c")),
        ]
    )
    assert isinstance(other, Conflict)
    assert isinstance(huge, InvalidInput)
    assert isinstance(good, Arrival)
    assert good.seq == 2, "what was refused has no number"


def test_tenants_may_come_together(state: States) -> None:
    state.adopt("other", LAYOUT)
    answers = state.arrive_many([Arriving(purchase("a")), Arriving(purchase("a", tenant="other"))])
    assert [answer.seq for answer in answers if isinstance(answer, Arrival)] == [1, 1]


def test_a_tenant_that_nobody_adopted_is_told_so_alone(state: States) -> None:
    good, stranger = state.arrive_many([Arriving(purchase("a")), Arriving(purchase("a", tenant="stranger"))])
    assert isinstance(good, Arrival)
    assert isinstance(stranger, Unavailable)


def test_errands_come_back_to_those_who_sent_them(state: States, url: str) -> None:
    on_redis = url.startswith("redis")
    rides = [_Ride([(b"ECHO", b"%d" % i)] * i if on_redis else ()) for i in range(3)]
    state.arrive_many([Arriving(purchase(str(i)), ride) for i, ride in enumerate(rides)])
    assert [ride.brought for ride in rides] == [[[b"%d" % i] * i if on_redis else []] for i in range(3)]


def test_a_scope_rebuilt_elsewhere_meanwhile_is_found_again(state: States, url: str) -> None:
    state.arrive(purchase("a"))
    elsewhere = open_state(url)
    elsewhere.refill("demo", LAYOUT, Filling(Mark(last_seq=7), (), (), ()))
    elsewhere.close()
    arriving = [Arriving(purchase("b")), Arriving(purchase("c"))]
    answers = state.arrive_many(arriving)
    assert [answer.seq for answer in answers if isinstance(answer, Arrival)] == [8, 9]
    assert [_count(*pair) for pair in zip(arriving, answers, strict=True)] == [1, 2], "what was there is gone"
