"""A state that is rebuilt from the log is the one that it replaces, byte for byte."""

from collections.abc import Iterable
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fradect.adapters import state_rebuild
from fradect.adapters.places import Places
from fradect.adapters.state_parts import Mark
from fradect.adapters.state_rebuild import Sources, Tail, rebuild, rebuild_from
from fradect.adapters.state_sqlite import SqliteState
from fradect.adapters.states import States, open_state
from fradect.features.held import Held, Learnt
from fradect.features.layout import Layout, layout_of
from fradect.modules import contract_of, module_of
from fradect.types import DAY, HOUR, Event
from tests.features.factories_log import START, events_of, random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
LAYOUT = layout_of(MODULE, contract_of("ecommerce/standard"), contract_of("ecommerce/handbook"))
SCOPE = ("default", "ecommerce")


def _learnt(columns: dict[str, Any], outcomes: dict[str, Any]) -> list[Learnt]:
    events = events_of(columns)
    numbers = outcomes.get("number", outcomes["seq"])
    cells = zip(outcomes["seq"], numbers, outcomes["kind"], outcomes["value"], outcomes["known_at"], strict=True)
    return [Learnt(events[seq - 1], kind, value, known_at, number) for seq, number, kind, value, known_at in cells]


def _live(layout: Layout, events: Iterable[Event], outcomes: Iterable[Learnt], confirm_every: int) -> States:
    state = SqliteState("", scratch=True)
    state.adopt("default", layout)
    with state.together():
        for event in events:
            seq = state.arrive(event).seq
            if not seq % confirm_every:
                state.confirm(*SCOPE, seq)
        state.learn(list(outcomes))
        state.confirm(*SCOPE, state.mark(*SCOPE).last_seq)
        state.settle_all(*SCOPE)
    return state


def _dump(state: States) -> list[tuple[str, str, Held]]:
    return list(state.dump(*SCOPE))


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_rebuilt_is_what_arrived_one_by_one(tmp_path: Path, redis_db: str, late: float) -> None:
    columns = random_columns(5, 400, late=late, span=90 * DAY)
    outcomes = random_outcomes(5, columns)
    places = write_log(tmp_path, columns, outcomes, files=3)
    live = _live(LAYOUT, events_of(columns), _learnt(columns, outcomes), confirm_every=7)
    for url in (f"sqlite:///{tmp_path}/rebuilt.db", redis_db):
        rebuilt = open_state(url)
        what = rebuild(rebuilt, "default", LAYOUT, places.log)
        assert _dump(rebuilt) == _dump(live)
        assert (what.last_seq, what.keys) == (400, len(_dump(live)))
        assert rebuilt.mark(*SCOPE) == Mark(400, max(columns["event_time"]), 400, 400, LAYOUT.digest)
        rebuilt.close()
    live.close()


