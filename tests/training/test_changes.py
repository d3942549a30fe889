"""Events that two releases decide differently: told with what made the difference."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.bands import Band
from fradect.bulk import trace
from fradect.errors import InvalidInput
from fradect.judgement import Loaded, load
from fradect.types import Action
from tests.core.test_bulk import pasts
from tests.factories_decision import RULEBOOK, toy_loaded, toy_release
from training.changes import Decided, Filter, changes
from training.rule_work import Known, RuleWork

pytest.importorskip("zen")
POLICY = toy_release().policy


def decided(release: Loaded, past: tuple[pa.Table, Any]) -> Decided:
    return Decided(trace(release, *past), [rule for rule, _ in release.rules.conditions])


def known(n: int, seed: int = 0) -> Known:
    rng = np.random.default_rng(seed)
    return Known(rng.random(n) < 0.5, rng.random(n) < 0.8, rng.integers(0, 9_000, n))


def numbered(past: tuple[pa.Table, Any]) -> pa.Table:
    n = past[0].num_rows
    return (
        past[0]
        .append_column("event_id", pa.array([f"e{i}" for i in range(n)]))
        .append_column("seq", pa.array(range(n)))
    )


def other_points(rule_id: str, points: int) -> Loaded:
    book: dict[str, Any] = json.loads(RULEBOOK)
    for node in book["nodes"]:
        outputs = {column["field"]: column["id"] for column in node.get("content", {}).get("outputs", [])}
        for row in node.get("content", {}).get("rules", []):
            if row[outputs["id"]] == f"'{rule_id}'":
                row[outputs["points"]], row[outputs["floor"]] = str(points), ""
    return load(replace(toy_release(), rulebook=json.dumps(book).encode()))


@settings(max_examples=60, deadline=None)
@given(pasts(), st.integers(0, 1001), st.integers(0, 1001))
def test_other_thresholds_are_the_cause_and_looser_ones_stop_less(
    past: tuple[pa.Table, Any], one: int, two: int
) -> None:
    review, decline = sorted((one, two))
    other = replace(toy_loaded(), policy=replace(POLICY, review=review, decline=decline))
    champion, candidate = decided(toy_loaded(), past), decided(other, past)
    found = changes(numbered(past), champion, candidate, known(past[0].num_rows))
    assert set(found["cause"].to_pylist()) <= {"thresholds"}
    assert found["rules"].to_pylist() == [[]] * found.num_rows
    if review >= POLICY.review and decline >= POLICY.decline:
        assert (candidate.trace.past.action <= champion.trace.past.action).all()
        assert all(Action[row["candidate"]] < Action[row["champion"]] for row in found.to_pylist())


@settings(max_examples=60, deadline=None)
@given(pasts())
def test_a_rule_that_asks_for_less_is_named_where_it_made_the_difference(past: tuple[pa.Table, Any]) -> None:
    champion, candidate = decided(toy_loaded(), past), decided(other_points("card_testing", 1), past)
    found = changes(numbered(past), champion, candidate, known(past[0].num_rows))
    apart = np.flatnonzero(champion.trace.past.action != candidate.trace.past.action)
    assert found["seq"].to_pylist() == apart.tolist()
    assert set(found["cause"].to_pylist()) <= {"rules"}
    assert all(names == ["card_testing"] for names in found["rules"].to_pylist())
    assert all("card_testing +1, was +200 and at least REVIEW" in text for text in found["reason"].to_pylist())
    assert Filter.of(["rule=card_testing"]).keep(found).equals(found)
    assert Filter.of(["rule=other"]).keep(found).num_rows == 0


def test_one_change_as_it_is_told() -> None:
    past = _calm()
    bands = (Band("web", 0, 1, ("web",)),)
    other = replace(toy_loaded(), policy=replace(POLICY, bands=bands))
    labels = Known(np.array([True, True]), np.array([True, False]), np.array([10, 20]))
    found = changes(numbered(past), decided(toy_loaded(), past), decided(other, past), labels).to_pylist()
    score = found[0]["champion_score"]
    assert [(row["event_id"], row["fraud"], row["cause"]) for row in found] == [("e0", True, "thresholds")]
    assert found[0]["reason"] == f"score {score}: review from 0, was 300; decline from 1, was 700"
    assert (found[0]["champion"], found[0]["candidate"]) == ("APPROVE", "DECLINE")


@pytest.mark.parametrize("written", ["from", "from=", "to=MAYBE", "cause=weather", "size=3", "fraud=perhaps"])
def test_filters_that_mean_nothing_are_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="--only"):
        Filter.of([written])


def test_filters_keep_what_they_say() -> None:
    table = pa.table(
        {
            "champion": ["DECLINE", "DECLINE", "REVIEW"],
            "candidate": ["APPROVE", "REVIEW", "DECLINE"],
            "cause": ["model or rules", "thresholds", "model and thresholds"],
            "channel": ["web", "app", None],
            "fraud": [True, None, False],
            "rules": [["a"], ["a", "b"], None],
        }
    )
    for written, rows in ((["from=DECLINE"], 2), (["to=DECLINE"], 1), (["cause=model"], 2), (["rule=a"], 2)):
        assert Filter.of(written).keep(table).num_rows == rows
    assert Filter.of(["fraud=no"]).keep(table)["champion"].to_pylist() == ["REVIEW"]
    assert Filter.of(["channel=web", "from=DECLINE"]).keep(table).num_rows == 1
    assert Filter.of([]).keep(table).equals(table)


@settings(max_examples=40, deadline=None)
@given(st.lists(pasts(), min_size=1, max_size=3))
def test_what_rules_did_adds_up_over_stretches(stretches: list[tuple[pa.Table, Any]]) -> None:
    release = toy_loaded()
    work = RuleWork([rule for rule, _ in release.rules.conditions], POLICY.costs)
    hits: dict[str, int] = {}
    for past in stretches:
        made = decided(release, past)
        work.add(made.trace, known(past[0].num_rows))
        for rule, ran in made.trace.ran.items():
            hits[rule] = hits.get(rule, 0) + ran.hit.size
    found = {facts.rule: facts for facts in work.facts()}
    assert {rule: facts.hits for rule, facts in found.items()} == hits
    for facts in found.values():
        assert 0 <= facts.frauds <= facts.matured <= facts.hits
        assert 0 <= facts.alone_frauds <= facts.alone_matured <= facts.alone
        assert facts.precision is None or 0 <= facts.precision <= 1
        assert facts.alone or not facts.alone_money


def _calm() -> tuple[pa.Table, Any]:
    """Two ordinary purchases at noon, by web and by app."""
    from_, n = toy_loaded().contract.names, 2
    matrix = np.ones((n, len(from_)))
    matrix[:, from_.index("account_age")] = 400
    return pa.table({"event_time": [0, 0], "channel": ["web", "app"], "amount_base": [10, 20]}), matrix
