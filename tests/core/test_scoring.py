"""One booster for one event and for many: the same probabilities, contributions that add up."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.scoring import Calibrator, Scorer, feature_types
from tests.factories_decision import toy_release

RELEASE = toy_release()
SCORER = Scorer(RELEASE.model, Calibrator(1.3, -0.4), RELEASE.contract)
N = len(RELEASE.contract.names)


def _row(values: list[float]) -> list[float]:
    """Category columns hold codes, as the contract makes them."""
    return [
        float(int(abs(v)) % len(f.categories)) if f.categories and not np.isnan(v) else v
        for f, v in zip(RELEASE.contract, values, strict=True)
    ]


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(-10, 10, width=32)), min_size=N, max_size=N))
def test_contributions_and_baseline_add_up_to_the_probability(values: list[float]) -> None:
    row = _row(values)
    probability = float(SCORER.probability(np.array([row]))[0])
    contributions, baseline = SCORER.contributions(row)
    log_odds = baseline + float(contributions.sum())
    assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(probability, abs=1e-5)
    assert contributions.shape == (N,)


def test_one_row_and_many_rows_give_the_same_bits() -> None:
    rows = np.random.default_rng(2).integers(0, 3, (64, N)).astype(np.float64)
    together = SCORER.probability(rows)
    alone = np.array([SCORER.probability(rows[i : i + 1])[0] for i in range(64)])
    assert together.tobytes() == alone.tobytes()


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(-1e300, 1e300)), min_size=N, max_size=N))
def test_the_way_of_one_row_gives_the_same_bits_as_the_way_of_many(values: list[float]) -> None:
    row = _row(values)
    assert SCORER.probability_of(row) == SCORER.probability(np.array([row, row]))[1]


def test_threads_that_ask_at_once_each_get_their_own_answer() -> None:
    rows = np.random.default_rng(5).integers(0, 3, (400, N)).astype(np.float64)
    expected = SCORER.probability(rows).tolist()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(SCORER.probability_of, rows.tolist())) == expected


def test_a_row_of_another_width_is_no_row_of_this_model() -> None:
    with pytest.raises(ValueError, match="size"):
        SCORER.probability_of([1.0] * (N - 1))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20), st.floats(0.01, 5), st.floats(-9, 9))
def test_any_margin_has_a_probability_and_one_is_calibrated_as_many(
    margins: list[float], slope: float, intercept: float
) -> None:
    calibrator = Calibrator(slope, intercept)
    many = calibrator.probability(np.array(margins))
    assert ((many >= 0) & (many <= 1)).all()
    assert [calibrator.one(margin) for margin in margins] == many.tolist()


def test_threads_do_not_change_the_bits() -> None:
    rows = np.random.default_rng(2).integers(0, 3, (500, N)).astype(np.float64)
    two = Scorer(RELEASE.model, Calibrator(1.3, -0.4), RELEASE.contract, threads=2)
    assert SCORER.probability(rows).tobytes() == two.probability(rows).tobytes()


def test_the_calibrator_survives_json_to_the_bit_and_is_monotone() -> None:
    calibrator = Calibrator(0.1 + 0.2, -1 / 3)
    assert Calibrator.from_json(calibrator.to_json()) == calibrator
    margins = np.linspace(-9, 9, 50)
    assert np.all(np.diff(calibrator.probability(margins)) > 0)


def test_categories_are_declared_to_the_model() -> None:
    types = dict(zip(RELEASE.contract.names, feature_types(RELEASE.contract), strict=True))
    assert types["payment_method"] == "c"
    assert types["amount"] == "float"