@settings(max_examples=25)
@given(data=st.data())
def test_any_stream_rebuilt_is_what_it_left(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Late, equal times, odd names, outcomes under numbers of their own, withdrawn ones, and a log in several files."""
    columns = data.draw(_columns())
    n = len(columns["event_time"])
    outcomes = data.draw(_outcomes(columns))
    places = write_log(tmp_path_factory.mktemp("log"), columns, outcomes, files=data.draw(st.sampled_from([1, 2])))
    if data.draw(st.booleans()):
        _with_numbers(places, outcomes["number"])
    else:
        outcomes["number"] = outcomes["seq"]
    learnt = sorted(_learnt(columns, outcomes), key=lambda one: one.number)
    live = SqliteState("", scratch=True)
    live.adopt("default", LAYOUT)
    confirmed = 0
    for event in events_of(columns):
        seq = live.arrive(event).seq
        live.learn([one for one in learnt if one.number == seq])
        if data.draw(st.booleans()):
            doomed = structs.replace(event, event_id="doomed", event_time=event.event_time - DAY)
            live.apply(doomed)
            live.withdraw(doomed)
            live._file.db.execute("UPDATE scopes SET last_seq = last_seq - 1")  # the log's numbers have no gaps here
        confirmed = max(confirmed, seq - data.draw(st.integers(0, 5)))
        live.confirm(*SCOPE, confirmed)
        if data.draw(st.booleans()):
            live.settle_all(*SCOPE)
    live.learn([one for one in learnt if one.number > n])
    live.confirm(*SCOPE, max([n, *outcomes["number"]]))
    live.settle_all(*SCOPE)
    rebuilt = SqliteState("", scratch=True)
    what = rebuild(rebuilt, "default", LAYOUT, places.log)
    assert _dump(rebuilt) == _dump(live)
    assert what.last_seq == rebuilt.mark(*SCOPE).last_seq == max([n, *outcomes["number"]])
    assert rebuilt.mark(*SCOPE).newest == live.mark(*SCOPE).newest
    rebuilt.settle_all(*SCOPE)
    assert _dump(rebuilt) == _dump(live), "settling what is settled changes nothing"


@st.composite
def _columns(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(1, 40))
    steps = draw(st.lists(st.sampled_from([0, 0, 1, HOUR, DAY, 3 * DAY, 40 * DAY]), min_size=n, max_size=n))
    back = draw(st.lists(st.sampled_from([0, 0, 0, 1, HOUR, DAY, 2 * DAY, 30 * DAY]), min_size=n, max_size=n))
    names = st.sampled_from([None, "a", "b", "", "\U0001f600 é", "a:b"])

    def some(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    return {
        "event_time": [START + now - late for now, late in zip(accumulate(steps), back, strict=True)],
        "amount_base": some(st.sampled_from([0, 1, 10**15, None])),
        "customer_id": some(names),
        "device_id": some(names),
        "card_token": some(names),
        "shipping_address_token": some(names),
        "ip": some(st.sampled_from([None, "192.0.2.1"])),
        "ip_place": some(st.sampled_from([None, -1, 324_018_000])),
        "merchant_id": some(st.sampled_from(["m", "n"])),
    }


@st.composite
def _outcomes(draw: st.DrawFn, columns: dict[str, Any]) -> dict[str, Any]:
    n = len(columns["event_time"])
    about = draw(st.lists(st.integers(1, n), unique=True, max_size=n))
    later = draw(st.lists(st.integers(0, 10), min_size=len(about), max_size=len(about)))
    days = draw(st.lists(st.sampled_from([0, 1, 8, 30]), min_size=len(about), max_size=len(about)))
    numbers: list[int] = []  # given once each
    for seq, more in zip(about, later, strict=True):
        numbers.append(next(number for number in count(seq + more) if number not in numbers))
    return {
        "seq": about,
        "kind": draw(st.lists(st.sampled_from(["fraud", "return"]), min_size=len(about), max_size=len(about))),
        "value": draw(st.lists(st.booleans(), min_size=len(about), max_size=len(about))),
        "known_at": [columns["event_time"][seq - 1] + day * DAY for seq, day in zip(about, days, strict=True)],
        "number": numbers,
    }


def _with_numbers(places: Places, numbers: list[int]) -> None:
    for file in places.outcomes():
        table = pq.read_table(file)
        pq.write_table(table.append_column("number", pa.array(numbers, pa.int64())), file)


def test_a_state_as_of_a_number_is_what_had_arrived_by_then(tmp_path: Path) -> None:
    columns = random_columns(8, 300, late=0.2, span=60 * DAY)
    outcomes = random_outcomes(8, columns)
    places = write_log(tmp_path, columns, outcomes)
    learnt = [one for one in _learnt(columns, outcomes) if one.number <= 200]
    live = _live(LAYOUT, events_of(columns)[:200], learnt, confirm_every=10)
    part = SqliteState("", scratch=True)
    what = rebuild(part, "default", LAYOUT, places.log, until_seq=200)
    assert (what.last_seq, part.mark(*SCOPE).last_seq) == (200, 200)
    assert _dump(part) == _dump(live)
    following = events_of(columns)[200]
    one, other = part.arrive(following), live.arrive(following)
    assert (one.seq, one.newest, one.seen) == (other.seq, other.newest, other.seen)
    assert rebuild(part, "default", LAYOUT, places.log, until_seq=0).keys == 0
    assert part.mark(*SCOPE).last_seq == 201, "numbers never go back"


def test_what_only_sql_has_joins_and_what_the_log_has_too_is_not_doubled(tmp_path: Path) -> None:
    columns = random_columns(9, 200, span=30 * DAY)
    outcomes = random_outcomes(9, columns)
    first = {name: column[:150] for name, column in columns.items()}
    said = [i for i, seq in enumerate(outcomes["seq"]) if seq <= 150]
    places = write_log(tmp_path, first, {name: [column[i] for i in said] for name, column in outcomes.items()})
    learnt = _learnt(columns, outcomes)
    live = _live(LAYOUT, events_of(columns), learnt, confirm_every=10)
    tail = Tail(list(enumerate(events_of(columns), 1))[100:], [one for one in learnt if one.number > 140])
    state = SqliteState("", scratch=True)
    what = rebuild_from(Sources(places.log, None, tail), state, "default", LAYOUT)
    assert (what.applied, what.last_seq) == (50, 200)
    state.confirm(*SCOPE, 200)
    state.settle_all(*SCOPE)
    assert _dump(state) == _dump(live)


def test_many_keys_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = random_columns(10, 300)
    places = write_log(tmp_path, columns, random_outcomes(10, columns))
    whole, parts = SqliteState("", scratch=True), SqliteState("", scratch=True)
    rebuild(whole, "default", LAYOUT, places.log)
    monkeypatch.setattr(state_rebuild, "ROWS_AT_ONCE", 70)
    rebuild(parts, "default", LAYOUT, places.log)
    assert _dump(parts) == _dump(whole)


def test_a_rebuild_that_fails_leaves_what_was_there(tmp_path: Path, redis_db: str) -> None:
    columns = random_columns(11, 100)
    places = write_log(tmp_path, columns)
    for url in (f"sqlite:///{tmp_path}/state.db", redis_db):
        state = open_state(url)
        rebuild(state, "default", LAYOUT, places.log)
        before = (_dump(state), state.mark(*SCOPE))

        def broken(stage: str, _share: float) -> None:
            if "device" in stage:
                raise OSError("the disk is gone")

        with pytest.raises(OSError, match="disk"):
            rebuild_from(Sources(places.log, progress=broken), state, "default", LAYOUT)
        assert (_dump(state), state.mark(*SCOPE)) == before
        assert state.arrive(events_of(columns)[-1]).seq == 100
        state.close()


def test_a_repeat_is_known_after_a_rebuild(tmp_path: Path) -> None:
    columns = random_columns(12, 50, span=5 * DAY)
    places = write_log(tmp_path, columns, random_outcomes(12, columns))
    state = SqliteState("", scratch=True)
    rebuild(state, "default", LAYOUT, places.log)
    before = _dump(state)
    assert [state.apply(event) for event in events_of(columns)] == list(range(1, 51))
    state.learn(_learnt(columns, random_outcomes(12, columns)))
    assert _dump(state) == before
