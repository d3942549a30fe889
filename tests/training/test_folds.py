"""The Handbook's protocol on an example that fits on a page."""

import numpy as np
import pytest

from fradect.types import DAY
from training.folds import Fold, rows_to_test, rows_to_train

FOLD = Fold.weeks("2018-07-25")


def _at(day: int) -> int:
    """Noon of a day counted from the fold's start."""
    return FOLD.start + day * DAY + DAY // 2


def test_a_week_each_of_training_delay_and_test() -> None:
    days = np.array([_at(day) for day in range(-2, 22)])
    assert [int((t - FOLD.start) // DAY) for t in days[rows_to_train(days, FOLD)]] == list(range(7))
    assert [int((t - FOLD.start) // DAY) for t in days[rows_to_train(days, FOLD, history=True)]] == list(range(-2, 7))
    none = np.zeros(days.size, np.bool_)
    assert [int((t - FOLD.start) // DAY) for t in days[rows_to_test(days, np.arange(days.size), none, FOLD)]] == list(
        range(14, 21)
    )


@pytest.mark.parametrize(
    ("fraud_on", "days_left"),
    [
        (-1, [14, 15, 16]),  # before the fold began: not held against the card
        (0, []),  # in the training week: known throughout the test
        (6, []),
        (7, [14]),  # the first delay day matures a week later: known from the second test day on
        (8, [14, 15]),
        (9, [14, 15, 16]),  # matures on the last of these days: known from the next on
        (14, [14, 15, 16]),  # in the test itself: that is what is to be found
    ],
)
def test_a_card_leaves_the_test_when_its_fraud_is_known(fraud_on: int, days_left: list[int]) -> None:
    time = np.array([_at(fraud_on), _at(14) + 1, _at(15), _at(16)])
    label = np.array([True, False, False, False])
    rows = rows_to_test(time, np.zeros(4, np.int64), label, FOLD)
    assert [int((t - FOLD.start) // DAY) for t in time[rows] if t != time[0]] == days_left


def test_other_cards_stay() -> None:
    time = np.array([_at(2), _at(15), _at(15)])
    rows = rows_to_test(time, np.array([5, 5, 9]), np.array([True, False, False]), FOLD)
    assert rows.tolist() == [2]
