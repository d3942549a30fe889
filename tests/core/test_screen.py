"""What needs no engine: the screen never calls quiet what the engine says hits, and the findings are the same."""

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


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(NUMBERS), numbers, numbers)
def test_a_number_that_the_engine_lets_hit_is_never_quiet(text: str, own: float, other: float) -> None:
    for column, place in (("own", {"own": own}), ("event.own", {"event": {"own": own}})):
        screen = Screen([{column: parse(text, FUNCTIONS)}])
        if screen.is_quiet({"event": {}, "signal": {}, "other": other, **place}):
            assert not zen.evaluate_unary_expression(text, {"$": own, "other": other})


@pytest.mark.parametrize("text", TEXTS)
def test_nor_is_a_text(text: str) -> None:
    screen = Screen([{"event.own": parse(text, FUNCTIONS)}])
    for own in ("cod", "card", "web", "Cod", "", "x"):
        if screen.is_quiet({"event": {"own": own}, "signal": {}}):
            assert not zen.evaluate_unary_expression(text, {"$": own})


@pytest.mark.parametrize(
    ("text", "own"),
    [(">= 6", 5.0), ("[0..4]", 5.0), ("in [1, 3]", 4.0), ("'cod'", "card"), ("in ['a', 'b']", "c"), ("true", False)],
)
def test_plain_conditions_that_fail_are_quiet_and_so_are_missing_values(text: str, own: Any) -> None:
    screen = Screen([{"event.own": parse(text, FUNCTIONS)}, {"own": parse(">= 6", FUNCTIONS)}])
    assert screen.is_quiet({"event": {"own": own}, "signal": {}, "own": 5.0})
    assert screen.is_quiet({"event": {}, "signal": {}})


def test_a_rule_that_only_the_engine_can_judge_is_never_quiet() -> None:
    for cells in ({}, {"own": parse("abs($) > 2", FUNCTIONS)}):
        assert not Screen([cells]).is_quiet({"event": {}, "signal": {}, "own": 0.0})


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
    asked = Rules(BOOK, CONTRACT, MODULE, WORDS)
    asked._works = False
    vector = Vector(CONTRACT.names, tuple(row))
    assert RULES.find(event, vector, signals) == asked.find(event, vector, signals)


def test_a_rulebook_of_which_a_table_never_answers_is_cautious_of_quiet_events_too() -> None:
    silent = json.loads(json.dumps(BOOK.jdm))
    next(node for node in silent["nodes"] if node["type"] == "decisionTableNode")["content"]["rules"] = []
    broken = Rules(type(BOOK)(silent, BOOK.rules, BOOK.catch_alls, BOOK.conditions), CONTRACT, MODULE, WORDS)
    quiet = vector_of(CONTRACT, 0.0, account_age=400.0)
    everything = {name: False for name in RULES.reading.needed if name.startswith("signal.")}
    signals = {name.removeprefix("signal."): said for name, said in everything.items()}
    assert RULES.find(purchase(), quiet, signals) == Findings()
    assert broken.find(purchase(), quiet, signals).effects.floor is Action.REVIEW
