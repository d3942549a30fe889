"""Tables of leaves: to the last bit what XGBoost says of the same rows, at every value that a tree asks about."""

from functools import lru_cache
from math import inf, nan, nextafter

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect import forest as forests
from fradect.features.contract import Contract
from fradect.forest import Forest
from fradect.one_row import OneRow
from fradect.questions import Questions
from fradect.scoring import Calibrator, Scorer
from fradect.trees import Node, read_trees
from tests.factories_decision import toy_release

N = 5
PLAIN = Calibrator(1.0, 0.0)
SHAPES = [(1, 3), (3, 12), (6, 25), (8, 30)]  # the last one's trees have more leaves than a word has bits


@lru_cache
def _booster(depth: int, trees: int) -> xgb.Booster:
    """Trees that ask of missing values and, in the first column, of categories."""
    rng = np.random.default_rng(depth)
    rows = rng.normal(0, 3, (1_500, N))
    rows[:, 0] = rng.integers(0, 6, 1_500)
    rows[rng.random(rows.shape) < 0.15] = nan
    label = np.nansum(np.sin(rows), axis=1) + (rows[:, 0] == 2) + rng.normal(0, 0.3, 1_500) > 0.5
    data = xgb.DMatrix(rows, label, feature_types=["c", *["float"] * (N - 1)], enable_categorical=True)
    asked = {
        "max_depth": depth,
        "objective": "binary:logistic",
        "base_score": 0.4,
        "nthread": 1,
        "max_cat_to_onehot": 2,
    }
    return xgb.train(asked, data, trees)


@lru_cache
def _forest(depth: int, trees: int) -> Forest:
    return Forest(*read_trees(bytes(_booster(depth, trees).save_raw("json"))), N)


@lru_cache
def _row(depth: int, trees: int) -> OneRow:
    return OneRow(_booster(depth, trees), N)


values = st.one_of(st.floats(-9, 9), st.integers(-2, 7).map(float), st.sampled_from([nan, 1e300, -1e300, inf, -inf]))


@pytest.mark.parametrize(("depth", "trees"), SHAPES)
@settings(max_examples=60)
@given(row=st.lists(values, min_size=N, max_size=N))
def test_any_row_gets_the_bits_that_xgboost_gives_it(depth: int, trees: int, row: list[float]) -> None:
    assert _forest(depth, trees).margin(row) == _row(depth, trees).margin(row)


@pytest.mark.parametrize(("depth", "trees"), SHAPES)
def test_so_do_rows_on_either_side_of_what_the_trees_ask(depth: int, trees: int) -> None:
    forest, known = _forest(depth, trees), _row(depth, trees)
    for row in forest.questions.probes(500).tolist():
        assert forest.margin(row) == known.margin(row)


def _asks(value: float) -> Node:
    return Node(0, value, left=1, right=2, default_left=False, cover=1.0, right_for=None)


LEAF = Node(0, 0.0, left=-1, right=-1, default_left=False, cover=1.0, right_for=None)


@given(bound=st.floats(-(2.0**99), 2.0**99, width=32), far=st.floats(allow_nan=False))
def test_a_rank_tells_which_side_of_a_bound_single_precision_puts_a_double(bound: float, far: float) -> None:
    node = _asks(bound)
    questions = Questions([(node, LEAF, LEAF)], 1)
    _, lefts = questions.lefts(node)
    middle = (bound + float(np.nextafter(np.float32(bound), np.float32(-inf)))) / 2
    near = [nextafter(value, side) for value in (bound, middle) for side in (value, inf, -inf)]
    for value in (far, *near):
        with np.errstate(over="ignore"):
            below = bool(np.float32(value) < np.float32(bound))
        assert lefts[questions.places([value])[0]] == below


def test_a_row_of_another_width_is_no_row_of_the_model() -> None:
    for row in ([0.0] * (N - 1), [0.0] * (N + 1)):
        with pytest.raises(ValueError, match="size"):
            _forest(3, 12).margin(row)


def test_trees_that_ask_nothing_or_too_much_are_left_to_xgboost(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="0 cells"):
        Forest([(LEAF,)], 0.0, N)
    monkeypatch.setattr(forests, "MOST_CELLS", 100)
    with pytest.raises(ValueError, match="cells"):
        Forest(*read_trees(bytes(_booster(3, 12).save_raw("json"))), N)


def test_tables_that_say_otherwise_than_the_model_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = toy_release()
    known = Scorer(release.model, PLAIN, release.contract)
    monkeypatch.setattr(Forest, "margin", lambda _self, _row: 0.25)
    scorer = Scorer(release.model, PLAIN, release.contract)
    row = [1.0] * _width(release.contract)
    assert scorer.probability_of(row) == known.probability(np.array([row]))[0] != PLAIN.one(0.25)
    assert "say otherwise" in caplog.text


def _width(contract: Contract) -> int:
    return len(contract.names)
