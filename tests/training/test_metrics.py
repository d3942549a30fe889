"""Measures against slower, plainer definitions of themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from fradect.types import DAY
from training.metrics import Calibration, CardDays, Ranking, rates


@st.composite
def _scored(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Coarse scores, so that ties are common, and whole weights, some of them zero."""
    n = draw(st.integers(2, 60))
    score = np.array(draw(st.lists(st.integers(0, 8), min_size=n, max_size=n)), np.float64)
    label = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    weight = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int64)
    return score, label, weight


@settings(max_examples=150, deadline=None)
@given(_scored())
def test_the_ranking_agrees_with_scikit_learn_under_ties_and_weights(
    case: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]],
) -> None:
    score, label, weight = case
    auc, ap = Ranking.of(score, label, np.arange(score.size)).measure(weight)
    if not weight[label].sum() or not weight[~label].sum():
        assert np.isnan([auc, ap]).all()
        return
    assert auc == pytest.approx(roc_auc_score(label, score, sample_weight=weight), abs=1e-12)
    assert ap == pytest.approx(average_precision_score(label, score, sample_weight=weight), abs=1e-12)


def test_a_weight_belongs_to_all_events_of_its_cluster() -> None:
    score, label = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    cluster = np.array([0, 1, 0, 2])
    alone = Ranking.of(score, label, cluster).measure(np.array([2, 1, 1]))
    written_out = np.array([0, 0, 1, 2, 2, 3])
    copies = Ranking.of(score[written_out], label[written_out], np.arange(6)).measure(np.ones(6, np.int64))
    assert alone == pytest.approx(copies)


def _by_the_book(
    score: NDArray[np.float64], label: NDArray[np.bool_], day: NDArray[np.int64], card: NDArray[np.int64], k: int
) -> float:
    found: set[int] = set()
    shares = []
    for today in sorted(set(day.tolist())):
        best: dict[int, tuple[float, bool]] = {}
        for s, y, d, c in zip(score.tolist(), label.tolist(), day.tolist(), card.tolist(), strict=True):
            if d == today and c not in found:
                highest, defrauded = best.get(c, (-np.inf, False))
                best[c] = (max(highest, s), defrauded or y)
        first = sorted(best, key=lambda c: (-best[c][0], c))[:k]
        hits = {c for c in first if best[c][1]}
        found |= hits
        shares.append(len(hits) / k)
    return float(np.mean(shares))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_card_precision_is_the_handbooks(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 120))
    score, label = rng.integers(0, 20, n).astype(np.float64), rng.random(n) < 0.3
    day, card = np.sort(rng.integers(0, 5, n)), rng.integers(0, 12, n)
    found = CardDays.of(score, label, day * DAY + rng.integers(0, DAY, n), card, k).measure(np.ones(12, np.int64))
    assert found == pytest.approx(_by_the_book(score, label, day, card, k))


def test_a_card_that_was_found_leaves_the_days_that_follow() -> None:
    """Two days, two cards a day: card 0 is defrauded on both, and found on the first, which lets card 2 come up."""
    score = np.array([0.9, 0.8, 0.9, 0.7, 0.6])
    label = np.array([True, False, True, False, True])
    day = np.array([0, 0, 1, 1, 1]) * DAY
    card = np.array([0, 1, 0, 1, 2])
    one = np.ones(3, np.int64)
    assert CardDays.of(score, label, day, card, k=2).measure(one) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert CardDays.of(score, label, day, card, k=1).measure(one) == pytest.approx((1 + 0) / 2)


def test_a_card_drawn_twice_takes_two_places() -> None:
    days = CardDays.of(np.array([0.9, 0.8]), np.array([True, True]), np.zeros(2, np.int64), np.array([0, 1]), k=2)
    assert days.measure(np.array([2, 1])) == pytest.approx(1.0)
    assert days.measure(np.array([1, 0])) == pytest.approx(0.5)


def test_calibration_error_is_zero_only_where_probabilities_are_honest() -> None:
    label = np.tile(np.array([True, False, False, False]), 250)
    cluster, one = np.arange(1000), np.ones(1000, np.int64)
    assert Calibration.of(np.full(1000, 0.25), label, cluster, bins=1).measure(one) == pytest.approx(0.0)
    assert Calibration.of(np.full(1000, 0.35), label, cluster, bins=1).measure(one) == pytest.approx(0.10)
    told_apart = np.where(label, 0.9, 0.1)
    assert Calibration.of(told_apart, label, cluster, bins=4).measure(one) == pytest.approx(0.1)


def test_rates_of_nothing_are_not_numbers() -> None:
    assert rates(3, 1, 2) == pytest.approx((0.75, 0.6, 2 / 3))
    assert np.isnan(rates(0, 0, 2)[0])
    assert rates(0, 0, 2)[1:] == (0.0, 0.0)
    assert np.isnan(rates(0, 0, 0)).all()
