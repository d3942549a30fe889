"""Points that add up to the score exactly, whatever the model and the rules say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.bands import Band
from fradect.factors import Explanation, ModelPart, apportion, factors, scaled
from fradect.modules import contract_of, module_of
from fradect.policy import Policy, combine
from fradect.rules import Findings, Hit
from fradect.types import Action, Vector
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


any_float = st.floats(allow_nan=True, allow_infinity=True)
thresholds = st.sampled_from([POLICY, Policy(0, 0, "RUB", POLICY.costs), Band("b", 1, 1001, ("web",))])


@given(
    st.one_of(st.none(), any_float),
    st.one_of(
        st.lists(any_float, min_size=N, max_size=N),
        st.sampled_from([1e300, 1e18, -1e300, 0.0]).map(lambda big: [big, -big] + [0.0] * (N - 2)),
    ),
    any_float,
    st.lists(any_float, min_size=N, max_size=N),
    hits,
    thresholds,
)
def test_factors_add_up_whatever_model_rules_and_vector_say(  # noqa: PLR0917  every input there is
    probability: float | None,
    contributions: list[float],
    baseline: float,
    values: list[float],
    found: list[Hit],
    limits: Policy | Band,
) -> None:
    part = ModelPart(probability, Explanation(np.array(contributions), baseline))
    findings, vector = Findings(hits=tuple(found)), Vector(STANDARD.names, tuple(values))
    with np.errstate(all="ignore"):
        told = factors(part, findings, vector, limits, WORDS)
    assert sum(f.points for f in told) == combine(probability, findings.effects, limits)
    assert all(f.text for f in told)


def test_an_event_of_which_nothing_is_known_is_explained_too() -> None:
    unknown = Vector(STANDARD.names, (float("nan"),) * N, dict.fromkeys(STANDARD.names, "the event names no device"))
    contributions = np.linspace(-1.0, 1.0, N)
    found = factors(ModelPart(0.5, Explanation(contributions, 0.0)), Findings(), unknown, POLICY, WORDS)
    assert sum(f.points for f in found) == 500
    assert all(f.value is None for f in found)
    assert found[1].text.endswith(": unknown, the event names no device")


def test_contributions_that_are_no_numbers_leave_the_model_as_one_factor() -> None:
    for broken in (np.full(N, np.nan), np.full(N, 1e308), np.array([1e18, -1e18, *np.zeros(N - 2)])):
        with np.errstate(over="ignore"):
            (only,) = factors(ModelPart(0.7, Explanation(broken, 0.0)), Findings(), VECTOR, POLICY, WORDS)
        assert (only.name, only.points) == ("model", 700)


def test_what_rules_cannot_lower_says_so() -> None:
    lower = Findings(hits=(Hit("a", -50, Action.APPROVE, False, "refused by the rulebook's own check"),))
    limit = factors(ModelPart(0.5), lower, VECTOR, POLICY, WORDS)[-1]
    assert (limit.points, limit.text) == (50, "rules only raise a score")


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
    shares = scaled(why)
    assert shares is not None
    assert np.abs(shares).max() == pytest.approx(750.0)  # slope 1/4 at the baseline


def test_the_biggest_are_named_in_words_and_the_rest_is_summed() -> None:
    contributions = np.linspace(0.01, 0.4, N)
    contributions[STANDARD.names.index("customer_count_1h")] = 2.0
    probability = float(1 / (1 + np.exp(2.0 - contributions.sum())))
    found = factors(ModelPart(probability, Explanation(contributions, -2.0)), Findings(), VECTOR, POLICY, WORDS)
    assert [f.name for f in found][:2] == ["baseline", "customer_count_1h"]
    assert found[-1].name == "other"
    assert len(found) == 8
    assert found[1].text == "1 purchase by this customer in 1 h"


def test_a_score_that_its_scale_cuts_says_so() -> None:
    strong = Findings(hits=(Hit("a", 900, Action.REVIEW, False, "strong"),))
    limit = factors(ModelPart(0.5), strong, VECTOR, POLICY, WORDS)[-1]
    assert (limit.name, limit.points, limit.source) == ("limit", -400, "scale")
    allowed = Findings(hits=(Hit("a", 0, Action.APPROVE, True, "known"),))
    limit = factors(ModelPart(0.9), allowed, VECTOR, POLICY, WORDS)[-1]
    assert (limit.points, limit.text) == (-501, "an allowance keeps the score below review")
