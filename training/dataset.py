"""The data a model learns from, and how it is cut in time.

    start      train_end    +delay      validation_end  calibration_end  +delay       end
      |--train----|  (gap)    |--validation--|--calibration--|    (gap)    |---test---|
                           fit_at                                      chosen_at

A label counts only once it is known. The model is fitted at `fit_at`, so training takes rows before
`train_end` whose label was known by `fit_at`; early stopping, tuning, the calibrator and the thresholds are
settled at `chosen_at`, so validation and calibration take rows whose label was known by `chosen_at`. Test
events happen from `chosen_at` on: the release that is tested there could have been built at that moment.
Events in the two gaps are used by nobody. Nothing is ever shuffled, and no event is in two parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.types import DAY

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]


class TooShort(InvalidInput):
    """A history that cannot be cut in time; `found`: why, for those who know another remedy."""

    def __init__(self, found: str) -> None:
        super().__init__(f"split: {found}; import more history")
        self.found = found


@dataclass(frozen=True, slots=True)
class Dataset:
    """n events with their features, labels and what evaluation needs; no order is assumed.

    `matrix`: float64 (n, len(names)), columns in contract order, NaN missing. `label` is meaningful where
    `labelled`; `known_at` is when it became known (microseconds, 0 where unlabelled). `amount`: minor units
    of the base currency. `customer`: a code per customer, -1 for none. `protected`: an object column per
    attribute, None where unknown; never a feature. `weight`: how many events each stands for in training; None: one.
    """

    names: tuple[str, ...]
    matrix: Matrix
    label: Flags
    labelled: Flags
    amount: Ints
    time: Ints
    known_at: Ints
    customer: Ints
    event_id: Texts
    protected: Mapping[str, Texts] = field(default_factory=dict)
    weight: Matrix | None = None

    def __post_init__(self) -> None:
        n, width = self.matrix.shape
        columns = (self.label, self.labelled, self.amount, self.time, self.known_at, self.customer)
        lengths = {column.shape[0] for column in (*columns, self.event_id, *self.protected.values())}
        if width != len(self.names) or lengths - {n}:
            raise InvalidInput(
                f"dataset: a matrix of {n} rows and {width} columns needs {width} names "
                f"(got {len(self.names)}) and columns of {n} rows (got {sorted(lengths)})"
            )

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def rows(self, index: Ints) -> "Dataset":
        """The events at `index`, in that order."""
        return Dataset(
            self.names,
            self.matrix[index],
            self.label[index],
            self.labelled[index],
            self.amount[index],
            self.time[index],
            self.known_at[index],
            self.customer[index],
            self.event_id[index],
            {name: column[index] for name, column in self.protected.items()},
            None if self.weight is None else self.weight[index],
        )


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Shares of the time that is left after both gaps; boundaries fall on multiples of `grain` (UTC).

    `delay`: how long labels take, in microseconds. Each part needs `least_rows` usable rows and
    `least_frauds` of either class.
    """

    train: float = 0.60
    validation: float = 0.12
    calibration: float = 0.10
    test: float = 0.18
    delay: int = 7 * DAY
    grain: int = DAY
    least_rows: int = 200
    least_frauds: int = 10

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in PARTS}
        if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1.0) > 1e-9:
            raise InvalidInput(f"split: shares must be positive and add up to 1, got {shares}")
        if self.delay < 0 or self.grain <= 0:
            raise InvalidInput(f"split: need delay {self.delay} >= 0 and grain {self.grain} > 0")


PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Moments in microseconds, as in the module's picture; from the first labelled event to just after the last."""

    start: int
    train_end: int
    fit_at: int
    validation_end: int
    calibration_end: int
    chosen_at: int
    end: int


@dataclass(frozen=True, slots=True)
class Splits:
    """Row numbers of each part, in order of time, and the moments that separate them."""

    train: Ints
    validation: Ints
    calibration: Ints
    test: Ints
    boundaries: Boundaries


def split(dataset: Dataset, plan: SplitPlan) -> Splits:
    """Cut the labelled history in time; InvalidInput when it is too short or a part too thin."""
    time = dataset.time[dataset.labelled]
    if not time.size:
        raise InvalidInput(f"split: none of {len(dataset)} events has a label; import outcomes, or wait for them")
    at = _boundaries(int(time.min()), int(time.max()) + 1, plan)
    parts = {
        "train": _part(dataset, at.start, at.train_end, at.fit_at),
        "validation": _part(dataset, at.fit_at, at.validation_end, at.chosen_at),
        "calibration": _part(dataset, at.validation_end, at.calibration_end, at.chosen_at),
        "test": _part(dataset, at.chosen_at, at.end, None),
    }
    for name, index in parts.items():
        _check(name, dataset, index, plan)
    return Splits(**parts, boundaries=at)


def _boundaries(start: int, end: int, plan: SplitPlan) -> Boundaries:
    usable = end - start - 2 * plan.delay
    least = 2 * plan.delay + 4 * plan.grain
    if usable < 4 * plan.grain:
        raise TooShort(
            f"the history spans {(end - start) / DAY:.1f} days, but two label delays of "
            f"{plan.delay / DAY:g} days and four parts need at least {least / DAY:g}"
        )
    train_end = _snap(start + plan.train * usable, plan.grain)
    fit_at = train_end + plan.delay
    validation_end = max(fit_at, _snap(fit_at + plan.validation * usable, plan.grain))
    calibration_end = max(validation_end, _snap(validation_end + plan.calibration * usable, plan.grain))
    return Boundaries(start, train_end, fit_at, validation_end, calibration_end, calibration_end + plan.delay, end)


def _snap(moment: float, grain: int) -> int:
    return round(moment / grain) * grain


def _part(dataset: Dataset, start: int, end: int, known_by: int | None) -> Ints:
    chosen = (dataset.time >= start) & (dataset.time < end) & dataset.labelled
    if known_by is not None:
        chosen &= dataset.known_at <= known_by
    index = np.flatnonzero(chosen)
    return index[np.argsort(dataset.time[index], kind="stable")]


def _check(name: str, dataset: Dataset, index: Ints, plan: SplitPlan) -> None:
    frauds = int(dataset.label[index].sum())
    if index.size < plan.least_rows or min(frauds, index.size - frauds) < plan.least_frauds:
        raise TooShort(
            f"the {name} part holds {index.size} labelled events, {frauds} of them fraud; it needs "
            f"{plan.least_rows} and {plan.least_frauds} of either kind"
        )
