"""Intervals: as wide as the data deserves, and the same for the same seed."""

import numpy as np
import pytest

from training.bootstrap import clusters, interval, intervals, resamples


def test_who_has_no_customer_is_drawn_alone() -> None:
    codes = clusters(np.array([7, -1, 7, -1, 3]))
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 4
    assert sorted(set(codes.tolist())) == [0, 1, 2, 3]


def test_a_resample_draws_as_many_as_there_are_and_repeats_by_seed() -> None:
    drawn = list(resamples(50, seed=3, times=20))
    assert all(weights.sum() == 50 for weights in drawn)
    assert all((a == b).all() for a, b in zip(drawn, resamples(50, seed=3, times=20), strict=True))
    assert any((a != b).any() for a, b in zip(drawn, resamples(50, seed=4, times=20), strict=True))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        sample = rng.normal(1.0, 2.0, 80)
        span = interval(sample.mean(), [float((w * sample).sum() / 80) for w in resamples(80, trial, 200)])
        assert span is not None
        held += span.low <= 1.0 <= span.high
    assert 0.89 <= held / 200 <= 0.99


def test_customers_who_repeat_themselves_make_the_interval_wider() -> None:
    """The same 40 answers, each given 25 times, are no more evidence than once."""
    rng = np.random.default_rng(1)
    answers = np.repeat(rng.normal(0, 1, 40), 25)
    customer = np.repeat(np.arange(40), 25)
    widths = []
    for codes in (clusters(customer), clusters(np.full(1000, -1))):
        count = int(codes.max()) + 1
        drawn = [float((w[codes] * answers).sum() / w[codes].sum()) for w in resamples(count, 5, 200)]
        span = interval(float(answers.mean()), drawn)
        assert span is not None
        widths.append(span.high - span.low)
    assert widths[0] > 3 * widths[1]


def test_noise_that_resampling_adds_is_taken_out_and_bounds_are_kept() -> None:
    drawn = [0.30, 0.31, 0.32]
    span = interval(0.2, drawn)
    assert span is not None
    assert span.low < 0.2 < span.high
    bounded = interval(0.001, drawn, (0.0, 1.0))
    assert bounded is not None
    assert bounded.low == 0.0


def test_what_is_undefined_is_left_out() -> None:
    nan = float("nan")
    found = intervals({"a": 1.0, "b": nan, "c": 2.0}, [{"a": 1.0, "b": nan, "c": nan}, {"a": 2.0, "b": 1.0, "c": nan}])
    assert set(found) == {"a"}
    assert found["a"].text(1) == f"1.0 ({found['a'].low:.1f} to {found['a'].high:.1f})"
    assert found["a"].high == pytest.approx(1.0 + 0.475)
