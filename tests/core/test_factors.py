"""Points that add up to the score exactly, whatever the model and the rules say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.factors import Explanation, ModelPart, apportion, factors, scaled
from fradect.modules import contract_of, module_of
from fradect.policy import Policy, combine
from fradect.rules import Findings, Hit
from fradect.types import Action
from fradect.words import Words
from tests.factories_decision import vector_of

STANDARD = contract_of("ecommerce/standard")
WORDS = Words(STANDARD, "RUB")
POLICY = Policy(400, 800, "RUB", module_of("ecommerce").costs)
VECTOR = vector_of(STANDARD)
N = len(STANDARD.names)

finite = st.floats(-30, 30)
hits = st.lists(
    st.builds(
        Hit,
        id=st.just("rule"),
        points=st.integers(0, 1000),
        floor=st.sampled_from(Action),
        allow=st.booleans(),
        text=st.just("why"),
    ),
    max_size=4,
)


@given(st.lists(finite, min_size=N, max_size=N), finite, hits)
def test_factors_add_up_to_the_score(contributions: list[float], baseline: float, found: list[Hit]) -> None:
    why = Explanation(np.array(contributions), baseline)
    probability = float(1 / (1 + np.exp(-(baseline + why.contributions.sum()))))
    findings = Findings(hits=tuple(found))
    score = combine(probability, findings.effects, POLICY)
    for part in (ModelPart(probability, why), ModelPart(probability), ModelPart(None), ModelPart(float("nan"))):
        expected = score if part.probability == probability else combine(None, findings.effects, POLICY)
        assert sum(f.points for f in factors(part, findings, VECTOR, POLICY, WORDS)) == expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(-1000, 1000))
def test_apportioned_points_add_up_whatever_the_total(shares: list[float], total: int) -> None:
    assert sum(apportion(shares, total)) == total


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=30))
def test_apportioned_points_are_near_their_shares(shares: list[float]) -> None:
    points = apportion(shares, round(sum(shares)))
    assert all(abs(point - share) <= 1.5 for point, share in zip(points, shares, strict=True))


def test_the_largest_remainders_are_rounded_up() -> None:
    assert apportion([1.2, 2.7, 3.1], 7) == [1, 3, 3]
    assert apportion([-0.5, -0.25, 0.75], 0) == [-1, 0, 1]


def test_contributions_that_cancel_out_stay_small() -> None:
    why = Explanation(np.array([3.0, -3.0 + 1e-9]), 0.0)
    assert np.abs(scaled(why)).max() == pytest.approx(750.0)  # slope 1/4 at the baseline


def test_the_biggest_are_named_in_words_and_the_rest_is_summed() -> None:
    contributions = np.linspace(0.01, 0.4, N)
    contributions[STANDARD.names.index("customer_count_1h")] = 2.0
    probability = float(1 / (1 + np.exp(2.0 - contributions.sum())))
    found = factors(ModelPart(probability, Explanation(contributions, -2.0)), Findings(), VECTOR, POLICY, WORDS)
    assert [f.name for f in found][:2] == ["baseline", "customer_count_1h"]
    assert found[-1].name == "other"
    assert len(found) == 8
    assert found[1].text == "purchases of this customer in 1h, this one included: 1"


def test_a_score_that_its_scale_cuts_says_so() -> None:
    strong = Findings(hits=(Hit("a", 900, Action.REVIEW, False, "strong"),))
    limit = factors(ModelPart(0.5), strong, VECTOR, POLICY, WORDS)[-1]
    assert (limit.name, limit.points, limit.source) == ("limit", -400, "scale")
    allowed = Findings(hits=(Hit("a", 0, Action.APPROVE, True, "known"),))
    limit = factors(ModelPart(0.9), allowed, VECTOR, POLICY, WORDS)[-1]
    assert (limit.points, limit.text) == (-501, "an allowance keeps the score below review")
