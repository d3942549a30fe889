"""One stream from message to log and state: what enters, what is refused and why, and that nothing counts twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fradect.adapters.tables import stream_attempts, stream_events
from fradect.errors import Unavailable
from fradect.stream import Fenced, Options, Settled
from fradect.types import Event
from tests.stream.factories_stream import Letters, ListSource, Shop, message, open_shop, verdict

QUICK = Options(revisit=0.0)
DAY_20 = "2024-03-20T00:00:00Z"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home") as made:
        yield made


def test_messages_become_events_under_the_states_numbers_with_positions_beside_them(shop: Shop) -> None:
    shop.take([message(i) for i in range(12)])
    assert shop.events() == {f"t{i}": seq for (i, seq) in zip(range(12), sorted(shop.events().values()), strict=True)}
    assert shop.positions() == [("events", 0, 12)]
    assert len(shop.outcomes()) == 12
    shop.check()


def test_values_are_judged_as_in_files_and_amounts_are_exact(shop: Shop) -> None:
    raw = message(1, amount="@").replace(b'"@"', b"123456789012.15")
    shop.take([raw, message(2, currency="USD", amount=90.1)])
    found = dict(shop.rows(stream_events, "event_id", "fields"))
    assert json.loads(found["t1"])["amount"] == 12_345_678_901_215
    assert json.loads(found["t2"])["amount_base"] == 824_415
    assert b"person" not in found["t1"]
    assert json.loads(found["t1"])["email_token"].startswith("v1_")


REFUSED = [
    (message(1, amount="-1"), "negative amount", "amount"),
    (message(1, amount="1.234"), "more decimals than the currency has", "amount"),
    (message(1, at="2999-01-01"), "time in the future", "event_time"),
    (message(1, surprise=1), "column not mapped", "surprise"),
    (message(1, note={"deep": 1}), "not a JSON object", "note"),
    (b"[]", "not a JSON object", ""),
    (b'{"id": "t1", "id": "t2"}', "not a JSON object", ""),
    (b'{"amount": NaN}', "not a JSON object", ""),
    (b"[" * 100_000, "not a JSON object", ""),
    (b"\xff{}", "invalid text encoding", ""),
    (b'{"id": "\\ud800"}', "invalid text encoding", "event_id"),
    (b"{}", "required value missing", "event_id"),
    (b'{"id": "  "}', "required value missing", "event_id"),
    (None, "required value missing", ""),
]


@pytest.mark.parametrize(("raw", "reason", "field"), REFUSED)
def test_what_cannot_be_taken_is_tried_five_times_buried_with_its_reason_and_passed(
    shop: Shop, raw: bytes | None, reason: str, field: str
) -> None:
    shop.take([message(5), raw, message(6)])
    assert shop.letters.told() == [("events", 1, reason, field, 5)]
    assert shop.letters.buried[0].message is not None
    assert shop.letters.buried[0].message.value == raw
    assert set(shop.events()) == {"t5", "t6"}
    assert shop.positions() == [("events", 0, 3)]
    assert shop.rows(stream_attempts, "attempts") == []
    shop.check()


def test_an_event_twice_is_no_news_and_another_under_its_id_is_refused(shop: Shop) -> None:
    first = [message(1), message(2), message(1), message(2, amount="9")]
    shop.take(first, most=4)
    shop.take([*first, message(1), message(1, customer="c6")])
    assert [(place, reason) for _, place, reason, _, _ in shop.letters.told()] == [
        (3, "duplicate id"),
        (5, "duplicate id"),
    ]
    assert set(shop.events()) == {"t1", "t2"}
    shop.check()


def test_the_first_outcome_stands_an_equal_one_is_no_news_another_is_buried(shop: Shop) -> None:
    told = [verdict(1, kind="return"), verdict(1, kind="return"), verdict(1, False, kind="return"), verdict(2, True)]
    shop.take([message(1), message(2)])
    shop.take([message(1), message(2)], told, most=1)
    assert [entry[1:4] for entry in shop.letters.told()] == [
        (2, "outcome known otherwise", "return"),
        (3, "outcome known otherwise", "fraud"),  # the label in its row said no
    ]
    assert {about: value for about, (value, _) in shop.outcomes().items()} == {
        ("t1", "fraud"): False,
        ("t1", "return"): True,
        ("t2", "fraud"): False,
    }
    shop.check()


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"event_id": "t1", "outcome": "confirmed_fraud", "known_at": DAY_20}, True),
        ({"id": "t1", "outcome": "false_positive", "known_at": DAY_20.replace("Z", "+03:00")}, False),
        ({"event_id": "t1", "kind": "fraud", "value": 1, "known_at": DAY_20}, True),
    ],
)
def test_an_outcome_may_be_told_in_several_ways(shop: Shop, said: dict[str, Any], what: bool) -> None:
    shop.take([message(1, fraud="")], [json.dumps(said).encode()])
    assert [value for value, _ in shop.outcomes().values()] == [what]
    assert not shop.letters.buried
    shop.check()


@pytest.mark.parametrize(
    ("said", "reason", "field"),
    [
        ({"kind": "fraud", "value": True, "known_at": DAY_20}, "required value missing", "event_id"),
        ({"event_id": "t1", "kind": "fraud", "known_at": DAY_20}, "required value missing", "value"),
        ({"event_id": "t1", "kind": "fraud", "value": True}, "required value missing", "known_at"),
        ({"event_id": "t1", "kind": "x", "value": True, "known_at": DAY_20}, "unknown outcome", "kind"),
        ({"event_id": "t1", "outcome": "unknown", "known_at": DAY_20}, "unknown outcome", "outcome"),
        ({"event_id": "t1", "kind": "fraud", "value": True, "known_at": "2024-03-20"}, "not a time", "known_at"),
        (
            {"event_id": "t1", "kind": "fraud", "value": True, "known_at": DAY_20.replace("2024", "2999")},
            "time in the future",
            "known_at",
        ),
        (
            {"event_id": "t1", "kind": "fraud", "value": True, "known_at": DAY_20.replace("03", "01")},
            "known before it happened",
            "known_at",
        ),
        ({"event_id": "t1", "kind": "fraud", "value": 7, "known_at": DAY_20}, "label neither true nor false", "value"),
        ({"event_id": "t1", "who": "me", "kind": "fraud", "value": 1, "known_at": "x"}, "column not mapped", "who"),
    ],
)
def test_an_outcome_that_cannot_be_taken_says_why(shop: Shop, said: dict[str, Any], reason: str, field: str) -> None:
    shop.take([message(1, fraud="")])
    shop.take([message(1, fraud="")], [json.dumps(said).encode()])
    assert [entry[2:4] for entry in shop.letters.told()] == [(reason, field)]
    assert shop.positions()[1] == ("outcomes", 0, 1)


def test_an_outcome_waits_for_its_event_and_is_learnt_when_it_comes(shop: Shop) -> None:
    shop.take([], [verdict(1), verdict(2, known_at="2024-01-01T00:00:00Z")])
    assert shop.outcomes() == {("t1", "fraud"): (True, None), ("t2", "fraud"): (True, None)}
    assert shop.state.learnt() == {}
    shop.take([message(1, fraud=""), message(2, fraud="")])
    assert set(shop.outcomes()) == {("t1", "fraud")}
    assert [entry[2] for entry in shop.letters.told()] == ["known before it happened"]
    assert json.loads(shop.letters.buried[0].message.value or b"")["event_id"] == "t2"  # type: ignore[union-attr]
    shop.check()


def test_a_waiting_outcome_contradicts_the_label_of_its_event(shop: Shop) -> None:
    shop.take([], [verdict(1)])
    shop.take([message(1, fraud="0")])
    assert [entry[2] for entry in shop.letters.told()] == ["outcome known otherwise"]
    assert shop.outcomes()["t1", "fraud"][0] is True
    shop.check()


class Buggy:
    """A state that breaks on some events, so many times."""

    def __init__(self, shop: Shop, broken: set[str], times: int = 10**9, error: type[Exception] = ValueError) -> None:
        self._shop, self._broken, self._times, self._error = shop, broken, times, error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shop.state, name)

    def apply_many(self, events: list[Event]) -> list[int]:
        numbers: list[int] = self._shop.state.apply_many(events)
        if self._broken & {event.event_id for event in events} and self._times:
            self._times -= 1
            self.calls += 1
            raise self._error("secret value 4111")
        return numbers


def test_a_bug_costs_the_one_message_that_meets_it(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    events = [message(i) for i in range(30)]
    shop.take(events, most=30, state=Buggy(shop, {"t17"}))
    assert shop.letters.told() == [("events", 17, "could not be handled", "", 5)]
    assert set(shop.events()) == {f"t{i}" for i in range(30)} - {"t17"}
    assert "t17" not in shop.state.numbers()
    assert shop.positions() == [("events", 0, 30)]
    assert "4111" not in caplog.text
    shop.check()


def test_attempts_are_remembered_by_whoever_comes_next(shop: Shop) -> None:
    class Died(BaseException):
        pass

    def die(step: str) -> None:
        if step == "buried" or dying.pop() is None:
            raise Died

    dying: list[Any] = [None, 1, 1, 1]
    with pytest.raises(Died):
        shop.take([b"[]"], at=die)
    assert shop.rows(stream_attempts, "position", "attempts") == [(0, 3)]
    shop.take([b"[]"])
    assert [entry[-1] for entry in shop.letters.told()] == [5]


def test_what_is_away_is_waited_for_and_is_no_attempt(shop: Shop) -> None:
    shop.letters.failures = 3
    source = shop.take([b"[]", *(message(i) for i in range(3))], state=Buggy(shop, {"t1"}, 20, Unavailable))
    assert source.rested[:3] == [0.1, 0.2, 0.5]
    assert source.rested[-1] == 5.0
    assert set(shop.events()) == {"t0", "t1", "t2"}
    assert [entry[2] for entry in shop.letters.told()] == ["not a JSON object"]
    shop.check()


def test_a_state_that_cannot_learn_is_told_again_later(shop: Shop) -> None:
    class Forgetful(Buggy):
        def learn(self, told: Any) -> None:
            if self._times:
                self._times -= 1
                raise ValueError

            self._shop.state.learn(told)

    shop.take([message(1)], state=Forgetful(shop, set()))
    assert shop.state.learnt() == {}
    shop.take([message(1)])
    shop.check()


def test_a_consumer_that_was_overtaken_writes_nothing(shop: Shop) -> None:
    slow, quick = (ListSource(shop.store().positions, [message(i) for i in range(4)]) for _ in range(2))

    def overtake(step: str) -> None:
        if step == "numbered" and not slow.recovered:
            shop.ingest(quick).run(once=True)

    shop.ingest(slow, at=overtake).run(once=True)
    assert slow.recovered == 1
    assert len(shop.events()) == 4
    shop.check()


def test_a_position_moves_only_from_where_it_is(shop: Shop) -> None:
    store, part = shop.store(), ("events", 0)
    store.save(Settled(starts={part: None}, ends={part: 5}))
    for starts in ({part: None}, {part: 4}, {part: 6}):
        with pytest.raises(Fenced):
            store.save(Settled(starts=starts, ends={part: 9}))
    store.save(Settled(starts={part: 5}, ends={part: 9}))
    assert store.positions() == {part: 9}
    assert shop.store("another").positions() == {}


def test_stopping_finishes_what_is_in_hand(shop: Shop) -> None:
    stopped: list[str] = []
    source = ListSource(shop.store().positions, [message(i) for i in range(20)])
    shop.ingest(source, at=stopped.append).run(stop=lambda: "applied" in stopped)
    assert shop.positions() == [("events", 0, 5)]
    shop.check()


_ROWS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 6), st.sampled_from(["", "0", "1"]), st.sampled_from(["1", "2"])),
        st.tuples(st.just("verdict"), st.integers(0, 6), st.booleans(), st.sampled_from(["fraud", "return"])),
        st.tuples(st.just("poison"), st.sampled_from([b"", b"[]", b"{}", b'{"id": 1}'])),
    ),
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, most=st.integers(1, 7), deaths=st.lists(st.integers(1, 30), max_size=3))
def test_dying_anywhere_and_going_on_is_the_same_as_never_having_died(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], most: int, deaths: list[int]
) -> None:
    class Died(BaseException):
        pass

    def dying(after: int) -> Any:
        left = [after]

        def at(_step: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died

        return at

    told = [verdict(r[1], r[2], r[3]) for r in rows if r[0] == "verdict"]
    events = [r[1] if r[0] == "poison" else message(r[1], fraud=r[2], amount=r[3]) for r in rows if r[0] != "verdict"]
    ends = []
    for plan in ([], deaths):
        with open_shop(tmp_path_factory.mktemp("home")) as shop:
            letters = Letters()
            for after in plan:
                try:
                    shop.take(list(events), list(told), most=most, at=dying(after), dead=letters, options=QUICK)
                except Died:
                    continue
            shop.take(list(events), list(told), most=most, dead=letters, options=QUICK)
            shop.check()
            said = {about: value for about, (value, _) in shop.outcomes().items()}
            ends.append((set(shop.events()), said, shop.positions(), {entry[:4] for entry in letters.told()}))
    assert ends[0] == ends[1]
