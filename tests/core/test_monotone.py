"""What a contract marks monotone moves the decision one way only: probability, score and action."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.features.contract import Contract
from fradect.judgement import Loaded, judge, load
from fradect.release import PARTS, assemble, digests, name_of
from fradect.scoring import feature_types
from fradect.types import Vector
from tests.factories_decision import purchase, toy_release

GOLDEN = Path(__file__).parents[1] / "golden" / "release"
MARKED = {"device_count_1h": 1, "total_orders": -1}


@lru_cache
def _marked_release() -> Loaded:
    """A small model whose contract marks two features, trained on labels that follow neither direction alone."""
    plain = toy_release()
    features = tuple(replace(f, monotone=MARKED.get(f.name, 0)) for f in plain.contract)
    contract = replace(plain.contract, features=features)
    rng = np.random.default_rng(11)
    rows = rng.integers(0, 5, (800, len(features))).astype(np.float64)
    for i, feature in enumerate(features):
        if feature.categories:
            rows[:, i] = rng.integers(0, len(feature.categories), 800)
    noisy = sum(np.abs(rows[:, contract.names.index(name)] - 2) for name in MARKED)
    label = noisy + rng.normal(0, 0.7, 800) > 2.5
    data = xgb.DMatrix(rows, label, feature_types=feature_types(contract), enable_categorical=True)
    asked = {"max_depth": 4, "base_score": 0.5, "objective": "binary:logistic", "nthread": 1, "tree_method": "hist"}
    model = xgb.train(asked | {"monotone_constraints": tuple(f.monotone for f in contract)}, data, 15)
    return load(replace(plain, contract=contract, model=bytes(model.save_raw("json"))))


@lru_cache
def _golden_release() -> Loaded:
    parts = {part: (GOLDEN / part).read_bytes() for part in PARTS}
    return load(assemble(name_of(digests(parts)), parts))


def _marks(contract: Contract) -> dict[str, int]:
    return {feature.name: feature.monotone for feature in contract if feature.monotone}


@pytest.mark.parametrize("release", [_marked_release, _golden_release], ids=["marked", "golden"])
@settings(max_examples=60)
@given(data=st.data())
def test_a_feature_marked_monotone_never_turns_a_decision(release: Callable[[], Loaded], data: st.DataObject) -> None:
    loaded = release()
    values = data.draw(st.lists(st.floats(-2, 8), min_size=len(loaded.contract.names), max_size=99).map(tuple))
    values = values[: len(loaded.contract.names)]
    for name, direction in _marks(loaded.contract).items():
        steps = sorted(data.draw(st.lists(st.floats(-2, 8), min_size=2, max_size=5)))
        place = loaded.contract.names.index(name)
        probabilities = [
            loaded.model.probability_of((*values[:place], step, *values[place + 1 :])) for step in steps[::direction]
        ]
        assert probabilities == sorted(probabilities)


def test_the_marked_model_uses_what_is_marked_and_the_decision_follows() -> None:
    loaded = _marked_release()
    names = loaded.contract.names
    for name, direction in MARKED.items():
        judged = [
            judge(loaded, purchase(), Vector(names, tuple(step if n == name else 2.0 for n in names)), (), explain=True)
            for step in (0.0, 1.0, 2.0, 3.0, 4.0)[::direction]
        ]
        scores = [one.score for one in judged]
        assert scores == sorted(scores)
        assert scores[0] < scores[-1]
        assert [one.action for one in judged] == sorted(one.action for one in judged)
        assert all(sum(f.points for f in one.factors) == one.score for one in judged)
