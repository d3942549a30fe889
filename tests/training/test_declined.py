"""Declines judged by the few that were let through: right on the mean and in its interval, where the labels at hand
are not."""

import numpy as np
import pytest

from fradect.errors import InvalidInput
from fradect.types import Action
from training.declined import Declined, Seen, declined

ALONE = -1
CHANCE = 0.05


def simulated(seed: int, n: int = 60_000) -> tuple[Declined, float, float]:
    """A champion that declined the riskiest, and a candidate that declines more: what is said of the candidate's
    declines, and the truth (precision, false-positive rate)."""
    rng = np.random.default_rng(seed)
    risk = np.where(rng.random(n) < 0.04, rng.beta(4, 1.5, n), rng.beta(0.3, 8, n))
    fraud = rng.random(n) < risk
    was_declined = risk > 0.35
    chosen = np.where(risk + rng.normal(0, 0.03, n) > 0.2, Action.DECLINE, Action.APPROVE).astype(np.int64)
    through = was_declined & (rng.random(n) < CHANCE)
    seen = Seen(np.where(was_declined, CHANCE, 1.0), ~was_declined | through)
    label = fraud & seen.known  # what nobody could learn is no label
    found = declined(chosen, label, seen, np.full(n, ALONE))
    stopped = chosen == Action.DECLINE
    return found, float(fraud[stopped].mean()), float((stopped & ~fraud).sum() / (~fraud).sum())


def test_the_labels_at_hand_are_biased_and_the_estimate_is_not() -> None:
    found = [simulated(seed) for seed in range(40)]
    truth, rate = (float(np.mean([one[i] for one in found])) for i in (1, 2))
    at_hand = np.mean([one.at_hand or 0.0 for one, _, _ in found])
    estimates = np.array([one.precision.value for one, _, _ in found if one.precision is not None])
    rates = np.array([one.false_positive_rate.value for one, _, _ in found if one.false_positive_rate is not None])
    standard_error = estimates.std() / np.sqrt(estimates.size)
    assert at_hand < truth - 0.1
    assert estimates.mean() == pytest.approx(truth, abs=4 * standard_error)
    assert rates.mean() == pytest.approx(rate, abs=4 * rates.std() / np.sqrt(rates.size))


def test_the_truth_lies_in_the_intervals_as_often_as_they_say() -> None:
    inside = []
    for seed in range(150):
        found, precision, rate = simulated(1_000 + seed, 15_000)
        assert found.precision is not None
        assert found.false_positive_rate is not None
        inside.append(
            (
                found.precision.low <= precision <= found.precision.high,
                found.false_positive_rate.low <= rate <= found.false_positive_rate.high,
            )
        )
    assert (np.mean(inside, axis=0) > 0.91).all()


def test_six_declines_by_hand() -> None:
    chosen = np.array([2, 2, 2, 2, 2, 2, 0, 0], np.int64)
    label = np.array([1, 0, 1, 1, 0, 0, 0, 1], np.bool_)
    chance = np.array([0.5, 0.5, 0.5, 1, 1, 0, 1, 1])
    known = np.array([1, 1, 0, 1, 1, 0, 1, 1], np.bool_)
    found = declined(chosen, label, Seen(chance, known), np.full(8, ALONE))
    assert (found.events, found.never, found.let_through) == (6, 1, 2)
    assert found.precision is not None
    assert found.false_positive_rate is not None
    assert found.precision.value == pytest.approx((2 + 1) / 6)
    assert found.false_positive_rate.value == pytest.approx(3 / 4)
    assert found.at_hand == 0.5


def test_declines_of_which_nothing_is_known_have_no_estimate() -> None:
    nothing = Seen(np.array([0.05, 1.0]), np.array([False, True]))
    found = declined(np.array([2, 0]), np.array([False, False]), nothing, np.full(2, ALONE))
    assert found == Declined(1, 0, 0, None, None, None)


def test_declines_that_were_all_fraud_are_not_certainly_so() -> None:
    n = 40
    chosen, label = np.array([2] * n + [0] * 400), np.array([1] * n + [0] * 400, np.bool_)
    chance = np.where(chosen == Action.DECLINE, 0.05, 1.0)
    found = declined(chosen, label, Seen(chance, np.ones(n + 400, np.bool_)), np.full(n + 400, ALONE))
    assert found.precision is not None
    assert found.false_positive_rate is not None
    assert (found.precision.value, found.precision.high) == (1, 1)
    assert 0.85 < found.precision.low < 0.95
    assert found.false_positive_rate.value == found.false_positive_rate.low == 0
    assert found.false_positive_rate.high > 0.05


def test_one_customer_is_no_more_evidence_than_one() -> None:
    n = 60
    chosen, label = np.full(n, 2), np.arange(n) % 2 == 0
    seen = Seen(np.full(n, 0.05), np.ones(n, np.bool_))
    alone, together = (declined(chosen, label, seen, whose).precision for whose in (np.arange(n), np.arange(n) // 10))
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 2 * (alone.high - alone.low)


@pytest.mark.parametrize("chance", [[1.5, 1.0], [-0.1, 1.0], [1.0]])
def test_chances_that_are_none_are_refused(chance: list[float]) -> None:
    with pytest.raises(InvalidInput, match="seen"):
        Seen(np.array(chance), np.array([True, True]))
