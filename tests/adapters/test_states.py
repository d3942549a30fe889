"""What every live state promises, asked of each of them."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fradect.adapters.state_parts import Mark
from fradect.adapters.states import States, open_state
from fradect.errors import Conflict, InvalidInput, Unavailable
from fradect.features.held import Held, Learnt
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.ports import Arrival
from fradect.types import DAY, HOUR, Event
from tests.factories_decision import NOON, by_name, purchase

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = contract_of("ecommerce/standard"), contract_of("ecommerce/handbook")
LAYOUT = layout_of(MODULE, STANDARD)
READER = Reader(MODULE, STANDARD)
SCOPE = ("demo", "ecommerce")
NO_SNAPSHOT = Snapshot({}, {})

Opener = Callable[[], States]


@pytest.fixture(params=["sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same place again and again; closes what is still open at the end."""
    redis = request.param == "redis"
    url = request.getfixturevalue("redis_db") if redis else f"sqlite:///{tmp_path}/state.db"
    opened: list[States] = []

    def open_one() -> States:
        opened.append(open_state(url))
        return opened[-1]

    yield open_one
    for state in opened:
        state.close()


@pytest.fixture
def state(opener: Opener) -> States:
    state = opener()
    assert not state.adopt("demo", LAYOUT), "nothing was there"
    return state


def _values(event: Event, arrival: Arrival) -> dict[str, float]:
    return by_name(READER.vector(event, arrival.view, NO_SNAPSHOT))


