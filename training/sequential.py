"""Evidence that stays valid while people look at every step, about a mean that is claimed to be nought or less.

A gambler stakes a share of the capital on every value. If the claim holds no way of betting gains in expectation, so
the capital ever reaches 1/alpha with probability alpha at most, at whatever moment one looks (Ville's inequality).
Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (2024); Howard, Ramdas,
McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021).
docs/concepts/promotion.md tells it in words.
"""

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STAKES = tuple(0.9 * 1.7**-k for k in range(14))
"""Shares of the capital that are staked, the capital split evenly over them: no one knows beforehand which is best."""

UNIT = 2.0**32
"""Logarithms are kept as whole numbers of this fraction, so sums are the same in any order and after any restart."""

_STAKES = np.array(STAKES)
_NONE = (0,) * len(STAKES)


@dataclass(frozen=True, slots=True)
class Values:
    """n values of one batch, none below `-low`, none above `high`; both bounds are known before the values are."""

    value: Floats
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low > 0 and self.high > 0 and math.isfinite(self.low) and math.isfinite(self.high)):
            raise InvalidInput(f"sequential: bounds must be above zero and finite; got {self.low} and {self.high}")
        if self.value.size and not (-self.low <= self.value.min() and self.value.max() <= self.high):
            raise InvalidInput(
                f"sequential: values from {self.value.min()} to {self.value.max()} leave -{self.low} to {self.high}; "
                "clip them before, in the same way for both arms"
            )


def log_capital(shares: Floats) -> Ints:
    """What each stake gains on values divided by their bound (all >= -1), in UNITs: shape (n, stakes). Rounded down."""
    return np.asarray(np.floor(np.log1p(np.multiply.outer(shares, _STAKES)) * UNIT), np.int64)


def log_evidence(capital: npt.ArrayLike) -> Floats:
    """Logarithm of the whole capital, from that of each stake (last axis); it began with 0."""
    logs = np.asarray(capital, np.float64) / UNIT
    top = logs.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(logs - top).mean(axis=-1)))


@dataclass(frozen=True, slots=True)
class Bets:
    """A gambler's book against "the mean is nought or less". Whole numbers all through but two: JSON keeps it exactly.

    `capital`: by stake. `slope`: by stake, how fast it falls when more is claimed than nought. `finest`: the largest
    weight (1 / bound) of any batch. `peak`: the highest logarithm of the capital after any batch: it never falls.
    """

    capital: tuple[int, ...] = _NONE
    slope: tuple[int, ...] = _NONE
    finest: float = 0.0
    peak: float = 0.0

    def add(self, value: Floats, bound: float) -> Self:
        """One batch of values, none below -bound. The order within it makes no difference."""
        weight = 1 / bound
        moved = value[value != 0] * weight
        gains = log_capital(moved)
        slopes = np.rint(weight / (1 + np.multiply.outer(moved, _STAKES)) * UNIT).astype(np.int64)
        still = round(weight * UNIT) * (value.size - moved.size)
        capital = tuple(a + b for a, b in zip(self.capital, gains.sum(axis=0).tolist(), strict=True))
        slope = tuple(a + b + still for a, b in zip(self.slope, slopes.sum(axis=0).tolist(), strict=True))
        return type(self)(
            capital,
            slope,
            max(self.finest, weight) if value.size else self.finest,
            max(self.peak, float(log_evidence(capital))),
        )

    def least(self, alpha: float) -> float:
        """The mean lies above this, with confidence 1 - alpha at all times together; -inf while nothing is known."""
        needed = -math.log(alpha)
        low = -1.0
        while not self._against(low) >= needed:
            low *= 2
            if low < -1e12:
                return -math.inf
        high = 1 / self.finest
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._against(middle) >= needed else (low, middle)
        return low

    def _against(self, claim: float) -> float:
        """A lower bound of the evidence that the mean is above `claim`; exact at nought.

        log(1 + s(x - m)) = log(1 + s x) + log(1 - u) with u = s m / (1 + s x), and log(1 - u) is concave: between
        nought and the largest u it lies above the chord, so the sum of all u, which `slope` holds, is enough.
        """
        if not claim:
            return float(log_evidence(self.capital))
        reach = _STAKES * claim * self.finest / (1 - _STAKES)
        possible = reach < 1
        chord = np.log1p(-np.where(possible, reach, 0.5)) / np.where(reach == 0, 1.0, np.where(possible, reach, 0.5))
        chord = np.where(reach == 0, -1.0, chord)
        lost = chord * _STAKES * claim * np.array(self.slope, np.float64)
        return float(log_evidence(np.where(possible, np.array(self.capital, np.float64) + lost, -np.inf)))


@dataclass(frozen=True, slots=True)
class Excess:
    """What is known of a mean after `seen` values: bets that it is above nought, and bets that it is below.

    `total` and `weight` (whole numbers of UNIT) give the mean seen; values of a batch with narrower bounds weigh more.
    """

    seen: int = 0
    total: int = 0
    weight: int = 0
    above: Bets = field(default_factory=Bets)
    below: Bets = field(default_factory=Bets)

    def add(self, values: Values) -> Self:
        if not values.value.size:
            return self
        scaled = np.rint(values.value / values.low * UNIT).astype(np.int64)
        return type(self)(
            self.seen + values.value.size,
            self.total + int(scaled.sum()),
            self.weight + round(UNIT / values.low) * values.value.size,
            self.above.add(values.value, values.low),
            self.below.add(-values.value, values.high),
        )

    @property
    def mean(self) -> float:
        """Of the values seen; nought before any."""
        return self.total / self.weight if self.weight else 0.0

    def low(self, alpha: float) -> float:
        return self.above.least(alpha)

    def high(self, alpha: float) -> float:
        return -self.below.least(alpha)
