"""Uncertainty by resampling customers, not events: one customer's events share their fraud and are no independent
evidence. A resample is a weight per customer, so that everything is sorted once and only weighted anew."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 400
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A measure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3) -> str:
        return f"{self.value:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


def clusters(customer: Ints) -> Ints:
    """Codes 0, 1, 2, ... of what is resampled together: a customer, or a single event that names none (-1)."""
    own = np.where(customer < 0, -1 - np.arange(customer.size), customer)
    return np.asarray(np.unique(own, return_inverse=True)[1], np.int64)


def resamples(count: int, seed: int, times: int = RESAMPLES) -> Iterator[Ints]:
    """How often each of `count` clusters is drawn, `times` times; the same seed draws the same."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        yield np.bincount(rng.integers(0, count, count), minlength=count)


def interval(value: float, drawn: Sequence[float], bounds: tuple[float, float] | None = None) -> Interval | None:
    """The percentile interval of the values drawn, moved so that their median lies at `value`; None where undefined.

    Resampling adds noise that some measures count as error (calibration error grows by it); moving takes it out.
    """
    seen = np.array([x for x in drawn if not math.isnan(x)])
    if math.isnan(value) or not seen.size:
        return None
    low, median, high = np.quantile(seen, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    floor, ceiling = bounds or (-math.inf, math.inf)
    return Interval(value, max(value + float(low - median), floor), min(value + float(high - median), ceiling))


def intervals(
    values: Mapping[str, float], drawn: Sequence[Mapping[str, float]], shares: frozenset[str] = frozenset()
) -> dict[str, Interval]:
    """An interval per name, undefined ones left out; those in `shares` lie between 0 and 1."""
    found = {
        name: interval(value, [row[name] for row in drawn], (0.0, 1.0) if name in shares else None)
        for name, value in values.items()
    }
    return {name: span for name, span in found.items() if span is not None}
