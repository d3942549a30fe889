"""Calibration: probabilities that keep their word, and an order that is never turned round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from training.calibrate import LEAST_SLOPE, calibrate


def test_the_true_slope_and_intercept_are_found() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(-4, 2, 60_000)
    labels = rng.random(60_000) < 1 / (1 + np.exp(-(0.7 * margins - 0.5)))
    found = calibrate(margins, labels)
    assert found.slope == pytest.approx(0.7, abs=0.05)
    assert found.intercept == pytest.approx(-0.5, abs=0.15)


def test_predicted_and_observed_fraud_are_equally_many() -> None:
    rng = np.random.default_rng(1)
    margins = rng.normal(-3, 1.5, 5_000)
    labels = rng.random(5_000) < 0.2 / (1 + np.exp(-margins))
    assert calibrate(margins, labels).probability(margins).sum() == pytest.approx(labels.sum(), abs=1.0)


def test_a_model_that_ranks_backwards_is_flattened_not_turned_round() -> None:
    rng = np.random.default_rng(2)
    margins = rng.normal(0, 1, 4_000)
    labels = rng.random(4_000) < 1 / (1 + np.exp(2 + 2 * margins))
    found = calibrate(margins, labels)
    assert found.slope == LEAST_SLOPE
    assert found.probability(margins).mean() == pytest.approx(labels.mean(), abs=0.001)


def test_margins_that_separate_the_classes_have_a_finite_answer() -> None:
    margins = np.concatenate([np.full(500, -3.0), np.full(20, 4.0)])
    found = calibrate(margins, margins > 0)
    assert 0 < found.slope < 100
    assert 0.9 < found.probability(np.array([4.0]))[0] < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 300), st.floats(-50, 50))
def test_every_calibrator_is_finite_and_keeps_the_order(seed: int, spread: float, center: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 300))
    margins = rng.normal(center, spread, n)
    labels = rng.random(n) < 0.3
    labels[0], labels[-1] = True, False
    found = calibrate(margins, labels)
    assert np.isfinite([found.slope, found.intercept]).all()
    assert found.slope >= LEAST_SLOPE
    assert found.slope * spread < 1_000


def test_equal_margins_give_the_share_of_fraud() -> None:
    labels = np.arange(100) < 10
    assert calibrate(np.full(100, -2.0), labels).probability(np.array([-2.0]))[0] == pytest.approx(0.1, abs=0.01)


def test_one_class_alone_cannot_calibrate() -> None:
    with pytest.raises(InvalidInput, match="both kinds"):
        calibrate(np.zeros(5), np.zeros(5, np.bool_))
