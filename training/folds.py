"""Folds in time as the Fraud Detection Handbook has them: train, wait for the labels, test who is not yet known."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from fradect.types import DAY, SECOND

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fold:
    """Training from `start` on, then as long a delay as labels take, then the test. All in microseconds."""

    start: int
    test_start: int
    test_end: int
    delay: int

    @property
    def train_end(self) -> int:
        return self.test_start - self.delay

    @classmethod
    def weeks(cls, start: str) -> "Fold":
        """The book's: seven days each of training, delay and test, from a day such as 2018-07-25 (UTC) on."""
        first = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()) * SECOND
        return cls(first, first + 14 * DAY, first + 21 * DAY, 7 * DAY)


def rows_to_train(time: Ints, fold: Fold, history: bool = False) -> Ints:
    """Events of the fold's training days; with `history`, all before them too. Their labels are known at the test."""
    return np.flatnonzero((time < fold.train_end) & (history | (time >= fold.start)))


def rows_to_test(time: Ints, customer: Ints, label: Flags, fold: Fold) -> Ints:
    """The test's events, less those of customers already known as defrauded on that day.

    Known on a day: a fraud since the fold's start, on a day whose labels have matured by then.
    """
    day = time // DAY
    never = np.iinfo(np.int64).max - fold.delay
    first = np.full(int(customer.max(initial=-1)) + 1, never)
    seen = label & (time >= fold.start)
    np.minimum.at(first, customer[seen], day[seen])
    unknown = day <= first[customer] + fold.delay // DAY
    return np.flatnonzero((time >= fold.test_start) & (time < fold.test_end) & unknown)
