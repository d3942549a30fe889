"""From a score to an action: total, ordered, and worth what the cost model says."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.modules import module_of
from fradect.modules.declaration import CostModel
from fradect.policy import (
    Policy,
    RuleEffects,
    actions,
    choose_thresholds,
    combine,
    decide,
    model_score,
    money_saved,
    to_scores,
)
from fradect.types import Action

COSTS = module_of("ecommerce").costs
POLICY = Policy(400, 800, "RUB", COSTS)

anything = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
effects = st.builds(RuleEffects, points=st.integers(-50, 2000), floor=st.sampled_from(Action), allow=st.booleans())


@given(anything, effects)
def test_every_input_has_a_score_and_an_action(probability: float | None, asked: RuleEffects) -> None:
    score = combine(probability, asked, POLICY)
    assert 0 <= score <= 1000
    assert decide(score, asked, POLICY) >= asked.floor


@given(st.floats(0, 1), st.floats(0, 1), effects)
def test_a_likelier_fraud_never_scores_less(one: float, two: float, asked: RuleEffects) -> None:
    low, high = sorted((one, two))
    assert combine(low, asked, POLICY) <= combine(high, asked, POLICY)


@given(anything, effects, st.integers(0, 10**6), st.integers(0, 1000), st.integers(0, 1000))
def test_the_score_rises_with_points_and_the_action_with_score_and_floor(
    probability: float | None, asked: RuleEffects, points: int, one: int, two: int
) -> None:
    more = replace(asked, points=max(asked.points, 0) + points)
    assert combine(probability, asked, POLICY) <= combine(probability, more, POLICY)
    low, high = sorted((one, two))
    assert decide(low, asked, POLICY) <= decide(high, asked, POLICY)
    stricter = [decide(one, replace(asked, floor=floor), POLICY) for floor in Action]
    assert stricter == sorted(stricter)
    assert decide(one, asked, POLICY) <= decide(one, asked, POLICY, model_missing=True)


@given(anything, effects, st.integers(0, 1001), st.integers(0, 1001))
def test_stricter_thresholds_never_let_more_through(
    probability: float | None, asked: RuleEffects, one: int, two: int
) -> None:
    strict, lax = Policy(min(one, two), 1001, "RUB", COSTS), Policy(max(one, two), 1001, "RUB", COSTS)
    actions_of = [decide(combine(probability, asked, policy), asked, policy) for policy in (lax, strict)]
    assert actions_of == sorted(actions_of)


def test_an_allowance_approves_also_where_everything_else_is_reviewed() -> None:
    everything = Policy(0, 0, "RUB", COSTS)
    for allow, expected in ((True, Action.APPROVE), (False, Action.DECLINE)):
        asked = RuleEffects(points=5, allow=allow)
        assert decide(combine(0.9, asked, everything), asked, everything) is expected


@given(st.floats(0, 1), st.integers(0, 900), st.integers(0, 900), st.booleans())
def test_more_points_never_lower_the_action(probability: float, few: int, more: int, allow: bool) -> None:
    low, high = sorted((few, more))
    first, second = (RuleEffects(points, allow=allow) for points in (low, high))
    one, two = combine(probability, first, POLICY), combine(probability, second, POLICY)
    assert one <= two
    assert decide(one, first, POLICY) <= decide(two, second, POLICY)


@given(st.floats(0, 1), st.sampled_from(Action))
def test_an_allowance_caps_the_model_at_approve_and_floors_still_win(probability: float, floor: Action) -> None:
    asked = RuleEffects(points=500, floor=floor, allow=True)
    assert decide(combine(probability, asked, POLICY), asked, POLICY) is floor


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0, "APPROVE"), (399, "APPROVE"), (400, "REVIEW"), (799, "REVIEW"), (800, "DECLINE"), (1000, "DECLINE")],
)
def test_thresholds_belong_to_the_stricter_side(score: int, expected: str) -> None:
    assert decide(score, RuleEffects(), POLICY).name == expected


def test_without_a_model_nothing_is_approved() -> None:
    assert decide(0, RuleEffects(), POLICY, model_missing=True) is Action.REVIEW
    assert decide(900, RuleEffects(), POLICY, model_missing=True) is Action.DECLINE
    assert model_score(None) == model_score(float("nan")) == 0


@given(st.lists(st.one_of(st.floats(0, 1), st.integers(0, 2000).map(lambda i: i / 2000)), min_size=1, max_size=50))
def test_one_event_and_many_are_scored_alike(probabilities: list[float]) -> None:
    many = to_scores(np.array(probabilities))
    one = [combine(p, RuleEffects(), POLICY) for p in probabilities]
    assert many.tolist() == one
    assert actions(many, POLICY).tolist() == [int(decide(s, RuleEffects(), POLICY)) for s in one]


@pytest.mark.parametrize(("review", "decline"), [(-1, 5), (5, 4), (0, 1002)])
def test_thresholds_that_make_no_sense_are_refused(review: int, decline: int) -> None:
    with pytest.raises(InvalidInput, match="policy"):
        Policy(review, decline, "RUB", COSTS)


def test_money_by_hand() -> None:
    costs = CostModel(loss=1.0, margin=0.1, insult_fixed=5, review_fixed=3, review_catch=0.5, review_insult=0.2)
    amounts = np.full(6, 100, np.int64)
    fraud = np.array([True, True, True, False, False, False])
    chosen = np.array([0, 1, 2, 0, 1, 2])
    saved = money_saved(costs, amounts, fraud, chosen)
    assert saved.tolist() == pytest.approx([0.0, 50.0 - 3, 100.0, 0.0, -(0.2 * 15) - 3, -15.0])


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_the_chosen_thresholds_are_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 1001, 12)
    amounts, fraud = rng.integers(1, 10**7, 12), rng.random(12) < 0.4
    review, decline = choose_thresholds(COSTS, scores, amounts, fraud)

    def saved(r: int, d: int) -> float:
        return float(money_saved(COSTS, amounts, fraud, actions(scores, Policy(r, d, "RUB", COSTS))).sum())

    edges = sorted({0, 1001, *(int(s) for s in scores), *(int(s) + 1 for s in scores)})
    best = max(saved(r, d) for r, d in product(edges, edges) if r <= d <= 1001)
    assert saved(review, decline) == pytest.approx(best)
