"""Batch features: what a job at midnight knows about a customer. Pure: sums in, features out.

The snapshot of midnight D covers events that were known before D and outcomes that became known before D; a
customer whom nothing changed for keeps the snapshot before. One that is older than TTL counts for nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.history import fill_empty
from fradect.features.windows import Floats, Ints
from fradect.types import DAY

TTL = 400 * DAY


@dataclass(frozen=True, slots=True)
class Sums:
    """Whole numbers per customer: purchases, their amounts in minor units, how many were returned, how many fraud."""

    orders: Ints
    amount: Ints
    returned: Ints
    frauds: Ints


def batch_features(contract: Contract, sums: Sums) -> dict[str, Floats]:
    """The contract's batch features, one float64 column each, NaN where there is nothing to divide by."""
    return {feature.name: _formula(feature)(sums) for feature in contract.of_kind(Kind.BATCH)}


def of_customers(feature: Feature, values: Floats, named: npt.NDArray[np.bool_]) -> Floats:
    """Values as a vector holds them: the contract's `empty` for a customer never seen before, NaN where an event
    names no customer. `values` is NaN where there was no snapshot."""
    seen: Floats = np.where(named, fill_empty(feature, values), np.nan)
    return seen


def _formula(feature: Feature) -> Callable[[Sums], Floats]:
    if feature.name not in _BATCH:
        raise InvalidInput(f"no batch feature is called {feature.name!r}: add it to fradect/features/snapshots.py")
    return _BATCH[feature.name]


def _per_order(total: Ints, orders: Ints) -> Floats:
    share: Floats = np.divide(total, orders, out=np.full(orders.shape, np.nan), where=orders > 0)
    return share


_BATCH: Mapping[str, Callable[[Sums], Floats]] = {
    "total_orders": lambda sums: sums.orders.astype(np.float64),
    "avg_order_value": lambda sums: _per_order(sums.amount, sums.orders),
    "return_rate": lambda sums: _per_order(sums.returned, sums.orders),
    "fraud_history": lambda sums: sums.frauds.astype(np.float64),
}
