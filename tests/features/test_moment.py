"""Any stream of events, one by one through the live path and all at once through history: the same bits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.features import held as held_module
from fradect.features.contract import MAX_LATE, Aggregate, Contract, Feature, Kind, Window, check
from fradect.features.held import Learnt
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.features.moment import EntityReader
from fradect.modules import contract_of, module_of
from fradect.types import DAY, HOUR, MINUTE, Event, OutcomeKind
from tests.features.factories_history import history_of
from tests.features.factories_state import MemoryState
from tests.features.plain_moment import Key, plain_windows

MODULE = module_of("ecommerce")
START = 20_000 * DAY
OF = {
    Aggregate.DISTINCT: ("device_id", "customer_id"),
    Aggregate.KM_SINCE_LAST: ("ip_place",),
    **dict.fromkeys((Aggregate.SUM, Aggregate.MEAN, Aggregate.MAX, Aggregate.MIN), ("amount_base",)),
}


def _windows(entity: str) -> list[Window]:
    spans = ((MINUTE, 0), (HOUR, 0), (30 * DAY, 0), (HOUR, 5 * MINUTE), (DAY, HOUR), (30 * DAY, DAY))
    windows = []
    for length, tile in spans:
        for aggregate in Aggregate:
            if aggregate is Aggregate.SHARE or (tile and aggregate is Aggregate.KM_SINCE_LAST):
                continue
            windows += [
                Window(entity, aggregate, length, of, include_self=own, resolution=tile)
                for of in OF.get(aggregate, (None,))
                for own in (True, False)
            ]
    for delay in (0, 2 * DAY):
        for length, tile in ((DAY, 0), (6 * DAY, 0), (6 * DAY, DAY)):
            windows += [
                Window(entity, aggregate, length, outcome=OutcomeKind.FRAUD, delay=delay, resolution=tile)
                for aggregate in (Aggregate.SHARE, Aggregate.COUNT)
            ]
    return windows


CONTRACT = Contract(
    "ecommerce/everything",
    "ecommerce",
    tuple(
        Feature(f"w{i}", Kind.LIVE, "", "", window)
        for i, window in enumerate(w for entity in ("customer", "merchant") for w in _windows(entity))
    ),
    (),
)
READER = Reader(MODULE, CONTRACT)
CONTRACTS = (CONTRACT, contract_of("ecommerce/standard"), contract_of("ecommerce/handbook"))
NOTHING = Snapshot({}, {})


def test_the_contract_is_one_that_could_be_declared() -> None:
    check(CONTRACT, set(MODULE.columns), set(MODULE.entities))


@st.composite
def _streams(draw: st.DrawFn) -> list[Event]:
    """Few keys, hot ones among them; equal times, order of arrival unlike that of time, some far too late."""
    n = draw(st.integers(1, 30))
    steps = st.sampled_from([0, 1, MINUTE - 1, MINUTE, HOUR, DAY, 3 * DAY])
    back = st.sampled_from([0, 0, 0, 1, HOUR, DAY, MAX_LATE - 1, MAX_LATE, MAX_LATE + 1, 30 * DAY])
    texts = st.sampled_from([None, "a", "b", "\U0001f600 é", "ab"])
    money = st.sampled_from([0, 1, 10**15, 999])
    place = st.sampled_from([None, 0, 324_018_000, 324_018_001])
    now, events = START, []
    for i in range(n):
        now += draw(steps)
        time = now - draw(back)
        fields = {
            "customer_id": draw(texts),
            "merchant_id": draw(st.sampled_from(["m", "n"])),
            "device_id": draw(texts),
            "card_token": draw(texts),
            "ip": draw(st.sampled_from(["i", None])),
            "amount_base": draw(money),
            "ip_place": draw(place),
        }
        events.append(Event(f"e{i}", "t", MODULE.name, time, time, fields))
    return events


@st.composite
def _outcomes(draw: st.DrawFn, events: list[Event]) -> list[tuple[int, Learnt]]:
    """After which arrival each becomes known to the state, and the outcome."""
    told = draw(st.lists(st.tuples(st.integers(0, len(events) - 1), st.booleans(), st.integers(0, 4)), max_size=20))
    learnt = {}
    for at, value, days in told:
        after = draw(st.integers(at, len(events) - 1))
        event = events[at]
        learnt[at] = (after, Learnt(event, "fraud", value, event.event_time + days * DAY, number=after + 1))
    return list(learnt.values())


def _live(events: list[Event], outcomes: list[tuple[int, Learnt]], lag: int) -> tuple[list[Any], MemoryState]:
    state = MemoryState(READER.layout)
    vectors = []
    for i, event in enumerate(events):
        vectors.append(READER.vector(event, state.arrive(event), NOTHING).values)
        state.learn(learnt for after, learnt in outcomes if after == i)
        state.confirmed = max(0, state.last_seq - lag)
    return vectors, state


def _history(events: list[Event], outcomes: list[tuple[int, Learnt]]) -> Mapping[str, Any]:
    return history_of(CONTRACT, list(enumerate(events, 1)), [learnt for _, learnt in outcomes])


@settings(max_examples=150)
@given(data=st.data())
def test_live_equals_history_whatever_comes(data: st.DataObject) -> None:
    events = data.draw(_streams())
    outcomes = data.draw(_outcomes(events))
    lag = data.draw(st.sampled_from([0, 1, 5]))
    whole, held_module.SETTLE_FROM = held_module.SETTLE_FROM, data.draw(st.sampled_from([1, 2, 64]))
    try:
        live, _ = _live(events, outcomes, lag)
    finally:
        held_module.SETTLE_FROM = whole
    history = _history(events, outcomes)
    for j, feature in enumerate(CONTRACT):
        one = np.array([vector[j] for vector in live])
        window = feature.window
        assert one.tobytes() == history[feature.name].tobytes() or _same(one, history[feature.name]), (window, one)


def _same(one: Any, other: Any) -> bool:
    """NaN is NaN, whatever its bits."""
    return bool(np.array_equal(one, other, equal_nan=True) and np.array_equal(np.signbit(one), np.signbit(other)))


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_held_every_window_is_what_the_plainest_words_say(data: st.DataObject) -> None:
    """Events are asked for as they come and, from what is held by then, when the others have come: some are folded."""
    events = data.draw(_streams())
    outcomes = data.draw(_outcomes(events))
    contract = data.draw(st.sampled_from(CONTRACTS))
    state = MemoryState(layout_of(MODULE, contract))
    whole, held_module.SETTLE_FROM = held_module.SETTLE_FROM, data.draw(st.sampled_from([1, 2, 64]))
    views = []
    try:
        for i, event in enumerate(events):
            views.append(state.arrive(event))
            state.learn(learnt for after, learnt in outcomes if after == i)
            state.confirmed = max(0, state.last_seq - data.draw(st.sampled_from([0, 1, 5])))
    finally:
        held_module.SETTLE_FROM = whole
    again = [replace(view, seen=state.view_of(event)) for event, view in zip(events, views, strict=True)]
    for layout in state.layout.entities:
        reader = EntityReader(layout, contract)
        for event, view in zip([*events, *events], [*views, *again], strict=True):
            held = view.seen[layout.entity]
            if held is not None:
                _is_plain(reader, contract, Key(layout, held, event.event_time, view.seq))


def _is_plain(reader: EntityReader, contract: Contract, key: Key) -> None:
    plain = plain_windows(contract, key)
    found: dict[str, float] = {}
    assert reader.read(key.held, key.time, key.seq, found) == (plain is not None)
    if plain is not None:
        assert {name: repr(value) for name, value in found.items()} == {n: repr(value) for n, value in plain.items()}


@settings(max_examples=50)
@given(data=st.data())
def test_a_settled_state_depends_only_on_what_there_was(data: st.DataObject) -> None:
    """Not on when it was settled, nor on how far confirmation lagged behind."""
    events = data.draw(_streams())
    outcomes = data.draw(_outcomes(events))
    _, one = _live(events, outcomes, lag=0)
    whole, held_module.SETTLE_FROM = held_module.SETTLE_FROM, 1
    try:
        _, other = _live(events, outcomes, lag=data.draw(st.integers(0, 10)))
    finally:
        held_module.SETTLE_FROM = whole
    assert one.settled() == other.settled()


def test_an_event_that_is_folded_is_not_answered_from_a_later_view() -> None:
    """Its own tile has been mixed with later ones; no number is better than a wrong one."""
    state = MemoryState(READER.layout)
    first = Event("e0", "t", MODULE.name, START, START, {"customer_id": "a", "merchant_id": "m", "amount_base": 1})
    view = state.arrive(first)
    state.confirmed = 1
    state.held = state.settled()
    again = READER.vector(first, replace(view, seen=state.view_of(first)), NOTHING)
    assert np.isnan(again.values).all()
    assert set(again.missing.values()) == {"the event arrived before, and is no longer told apart"}
