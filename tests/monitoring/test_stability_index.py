"""The index and its bins, as properties."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitoring.bins import MISSING, bin_numbers, bin_words
from monitoring.psi import chance_limit, stability_index

COUNTS = arrays(np.int64, 6, elements=st.integers(0, 10_000))
SAMPLES = arrays(
    np.float64, st.integers(1, 60), elements=st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0]), st.floats(-9, 9))
)


@given(COUNTS, COUNTS)
def test_the_index_is_finite_symmetric_and_not_below_zero(then: np.ndarray, now: np.ndarray) -> None:
    value = float(stability_index(then, now))
    assert np.isfinite(value)
    assert value >= 0
    assert np.isclose(value, float(stability_index(now, then)))
    assert float(stability_index(then, then)) == 0


@given(SAMPLES, SAMPLES)
def test_every_row_falls_into_one_bin_and_missing_ones_into_their_own(then: np.ndarray, now: np.ndarray) -> None:
    binned = bin_numbers("x", then, now)
    counted = binned.counts
    assert [int(c.sum()) for c in counted] == [then.size, now.size]
    assert binned.missing == (np.isnan(then).mean(), np.isnan(now).mean())
    assert (counted[0] + counted[1] > 0).all()
    assert list(binned.labels) == sorted(binned.labels)


@given(SAMPLES)
def test_a_larger_value_never_falls_into_an_earlier_bin(values: np.ndarray) -> None:
    known = np.sort(values[np.isfinite(values)])
    places = bin_numbers("x", values, known).current
    assert (np.diff(places) >= 0).all()


def test_a_value_that_never_varied_shows_what_lies_below_and_above_it() -> None:
    binned = bin_numbers("x", np.full(50, 3.0), np.array([2.0, 3.0, 4.0]))
    assert binned.labels == ("a) below 3", "b) 3", "c) above 3")
    assert [count.tolist() for count in binned.counts] == [[0, 50, 0], [1, 1, 1]]


def test_a_flag_that_is_mostly_set_keeps_both_its_bins() -> None:
    binned = bin_numbers("x", np.array([1.0] * 99 + [0.0]), np.array([0.0, 1.0]))
    assert [count.tolist() for count in binned.counts] == [[1, 99], [1, 1]]


def test_a_feature_the_reference_never_knew_is_missing_there() -> None:
    binned = bin_numbers("x", np.full(5, np.nan), np.array([1.0, np.nan]))
    assert binned.labels == ("a) any value", MISSING)
    assert binned.missing == (1.0, 0.5)


def test_words_of_either_sample_have_a_bin() -> None:
    binned = bin_words("action", ["APPROVE", "REVIEW"], ["DECLINE"])
    assert binned.labels == ("APPROVE", "DECLINE", "REVIEW")
    assert [count.tolist() for count in binned.counts] == [[1, 0, 1], [0, 1, 0]]


def test_chance_exceeds_its_limit_as_often_as_said() -> None:
    counts = np.array([500, 300, 150, 50])
    limit = chance_limit(tuple(counts.tolist()), 200, 0.01, 0)
    rng = np.random.default_rng(1)
    drawn = stability_index(
        rng.multinomial(1_000, counts / 1_000, 20_000), rng.multinomial(200, counts / 1_000, 20_000)
    )
    assert 0.005 < (drawn > limit).mean() < 0.015
    assert chance_limit(tuple(counts.tolist()), 2_000, 0.01, 0) < limit
