"""Parts of a test set that deserve a figure of their own."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract
from fradect.money import exponent_of
from training.dataset import Dataset

Texts = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]

BANDS = 4


def slices(dataset: Dataset, contract: Contract, currency: str) -> dict[str, Texts]:
    """For each way to slice, the name of every event's part: by amount, by each category, by new customers."""
    found = {f"amount, {currency}": _amounts(dataset, 10 ** exponent_of(currency))}
    for feature in contract:
        if feature.categories:
            column = dataset.matrix[:, dataset.names.index(feature.name)]
            found[feature.name] = _named(column, feature.categories)
    newcomers = _newcomers(dataset)
    if newcomers is not None:
        found["customer"] = newcomers
    return found


def _amounts(dataset: Dataset, scale: int) -> Texts:
    """Bands that hold a quarter of the events each; numbered, so that they sort."""
    edges = np.unique(np.quantile(dataset.amount, np.arange(1, BANDS) / BANDS, method="lower").astype(np.int64))
    said = [f"{edge / scale:,.2f}" for edge in edges]
    texts = [f"1: up to {said[0]}", *(f"{i}: up to {b}, over {a}" for i, (a, b) in enumerate(pairwise(said), 2))]
    names = np.array([*texts, f"{len(texts) + 1}: over {said[-1]}"], object)
    return np.asarray(names[np.searchsorted(edges, dataset.amount, side="left")], object)


def _named(codes: Floats, categories: tuple[str, ...]) -> Texts:
    names = np.array([*categories, "unknown"], object)
    known: Floats = np.where(np.isnan(codes), len(categories), codes)
    return np.asarray(names[known.astype(np.int64)], object)


# What tells that an event is its customer's first for long: the feature, and the value at or below which it is.
_FIRST: Mapping[str, float] = {"total_orders": 0.0, "customer_count_30d": 1.0}


def _newcomers(dataset: Dataset) -> Texts | None:
    for name, most in _FIRST.items():
        if name in dataset.names:
            column = dataset.matrix[:, dataset.names.index(name)]
            return np.where(np.isnan(column) | (column <= most), "new", "known").astype(object)
    return None
