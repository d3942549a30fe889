"""What is usual for a feature: a value that occurred, in the middle of the known ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.training.factories_training import CONTRACT
from training.typical import LEAST_KNOWN, typical

ENOUGH = 40


def test_the_middle_value_and_the_most_frequent_category() -> None:
    matrix = np.full((ENOUGH, 3), np.nan)
    matrix[:, 0] = np.arange(ENOUGH)
    matrix[: LEAST_KNOWN - 1, 1] = 5.0
    matrix[:, 2] = [2.0] * 20 + [0.0] * 15 + [np.nan] * 5
    names = CONTRACT.names
    assert typical(matrix, CONTRACT) == {names[0]: 19.0, names[2]: 2.0}


@given(st.lists(st.floats(-1e9, 1e9), min_size=LEAST_KNOWN, max_size=60))
def test_what_is_usual_has_occurred_and_half_are_below(values: list[float]) -> None:
    matrix = np.zeros((len(values), 3))
    matrix[:, 0] = values
    usual = typical(matrix, CONTRACT)[CONTRACT.names[0]]
    assert usual in values
    assert sum(value <= usual for value in values) * 2 >= len(values)
    assert sum(value < usual for value in values) * 2 <= len(values)