def test_an_arrival_sees_itself_and_what_came_before(state: States) -> None:
    state.arrive(purchase("a", at=NOON - 2 * HOUR))
    state.arrive(purchase("b", at=NOON - HOUR // 2, device_id="d2", card_token=None))
    third = purchase("c")
    arrival = state.arrive(third)
    seen = _values(third, arrival)
    assert arrival.seq == 3
    assert seen["customer_count_1h"] == 2
    assert seen["customer_count_1d"] == 3
    assert seen["customer_distinct_device_30d"] == 2
    assert seen["customer_distinct_card_30d"] == 1  # an absent card is no card
    assert seen["customer_amount_sum_1d"] == 300_000


def test_an_entity_that_is_not_named_is_not_there(state: States) -> None:
    arrival = state.arrive(purchase(card_token=None))
    assert arrival.seen["card"] is None
    assert arrival.seen["ip"] is None
    assert arrival.seen["customer"] is not None


def test_a_repeat_gets_the_first_number_time_and_view(state: States) -> None:
    event = purchase("a")
    first = state.arrive(event)
    state.arrive(purchase("b", at=NOON + 3 * DAY))
    again = state.arrive(purchase("a", at=NOON + 5))
    assert (again.seq, again.event_time, again.newest) == (first.seq, NOON, first.newest)
    assert np.array_equal(list(_values(event, first).values()), list(_values(event, again).values()), equal_nan=True)


def test_the_same_id_with_other_fields_is_a_conflict(state: States) -> None:
    state.arrive(purchase("a"))
    for other in ({"amount_base": 1}, {"customer_id": "c2"}, {"card_token": None}):
        with pytest.raises(Conflict, match="'a'"):
            state.arrive(purchase("a", **other))
    assert state.mark(*SCOPE).last_seq == 1


def test_withdrawal_leaves_nothing_and_frees_the_id(state: States) -> None:
    state.arrive(purchase("a"))
    state.withdraw(purchase("a"))
    state.withdraw(purchase("a"))  # twice is once
    assert list(state.dump(*SCOPE)) == []
    arrival = state.arrive(purchase("b"))
    assert _values(purchase("b"), arrival)["customer_count_1d"] == 1
    assert arrival.seq == 2  # a number is never given twice
    assert state.arrive(purchase("a", amount_base=7)).seq == 3


def test_what_is_confirmed_is_not_withdrawn(state: States) -> None:
    state.arrive(purchase("a"))
    state.confirm(*SCOPE, 1)
    state.withdraw(purchase("a"))
    assert state.arrive(purchase("a")).seq == 1
    assert _values(purchase("b"), state.arrive(purchase("b")))["customer_count_1d"] == 2


def test_later_arrivals_are_not_seen_from_an_earlier_number(state: States) -> None:
    early, late = purchase("a"), purchase("b", at=NOON - HOUR // 2)
    state.arrive(early)
    state.arrive(late)  # happened before, arrived after
    assert _values(early, state.read(early, 1))["customer_count_1h"] == 1
    assert _values(late, state.read(late, 2))["customer_count_1h"] == 1
    after = purchase("c", at=NOON + 1)
    assert _values(after, state.arrive(after))["customer_count_1h"] == 3


def test_a_key_that_is_forgotten_begins_anew_and_no_other_does(state: States) -> None:
    for one in ("a", "b"):
        state.arrive(purchase(one, at=NOON - HOUR // 2))
    customer = str(purchase("a").fields["customer_id"])
    assert state.forget("demo", "ecommerce", "customer", customer)
    assert not state.forget("demo", "ecommerce", "customer", customer)
    assert not state.forget("demo", "ecommerce", "nobody", customer)
    third = purchase("c")
    seen = _values(third, state.arrive(third))
    assert seen["customer_count_1h"] == 1
    assert seen["card_count_1h"] == 3


def test_tenants_do_not_see_each_other(state: States) -> None:
    state.adopt("other", LAYOUT)
    state.arrive(purchase("a"))
    other = purchase("a", tenant="other")
    arrival = state.arrive(other)
    assert arrival.seq == 1
    assert _values(other, arrival)["customer_count_1d"] == 1
    state.withdraw(other)
    assert len(list(state.dump(*SCOPE))) == len(list(state.dump("other", "ecommerce"))) + 5


def test_threads_with_one_card_each_see_those_with_lower_numbers(state: States) -> None:
    seen: dict[int, float] = {}

    def shop(worker: int) -> None:
        for i in range(25):
            event = purchase(f"w{worker}-{i}")
            arrival = state.arrive(event)
            seen[arrival.seq] = _values(event, arrival)["card_count_1h"]

    _all_at_once(shop, 4)
    assert sorted(seen) == list(range(1, 101))
    assert all(count == seq for seq, count in seen.items())


def test_one_id_in_flight_many_times_gets_one_number(state: States) -> None:
    numbers: list[int] = []
    _all_at_once(lambda _: numbers.append(state.arrive(purchase("same")).seq), 16)
    assert numbers == [1] * 16
    assert state.mark(*SCOPE).last_seq == 1


def _all_at_once(work: Callable[[int], object], workers: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_survives_being_opened_again_is_everything(opener: Opener) -> None:
    first = opener()
    first.adopt("demo", LAYOUT)
    first.arrive(purchase("a"))
    before = list(first.dump(*SCOPE))
    first.close()
    again = opener()
    assert again.adopt("demo", LAYOUT)
    assert list(again.dump(*SCOPE)) == before
    arrival = again.arrive(purchase("b"))
    assert arrival.seq == 2
    assert _values(purchase("b"), arrival)["customer_count_1h"] == 2


def test_another_layout_starts_empty_but_goes_on_counting(state: States, opener: Opener) -> None:
    state.arrive(purchase("a"))
    other = opener()
    assert not other.adopt("demo", layout_of(MODULE, HANDBOOK))
    assert list(other.dump(*SCOPE)) == []
    assert other.mark(*SCOPE).log_seq == -1, "it must be built"
    assert other.mark(*SCOPE).confirmed_seq == 0
    assert other.arrive(purchase("a")).seq == 2
    steps: tuple[Callable[[States], object], ...] = (
        lambda state: state.arrive(purchase("b")),
        lambda state: state.arrive(purchase("a")),
        lambda state: state.apply(purchase("b"), 7),
        lambda state: state.learn([Learnt(purchase("a"), "fraud", True, NOON, 5)]),
        lambda state: state.confirm(*SCOPE, 2),
        lambda state: state.withdraw(purchase("a")),
    )
    for step in steps:
        late = opener()
        vars(late)["_scopes"] = dict(vars(state)["_scopes"])  # as a process that was started before
        with pytest.raises(Unavailable, match="another contract"):
            step(late)
    assert [w.seq for w in other.unconfirmed(*SCOPE)] == [2]
    assert other.adopt("demo", layout_of(MODULE, HANDBOOK)), "what is there is of this layout"


def test_a_scope_that_was_not_adopted_is_unavailable(opener: Opener) -> None:
    state = opener()
    for step in (
        lambda: state.arrive(purchase()),
        lambda: state.apply(purchase()),
        lambda: state.withdraw(purchase()),
        lambda: state.unconfirmed(*SCOPE),
    ):
        with pytest.raises(Unavailable, match="fradect state rebuild"):
            step()
    assert state.reserve(*SCOPE, 3) == 1, "imports come before the first release"
    assert state.mark(*SCOPE).last_seq == 3
    with pytest.raises(InvalidInput, match="tenant"):
        state.adopt("a:b", LAYOUT)


def test_reserved_numbers_are_nobody_elses(state: States) -> None:
    state.arrive(purchase("a"))
    assert state.reserve(*SCOPE, 10) == 2
    assert state.arrive(purchase("b")).seq == 12
    assert state.reserve(*SCOPE, 1, at_least=100) == 101
    assert state.reserve(*SCOPE, 1, at_least=5) == 102


def test_an_applied_event_takes_its_place_once(state: States) -> None:
    state.arrive(purchase("b", at=NOON + 1))
    assert state.apply(purchase("late"), 40) == 40
    assert state.apply(purchase("late"), 40) == 40
    assert state.apply(purchase("a", at=NOON + 2), 20) == 20
    assert state.apply(purchase("a", at=NOON + 2)) == 20, "it is there already"
    assert state.apply(purchase("new", at=NOON + 3)) == 41
    event = purchase("c", at=NOON + 4)
    assert _values(event, state.arrive(event))["customer_count_1d"] == 5
    assert _values(purchase("a", at=NOON + 2), state.read(purchase("a", at=NOON + 2), 20))["customer_count_1d"] == 2
    assert [waiting[:2] for waiting in state.unconfirmed(*SCOPE)] == [(1, "b"), (41, "new"), (42, "c")]
    assert state.known(*SCOPE, ["a", "late", "nobody"]) == {"a", "late"}


def test_many_are_applied_in_order_and_once(state: States) -> None:
    events = [purchase(f"e{i}", at=NOON + i) for i in range(50)]
    assert state.apply_many(events[:30]) == list(range(1, 31))
    assert state.apply_many(events[20:]) == list(range(21, 51))
    assert state.apply_many([]) == []
    last = purchase("last", at=NOON + 50)
    assert _values(last, state.arrive(last))["customer_count_1d"] == 51


def test_outcomes_are_learnt_once_and_seen_by_later_numbers(state: States) -> None:
    event = purchase("a", at=NOON - 8 * DAY)
    state.apply(event, 1)
    learnt = Learnt(event, "fraud", True, NOON - 8 * DAY, number=1)
    state.learn([learnt])
    state.learn([learnt, replace(learnt, event=purchase("b", at=NOON - 9 * DAY), value=False)])
    later = purchase("c", at=NOON + DAY)
    assert _values(later, state.arrive(later))["merchant_fraud_share_7d"] == 0.5


SOLD = purchase("a", at=NOON - 8 * DAY)
TOLD = Learnt(SOLD, "fraud", True, NOON - 8 * DAY)
OTHER = purchase("b", at=NOON - 9 * DAY)
LATER = purchase("c", at=NOON + DAY)


def _share(state: States) -> float:
    """Of fraud among what is known of the merchant."""
    share = _values(LATER, state.arrive(LATER))["merchant_fraud_share_7d"]
    state.withdraw(LATER)
    return share


def _merchant(state: States) -> Held:
    return {entity: held for entity, _, held in state.dump(*SCOPE)}["merchant"]


def test_an_outcome_gets_its_number_in_the_step_that_learns_it(state: States) -> None:
    state.apply(SOLD)
    assert state.learn([TOLD, replace(TOLD, kind="return"), replace(TOLD, event=OTHER, value=False)]) == [2, 3, 4]
    assert state.arrive(purchase("d")).seq == 5
    assert state.mark(*SCOPE).last_seq == 5
    assert [w[:2] + w[3:] for w in state.unconfirmed(*SCOPE)] == [
        (1, "a", ""),
        (2, "a", "fraud"),
        (3, "a", "return"),
        (4, "b", "fraud"),
        (5, "d", ""),
    ]
    assert abs(state.now() - state.unconfirmed(*SCOPE)[1].since) < 60_000_000
    assert _merchant(state).outcomes.count((2).to_bytes(8, "little")) == 1
    assert _share(state) == 0.5


def test_outcomes_told_by_many_at_once_have_one_number_each(state: States) -> None:
    numbers: dict[int, list[int]] = {}
    told = [replace(TOLD, event=purchase(f"e{i}", at=NOON - 9 * DAY)) for i in range(20)]
    _all_at_once(lambda worker: numbers.update({worker: state.learn(told)}), 4)
    assert numbers[0] == numbers[1] == numbers[2] == numbers[3]
    assert sorted(numbers[0]) == list(range(1, 21))
    assert len(_merchant(state).outcomes) == 20 * 32


def test_an_outcome_told_again_has_its_first_number_and_counts_once(state: States, opener: Opener) -> None:
    assert state.learn([TOLD, TOLD]) == [1, 1]
    again = opener()
    again.adopt("demo", LAYOUT)
    assert again.learn([TOLD, replace(TOLD, value=False)]) == [1, 1], "the teller died, and says it again"
    assert again.learn([replace(TOLD, number=1)]) == [1]
    assert again.learn([TOLD]) == [1]
    assert state.mark(*SCOPE).last_seq == 1
    assert len(_merchant(state).outcomes) == 32
    assert _share(state) == 1.0


def test_numbers_of_outcomes_pass_those_that_are_stored(state: States) -> None:
    state.reserve(*SCOPE, 0, at_least=70)
    assert state.learn([TOLD, replace(TOLD, kind="return", number=5)]) == [71, 5]


def test_an_outcome_that_is_stored_waits_no_more_and_stays(state: States) -> None:
    [number] = state.learn([TOLD])
    state.learn([replace(TOLD, number=number)])
    assert state.unconfirmed(*SCOPE) == []
    state.withdraw_id(*SCOPE, "a", "fraud")
    assert _share(state) == 1.0


def test_an_outcome_that_was_never_stored_is_withdrawn_and_may_come_anew(state: States) -> None:
    state.apply(SOLD, 1)
    before = list(state.dump(*SCOPE))
    state.learn([TOLD, replace(TOLD, kind="return")])
    state.withdraw_id(*SCOPE, "a", "fraud")
    state.withdraw_id(*SCOPE, "a", "fraud")  # twice is once
    state.withdraw_id(*SCOPE, "a", "return")
    state.withdraw_id(*SCOPE, "nobody", "fraud")
    assert list(state.dump(*SCOPE)) == before
    assert state.unconfirmed(*SCOPE) == []
    assert state.known(*SCOPE, ["a"]) == {"a"}
    assert state.learn([TOLD]) == [4]


def test_an_outcome_that_was_withdrawn_and_stored_after_all_comes_back(state: States) -> None:
    [number] = state.learn([TOLD])
    state.withdraw_id(*SCOPE, "a", "fraud")
    assert state.learn([replace(TOLD, number=number)]) == [number]
    assert _share(state) == 1.0


@pytest.mark.parametrize("number", [1, 9])
def test_what_is_stored_counts_where_it_was_learnt_otherwise(state: States, number: int) -> None:
    """Two tell different things at once, or one dies and another comes: what one of them stored stands."""
    state.learn([TOLD, replace(TOLD, event=OTHER)])
    state.reserve(*SCOPE, 0, at_least=number)
    stored = replace(TOLD, number=number, value=False)
    assert state.learn([stored, stored]) == [number, number]
    assert _share(state) == 0.5
    assert [w.event_id for w in state.unconfirmed(*SCOPE)] == ["b"]
    assert state.learn([TOLD]) == [number]


def test_an_outcome_is_not_folded_before_it_is_known_to_be_stored(state: States) -> None:
    for name in "pq":
        state.arrive(purchase(name, at=NOON + DAY))
    state.learn([TOLD])
    state.confirm(*SCOPE, 2)
    state.settle_all(*SCOPE)
    assert len(_merchant(state).outcomes) == 32
    state.withdraw_id(*SCOPE, "a", "fraud")
    assert not _merchant(state).outcomes + _merchant(state).matured


def test_confirming_forgets_who_waits(state: States) -> None:
    for name in "abc":
        state.arrive(purchase(name))
    waiting = state.unconfirmed(*SCOPE)
    assert [(w.seq, w.event_id) for w in waiting] == [(1, "a"), (2, "b"), (3, "c")]
    assert abs(state.now() - waiting[0].since) < 60_000_000
    state.confirm(*SCOPE, 2)
    assert [w.event_id for w in state.unconfirmed(*SCOPE)] == ["c"]
    state.confirm(*SCOPE, 1)  # never back
    assert state.confirmed(*SCOPE) == 2
    assert not state.confirm_exactly(*SCOPE, 3, waiting=2)
    assert state.confirmed(*SCOPE) == 2
    assert state.confirm_exactly(*SCOPE, 3, waiting=1)
    assert state.confirmed(*SCOPE) == 3


@pytest.mark.parametrize("name", ["", ":", "a:b", "3:abc", "ü\U0001f600", "a b\n", "{}", "\ud800", "%s", "x" * 1000])
def test_no_name_collides_with_another(state: States, name: str) -> None:
    odd = purchase(f"e{name}", customer_id=name, device_id=f"{name}:", card_token=f":{name}")
    state.arrive(odd)
    other = purchase(f"e{name}:", customer_id=f"{name}:", device_id=name, card_token=f"::{name}:")
    seen = _values(other, state.arrive(other))
    assert seen["customer_count_1d"] == seen["device_count_1d"] == seen["card_count_1d"] == 1
    again = msgspec.structs.replace(odd, event_id="again")
    assert _values(again, state.arrive(again))["customer_count_1d"] == 2
    assert odd.fields["customer_id"] in {key for entity, key, _ in state.dump(*SCOPE) if entity == "customer"}
    state.withdraw_id(*SCOPE, "again")
    assert state.known(*SCOPE, ["again", odd.event_id]) == {odd.event_id}


def test_too_large_a_number_is_refused_and_leaves_nothing(state: States) -> None:
    with pytest.raises(InvalidInput):
        state.arrive(purchase("a", amount_base=2**70))
    assert state.arrive(purchase("a")).seq == 1
    assert [w.seq for w in state.unconfirmed(*SCOPE)] == [1]


def test_a_scope_that_is_dropped_leaves_nothing(state: States) -> None:
    state.adopt("other", LAYOUT)
    state.arrive(purchase("a"))
    state.arrive(purchase("a", tenant="other"))
    state.drop(*SCOPE)
    assert state.mark(*SCOPE) == Mark()
    with pytest.raises(Unavailable):
        state.arrive(purchase("b"))
    assert len(list(state.dump("other", "ecommerce"))) == 5
    assert not state.adopt("demo", LAYOUT)
    assert state.arrive(purchase("a")).seq == 1


def test_the_mark_says_what_the_scope_is_kept_as(state: States) -> None:
    state.arrive(purchase("a"))
    assert state.mark(*SCOPE) == Mark(last_seq=1, newest=NOON, layout=LAYOUT.digest)
