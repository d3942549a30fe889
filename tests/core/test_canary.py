"""A canary is part of the release: it comes back as it was, and a model that answers otherwise is refused."""

from dataclasses import replace

import numpy as np
import pytest

from fradect.canary import Canary, chosen
from fradect.errors import Refused
from fradect.judgement import load
from fradect.release import CANARY, assemble
from fradect.scoring import Calibrator, Scorer
from fradect.trial import examine
from tests.factories_decision import toy_release

PLAIN = toy_release()


@pytest.fixture(scope="module")
def canary() -> Canary:
    rng = np.random.default_rng(5)
    matrix = rng.integers(0, 5, (200, len(PLAIN.contract.names))).astype(np.float64)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    return chosen(matrix, Scorer(PLAIN.model, PLAIN.calibrator, PLAIN.contract).probability(matrix))


def test_rows_are_spread_over_what_the_model_says(canary: Canary) -> None:
    assert len(canary.rows) == 16
    assert list(canary.probabilities) == sorted(canary.probabilities)
    assert canary.probabilities[-1] - canary.probabilities[0] > 0.5


def test_a_release_with_a_canary_is_another_and_comes_back_whole(canary: Canary) -> None:
    release = replace(PLAIN, canary=canary)
    assert release.id != PLAIN.id
    assert assemble(release.id, release.parts()) == release
    parts = release.parts()
    del parts[CANARY]
    with pytest.raises(Refused, match="do not match its name"):
        assemble(release.id, parts)
    with pytest.raises(Refused, match="do not match its name"):
        assemble(PLAIN.id, PLAIN.parts() | {CANARY: canary.to_json()})


def test_the_model_says_again_what_it_said(canary: Canary) -> None:
    assert np.allclose(examine(load(PLAIN), canary), canary.probabilities, rtol=0, atol=1e-12)
    with pytest.raises(Refused, match="otherwise than when it was made"):
        examine(load(replace(PLAIN, calibrator=Calibrator(1.0, 0.001))), canary)


def test_without_a_canary_the_answers_must_be_probabilities() -> None:
    assert len(examine(load(PLAIN), None)) == 3
    with pytest.raises(Refused, match="probability for every row"):
        examine(load(replace(PLAIN, calibrator=Calibrator(float("nan"), 0.0))), None)
