"""Reasons are the first to go when time is short: the answer says so, and is otherwise the same."""

import asyncio

import pytest

from fradect import decide
from fradect.judgement import FACTORS, judge
from tests.factories_bench import Bench, asked
from tests.factories_decision import purchase, toy_loaded, vector_of


def test_without_factors_score_and_action_are_the_same() -> None:
    release = toy_loaded()
    vector = vector_of(release.contract, 0.0)
    whole = judge(release, purchase(), vector, (), explain=True)
    hurried = judge(release, purchase(), vector, (FACTORS,), explain=True)
    assert (hurried.score, hurried.action, hurried.probability) == (whole.score, whole.action, whole.probability)
    assert hurried.degraded == (FACTORS,)
    assert len(whole.factors) > len(hurried.factors)
    assert sum(factor.points for factor in hurried.factors) == hurried.score


def test_a_hurried_decision_says_what_it_leaves_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asyncio.run(bench.decide(asked(purchase("tx1")))).decision
    monkeypatch.setattr(decide, "FACTORS_SHARE", 1.0)
    hurried = asyncio.run(bench.decide(asked(purchase("tx2")))).decision
    unasked = asyncio.run(bench.decide(asked(purchase("tx3"), explain=False))).decision
    assert whole is not None
    assert hurried is not None
    assert unasked is not None
    assert hurried.degraded == (FACTORS,)
    assert unasked.degraded == (), "who asked for none misses none"
    assert hurried.action == whole.action
    assert hurried.factors == unasked.factors
