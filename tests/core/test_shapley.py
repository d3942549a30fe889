"""Tables of contributions: the Shapley values by their definition, and what XGBoost says of the same rows."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from math import factorial, nan
from typing import Any

import msgspec
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.judgement import judge, load
from fradect.scoring import Calibrator, Scorer, feature_types
from fradect.shapley import Shapley
from fradect.trees import Tree, read_trees
from fradect.types import Vector
from tests.factories_decision import purchase, toy_release, vector_of

CONTRACT = replace(toy_release().contract, features=toy_release().contract.features[:6])
TYPES = feature_types(CONTRACT)
N = len(CONTRACT.names)


@lru_cache
def _model(depth: int, trees: int, seed: int = 3, objective: str = "binary:logistic") -> bytes:
    """Trees that ask about one feature several times, of missing values, and of two columns of categories."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 3, (1_500, N))
    rows[rng.random(rows.shape) < 0.15] = nan
    for i, feature in enumerate(CONTRACT):
        if feature.categories:
            rows[:, i] = rng.integers(0, len(feature.categories), 1_500)
            rows[rng.random(1_500) < 0.1, i] = nan
    label = np.nansum(np.sin(rows), axis=1) + (rows[:, 1] == 2) + rng.normal(0, 0.3, 1_500) > 0.5
    data = xgb.DMatrix(rows, label, feature_types=TYPES, enable_categorical=True)
    asked = {"max_depth": depth, "objective": objective, "base_score": 0.3, "nthread": 1, "max_cat_to_onehot": 2}
    return bytes(xgb.train(asked, data, trees).save_raw("json"))


values = st.one_of(st.just(nan), st.floats(-9, 9), st.integers(-2, 5).map(float), st.sampled_from([1e300, -1e300, 0.5]))
rows_of_values = st.lists(values, min_size=N, max_size=N)


def _by_xgboost(model: bytes, rows: np.ndarray) -> np.ndarray:
    booster = xgb.Booster(model_file=bytearray(model))
    said = booster.predict(xgb.DMatrix(rows, feature_types=TYPES, enable_categorical=True), pred_contribs=True)
    return np.asarray(said, np.float64)


def _codes(row: list[float]) -> list[float]:
    """A column of categories holds codes or nothing: XGBoost refuses the rest."""
    return [
        v if not f.categories else float(abs(int(v)) % 4) if abs(v) < 99 else nan
        for f, v in zip(CONTRACT, row, strict=True)
    ]


@pytest.mark.parametrize(("depth", "trees"), [(1, 3), (3, 12), (6, 25), (8, 5)])
@settings(max_examples=40)
@given(row=rows_of_values)
def test_the_tables_say_what_xgboost_says(depth: int, trees: int, row: list[float]) -> None:
    model, known = _model(depth, trees), _codes(row)
    said = _by_xgboost(model, np.clip(np.array([known]), -1e30, 1e30))[0]
    tables = _tables(depth, trees)
    np.testing.assert_allclose(tables.values(known), said[:-1], atol=1e-5)
    assert tables.expected == pytest.approx(said[-1], abs=1e-5)


@lru_cache
def _tables(depth: int, trees: int) -> Shapley:
    return Shapley(_model(depth, trees), N)


@settings(max_examples=15)
@given(row=rows_of_values)
def test_the_tables_say_what_the_definition_says(row: list[float]) -> None:
    trees, base = read_trees(_model(3, 12))
    known = _codes(row)

    def worth(present: frozenset[int]) -> float:
        return sum(_let_through(tree, 0, known, present) for tree in trees)

    expected = [_shapley_value(worth, i) for i in range(N)]
    np.testing.assert_allclose(_tables(3, 12).values(known), expected, atol=1e-6)
    assert _tables(3, 12).expected == pytest.approx(base + worth(frozenset()), abs=1e-12)


def _let_through(tree: Tree, at: int, row: list[float], present: frozenset[int]) -> float:
    """A tree's value where it knows some features, and lets rows pass by their share where it does not."""
    node = tree[at]
    if node.is_leaf:
        return node.value
    if node.feature not in present:
        parts = ((tree[way].cover, _let_through(tree, way, row, present)) for way in (node.left, node.right))
        return sum(cover * value for cover, value in parts) / node.cover
    value = np.float32(min(max(row[node.feature], -1e30), 1e30))
    if np.isnan(value):
        left = node.default_left
    elif node.right_for is None:
        left = bool(value < np.float32(node.value))
    else:
        left = int(value) not in node.right_for
    return _let_through(tree, node.left if left else node.right, row, present)


