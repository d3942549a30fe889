"""What needs no engine: whatever the screen says of a rule, the engine says too, and the findings are the same."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.modules import contract_of
from fradect.rulebook.conditions import parse
from fradect.rulebook.meaning import FUNCTIONS
from fradect.rulebook.screen import Screen
from fradect.rulebook.vocabulary import Domain, Sort
from fradect.rules import Findings, Rules, load
from fradect.types import HOUR, Action, Vector
from fradect.words import Words
from tests.factories_decision import MODULE, NOON, RULEBOOK, purchase, vector_of

zen = pytest.importorskip("zen")
CONTRACT = contract_of("ecommerce/standard")
WORDS = Words(CONTRACT, "RUB")
BOOK = load(RULEBOOK, MODULE)
RULES = Rules(BOOK, CONTRACT, MODULE, WORDS)

edges = st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 70.0, 1_000.0, 2e6, 3e6, 6e6, 1e8, -1.0])
numbers = st.one_of(
    edges,
    edges.map(lambda value: float(np.nextafter(value, np.inf))),
    edges.map(lambda value: float(np.nextafter(value, -np.inf))),
    st.floats(-10, 1e9),
)
NUMBERS = (
    ">= 6", "< 0.1", "== 0.3", "!= 3", "[0..4]", "(1..7]", "not in [1..3]", "not in [1, 2]", "in [0.1, 0.3]",
    "> 1 and < 3", "< 1 or > 3", "in [7, 6], 2", "$ + 0.1 < other", "$ > other * 5", "abs($) > 2", "other", "0.3",
    "> 2 and $ < other", "[0..other]", "in [1, other]",
)  # fmt: skip
TEXTS = ("'cod'", "!= 'cod'", "in ['cod', 'card']", "not in ['cod']", "'cod', 'web'", "startsWith($, 'c')", "lower($)")


KNOWN = {
    **dict.fromkeys(("own", "other", "event.own"), Domain(Sort.NUMBER)),
    "event.text": Domain(Sort.TEXT),
    "event.flag": Domain(Sort.FLAG),
}
SOME = BOOK.rules[0]
NONE: frozenset[str] = frozenset()


def _screen(*rules: dict[str, str]) -> Screen:
    cells = [{column: parse(text, FUNCTIONS) for column, text in rule.items()} for rule in rules]
    return Screen([(SOME, one) for one in cells], KNOWN)


def _context(**there: Any) -> dict[str, Any]:
    return {"event": {}, "signal": {}, **there}


def _said(screen: Screen, context: dict[str, Any]) -> bool | None:
    found = screen.hits(context, NONE)
    return None if found is None else bool(found)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NUMBERS), numbers, numbers)
def test_what_is_said_of_a_number_the_engine_says_too(text: str, own: float, other: float) -> None:
    for column, place in (("own", {"own": own}), ("event.own", {"event": {"own": own}})):
        said = _said(_screen({column: text}), _context(other=other, **place))
        assert said in (None, zen.evaluate_unary_expression(text, {"$": own, "other": other}))


@pytest.mark.parametrize("text", TEXTS)
def test_so_it_is_of_a_text(text: str) -> None:
    for own in ("cod", "card", "web", "Cod", "", "x", "cod.", "codcard."):
        said = _said(_screen({"event.text": text}), _context(event={"text": own}))
        assert said in (None, zen.evaluate_unary_expression(text, {"$": own}))


@pytest.mark.parametrize(
    ("column", "text", "hit", "miss"),
    [
        ("own", ">= 6", 6.0, 5.0),
        ("own", "> 6", 7.0, 6.0),
        ("own", "[0..4)", 0.0, 4.0),
        ("own", "not in [1, 3]", 2.0, 3.0),
        ("own", ">= 0.1 and < 0.3", 0.2, 0.4),
        ("own", "< 1 or > 3", 0.5, 1.0),
        ("event.own", "in [1, 3]", 3, 4),
        ("event.own", "> 9007199254740000", 9_007_199_300_000_001, 9_007_199_200_000_001),
        ("event.text", "'cod'", "cod", "card"),
        ("event.text", "not in ['a', 'b']", "c", "b"),
        ("event.flag", "true", True, False),
        ("event.flag", "!= true", False, True),
    ],
)
def test_plain_conditions_are_told_without_the_engine(column: str, text: str, hit: Any, miss: Any) -> None:
    screen = _screen({column: text}, {"own": "> 1000"})
    kind, _, name = column.rpartition(".")
    for value, said in ((hit, True), (miss, False), (None, False)):
        there = {} if value is None else {name: value}
        assert _said(screen, _context(**({kind: there} if kind else there))) is said


@pytest.mark.parametrize(("text", "own"), [("== 0.3", 0.3), (">= 6", 6 - 1e-9), ("abs($) > 2", 1.0), ("> other", 9.0)])
def test_what_is_too_close_or_more_than_a_comparison_only_the_engine_can_tell(text: str, own: float) -> None:
    context = _context(own=own, other=1.0)
    assert _screen({"own": text}).hits(context, NONE) is None
    assert _screen({"own": text}).hits(context, frozenset({SOME.id})) == []
    assert _screen({"own": text, "other": "> 3"}).hits(context, NONE) == []


values = st.one_of(numbers, st.sampled_from([float("nan"), float("inf"), 1e17]))
flags = st.sampled_from([True, False, None, 1])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_findings_are_those_of_the_engine(data: st.DataObject) -> None:
    row = [0.0] * len(CONTRACT.names)
    for place in data.draw(st.lists(st.integers(0, len(row) - 1), max_size=8)):
        row[place] = data.draw(values)
    fields: dict[str, Any] = {
        "payment_method": data.draw(st.sampled_from(["card", "cod", None, 3])),
        "channel": "call_centre",
    }
    event = purchase(at=NOON + data.draw(st.integers(0, 23)) * HOUR, **fields)
    signals = {name: data.draw(flags) for name in ("deny_ip", "allow_card")} if data.draw(st.booleans()) else {}
    vector = Vector(CONTRACT.names, tuple(row))
    assert RULES.find(event, vector, signals) == RULES.find(event, vector, signals, ask=True)


class _Gone:
    def evaluate(self, *_: object) -> None:
        raise RuntimeError("gone")


def test_an_engine_that_fails_after_it_was_loaded_is_noticed_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(BOOK, CONTRACT, MODULE, WORDS)
    monkeypatch.setattr(rules, "_engine", _Gone())
    clear = vector_of(CONTRACT, 0.0, account_age=400.0, customer_count_1h=6.0)
    assert [hit.id for hit in rules.find(purchase(), clear).hits] == ["customer_burst"]
    assert not rules.find(purchase(), clear).broken
    unclear = vector_of(CONTRACT, 0.0, account_age=400.0, amount=2_500_000.0)
    for found in (rules.find(purchase(), unclear), rules.find(purchase(), clear, ask=True)):
        assert found.broken == tuple(catch_all.table for catch_all in BOOK.catch_alls)
        assert found.effects.floor is Action.REVIEW


def test_a_rulebook_of_which_a_table_never_answers_is_cautious_of_quiet_events_too() -> None:
    silent = json.loads(json.dumps(BOOK.jdm))
    next(node for node in silent["nodes"] if node["type"] == "decisionTableNode")["content"]["rules"] = []
    broken = Rules(type(BOOK)(silent, BOOK.rules, BOOK.catch_alls, BOOK.conditions), CONTRACT, MODULE, WORDS)
    quiet = vector_of(CONTRACT, 0.0, account_age=400.0)
    everything = {name: False for name in RULES.reading.needed if name.startswith("signal.")}
    signals = {name.removeprefix("signal."): said for name, said in everything.items()}
    assert RULES.find(purchase(), quiet, signals) == Findings()
    assert broken.find(purchase(), quiet, signals).effects.floor is Action.REVIEW
