"""Columns cut into bins: what two samples of one feature are compared by, and what people see of it.

Bins follow the quantiles of the reference, so that each holds a similar number of its rows; with few current rows
there are fewer of them, so that each still expects about 25. What is missing is a bin of its own: a feature that
went missing has drifted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Feature

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MISSING = "missing"
EXPECTED_IN_A_BIN = 25
FEWEST, MOST = 4, 10


@dataclass(frozen=True, slots=True)
class Binned:
    """Two samples of a column: the bins that at least one of them uses, and each row's bin."""

    name: str
    labels: tuple[str, ...]
    reference: Ints
    current: Ints

    @property
    def counts(self) -> tuple[Ints, Ints]:
        """Rows by bin, of the reference and of the current sample."""
        size = len(self.labels)
        return np.bincount(self.reference, minlength=size), np.bincount(self.current, minlength=size)

    @property
    def missing(self) -> tuple[float, float]:
        """The share of missing values in the reference and now."""
        if MISSING not in self.labels:
            return 0.0, 0.0
        code = self.labels.index(MISSING)
        return float((self.reference == code).mean()), float((self.current == code).mean())


def bin_feature(feature: Feature, reference: Floats, current: Floats) -> Binned:
    """A feature's values, NaN where missing; codes of a category come back under its names."""
    names = ("no", "yes") if feature.unit == "0/1" else feature.categories
    if names:
        return _used(feature.name, names, _codes(reference, len(names)), _codes(current, len(names)))
    return bin_numbers(feature.name, reference, current)


def bin_numbers(name: str, reference: Floats, current: Floats) -> Binned:
    edges = _edges(reference[np.isfinite(reference)], current.size)
    return _used(name, _labels(edges), _places(reference, edges), _places(current, edges))


def bin_words(name: str, reference: Sequence[str], current: Sequence[str]) -> Binned:
    """Values that are their own bins, such as actions."""
    words = sorted({*reference, *current})
    code = {word: i for i, word in enumerate(words)}
    then, now = (np.array([code[word] for word in sample], np.int64) for sample in (reference, current))
    return _used(name, words, then, now)


def _edges(known: Floats, current_rows: int) -> Floats:
    """Upper ends of all bins but the last. A value that never varied has bins below and above itself."""
    if not known.size:
        return np.empty(0)
    low, high = known.min(), known.max()
    if low == high:
        return np.array([np.nextafter(low, -np.inf), low])
    bins = int(np.clip(current_rows // EXPECTED_IN_A_BIN, FEWEST, MOST))
    inner = np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.unique(np.minimum(inner, known[known < high].max()))


def _places(values: Floats, edges: Floats) -> Ints:
    known = np.isfinite(values)
    places = np.full(values.size, edges.size + 1, np.int64)
    places[known] = np.searchsorted(edges, values[known], side="left")
    return places


def _codes(values: Floats, size: int) -> Ints:
    """Codes of categories; what is no code is missing."""
    is_code = np.isfinite(values) & (values >= 0) & (values < size)
    return np.where(is_code, values, size).astype(np.int64)


def _labels(edges: Floats) -> tuple[str, ...]:
    """In alphabetical order, which is how charts sort them."""
    if not edges.size:
        return ("a) any value",)  # the reference knew none
    if edges.size == 2 and np.nextafter(edges[0], np.inf) == edges[1]:
        return (f"a) below {edges[1]:.4g}", f"b) {edges[1]:.4g}", f"c) above {edges[1]:.4g}")
    ends = [f"{edge:.4g}" for edge in edges]
    ranges = [f"up to {ends[0]}", *(f"to {end}" for end in ends[1:]), f"above {ends[-1]}"]
    return tuple(f"{chr(ord('a') + i)}) {text}" for i, text in enumerate(ranges))


def _used(name: str, labels: Sequence[str], reference: Ints, current: Ints) -> Binned:
    """Without the bins that nothing falls into; the code after the last label means missing."""
    codes, places = np.unique(np.concatenate([reference, current]), return_inverse=True)
    every = (*labels, MISSING)
    return Binned(name, tuple(every[code] for code in codes), places[: reference.size], places[reference.size :])