def _shapley_value(worth: Callable[[frozenset[int]], float], i: int) -> float:
    others = [j for j in range(N) if j != i]
    return sum(
        factorial(size)
        * factorial(N - size - 1)
        / factorial(N)
        * (worth(frozenset({*some, i})) - worth(frozenset(some)))
        for size in range(N)
        for some in combinations(others, size)
    )


def test_categories_are_asked_of() -> None:
    trees, _ = read_trees(_model(3, 12))
    assert any(node.right_for for tree in trees for node in tree)


@pytest.mark.parametrize(
    ("model", "why"),
    [(lambda: _model(9, 8), "deep"), (lambda: _model(2, 2, objective="binary:logitraw"), "logitraw")],
)
def test_a_model_that_tables_do_not_fit_is_explained_by_xgboost(model: Callable[[], bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Shapley(model(), N)
    scorer = Scorer(model(), Calibrator(2.0, 0.5), CONTRACT)
    rows = np.array([_codes([0.5, 1.0, -2.0, nan, 3.0, 4.0]), _codes([1.0] * N)])
    many, baselines = scorer.contributions_of_all(rows, 2)
    said = _by_xgboost(model(), rows)
    np.testing.assert_allclose(many, 2.0 * said[:, :-1], atol=1e-5)
    for row, parts, baseline in zip(rows.tolist(), many, baselines, strict=True):
        one, start = scorer.contributions(row)
        assert one.tobytes() == parts.tobytes()
        assert start == baseline


def test_one_row_and_many_are_explained_to_the_same_bits_and_add_up() -> None:
    scorer = Scorer(_model(6, 25), Calibrator(1.3, -0.4), CONTRACT)
    rng = np.random.default_rng(1)
    rows = np.array([_codes(row) for row in rng.normal(0, 3, (40, N)).tolist()])
    many, baselines = scorer.contributions_of_all(rows, 2)
    for row, parts, baseline in zip(rows.tolist(), many, baselines, strict=True):
        one, start = scorer.contributions(row)
        assert one.tobytes() == parts.tobytes()
        assert start == baseline
        assert 1 / (1 + np.exp(-(start + one.sum()))) == pytest.approx(scorer.probability_of(row), abs=1e-6)


def test_tables_that_say_otherwise_than_the_model_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Shapley, "values", lambda _self, _row: np.full(N, 0.1))
    scorer = Scorer(_model(3, 12), Calibrator(1.0, 0.0), CONTRACT)
    row = _codes([0.5] * N)
    said = _by_xgboost(_model(3, 12), np.array([row]))
    np.testing.assert_allclose(scorer.contributions(row)[0], said[0, :-1], atol=1e-6)
    assert "say otherwise" in caplog.text


def test_nobody_pays_for_factors_that_were_not_asked_for() -> None:
    release = load(toy_release())
    asked: list[str] = []

    class Watched:
        def probability_of(self, row: tuple[float, ...]) -> float:
            return release.model.probability_of(row)

        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(release.model, name)

    model: Any = Watched()
    watched = replace(release, model=model)
    seen = vector_of(release.contract)
    plain = judge(watched, purchase(), seen, (), explain=False)
    assert asked == []
    explained = judge(watched, purchase(), seen, (), explain=True)
    assert asked == ["contributions"]
    assert (plain.score, plain.action) == (explained.score, explained.action)


def test_a_stored_vector_gets_the_same_factors_again() -> None:
    release, again = load(toy_release()), load(toy_release())
    vector = vector_of(release.contract, customer_count_1d=4.0, amount=nan)
    stored = msgspec.json.decode(msgspec.json.encode([None if v != v else v for v in vector.values]))  # noqa: PLR0124
    read = Vector(vector.names, tuple(nan if v is None else v for v in stored), vector.missing)
    first = judge(release, purchase(), vector, (), explain=True)
    assert judge(again, purchase(), read, (), explain=True).factors == first.factors
