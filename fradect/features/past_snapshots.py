"""The customer snapshot that was current at a past moment: found by a search, so that it checks what a join found."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fradect.features.contract import Contract, Kind
from fradect.features.live import Snapshot
from fradect.features.snapshots import TTL
from fradect.features.windows import Floats, Ints
from fradect.modules.declaration import Module
from fradect.types import Event

NOBODY = "the event names no customer"


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """Snapshots in any order: `customer` is a position in `customers`, times in microseconds, `values` (n, features)
    with NaN where there was nothing to divide by."""

    customers: Sequence[str]
    customer: Ints
    midnight: Ints
    created: Ints
    values: Floats


class PastSnapshots:
    """Implements the port BatchFeatures for events of the past. About 60 bytes a snapshot and 200 a customer.

    `named`: what snapshots call the customer that an event names.
    """

    def __init__(
        self, module: Module, contract: Contract, rows: SnapshotRows, named: Callable[[str], str] = str
    ) -> None:
        self._named = named
        self._field = module.entities.get("customer")
        self._names = tuple(feature.name for feature in contract.of_kind(Kind.BATCH))
        visible = np.maximum(rows.midnight, rows.created)
        order = np.lexsort((rows.created, rows.midnight, visible, rows.customer))
        latest = _latest(rows, order)
        edges = np.searchsorted(rows.customer[order], np.arange(len(rows.customers) + 1)).tolist()
        self._spans = dict(zip(rows.customers, pairwise(edges), strict=True))
        self._visible = array("q", visible[order].tolist())
        self._midnight = array("q", rows.midnight[latest].tolist())
        self._values = rows.values[latest]

    def read(self, event: Event) -> Snapshot:
        return self.at(event, event.event_time)

    def at(self, event: Event, known: int) -> Snapshot:
        """Of the event's customer, the snapshot of the latest midnight among those written by `known`."""
        customer = None if self._field is None else event.fields.get(self._field)
        if customer is None:
            return Snapshot({}, dict.fromkeys(self._names, NOBODY))
        start, end = self._spans.get(self._named(str(customer)), (0, 0))
        place = bisect_right(self._visible, known, start, end) - 1
        if place < start or self._midnight[place] + TTL < event.event_time:
            return Snapshot({}, {})
        values = zip(self._names, self._values[place].tolist(), strict=True)
        return Snapshot({name: value for name, value in values if value == value}, {})  # noqa: PLR0124  no NaN

    def around(self, event: Event, many: int = 3) -> list[tuple[int, int, dict[str, float]]]:
        """For people: when each of the last few snapshots became visible, of which midnight the latest was, values."""
        customer = None if self._field is None else event.fields.get(self._field)
        start, end = self._spans.get("" if customer is None else self._named(str(customer)), (0, 0))
        place = bisect_right(self._visible, event.event_time, start, end)
        return [
            (self._visible[i], self._midnight[i], dict(zip(self._names, self._values[i].tolist(), strict=True)))
            for i in range(max(start, place - many), min(end, place + 1))
        ]


def _latest(rows: SnapshotRows, order: Ints) -> Ints:
    """For each row in `order`, by customer and visibility, the customer's row of the latest midnight so far."""
    n = order.size
    ranked = np.lexsort((rows.created, rows.midnight))
    rank = np.empty(n, np.int64)
    rank[ranked] = np.arange(n)
    base = rows.customer[order] * n
    return np.asarray(ranked[np.maximum.accumulate(base + rank[order]) - base], np.int64)
