"""The snapshot that was current: rows written late, restated, too old; against the plainest search there is."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fradect.features.past_snapshots import NOBODY, PastSnapshots, SnapshotRows
from fradect.features.snapshots import TTL
from fradect.modules import contract_of, module_of
from fradect.types import DAY, Event

MODULE, CONTRACT = module_of("ecommerce"), contract_of("ecommerce/standard")
NAMES = ("total_orders", "avg_order_value", "return_rate", "fraud_history")
START = 20_000 * DAY

Row = tuple[int, int, int]
"""Customer, midnight, and days after it when the row was written."""


def _event(customer: str | None, time: int) -> Event:
    return Event("e", "t", MODULE.name, time, time, {"customer_id": customer})


def _snapshots(rows: list[Row]) -> PastSnapshots:
    customer, day, late = (np.array(column, np.int64) for column in (zip(*rows, strict=True) if rows else [()] * 3))
    midnight = START + day * DAY
    values = np.column_stack([np.arange(len(rows), dtype=np.float64)] * 4)
    return PastSnapshots(
        MODULE, CONTRACT, SnapshotRows(["c0", "c1"], customer, midnight, midnight + late * DAY, values)
    )


@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 4)), unique=True, max_size=12),
    customer=st.integers(0, 2),
    day=st.integers(-1, 12),
    beside=st.sampled_from([-1, 0, 1]),
)
def test_as_the_plainest_search_finds_it(rows: list[Row], customer: int, day: int, beside: int) -> None:
    now = START + day * DAY + beside
    known = [
        (midnight, late, i)
        for i, (owner, midnight, late) in enumerate(rows)
        if owner == customer and START + (midnight + late) * DAY <= now
    ]
    found = _snapshots(rows).read(_event(f"c{customer}", now)).values
    assert found == (dict.fromkeys(NAMES, float(max(known)[2])) if known else {})


def test_one_that_is_too_old_counts_for_nothing() -> None:
    snapshots = _snapshots([(0, 0, 0)])
    assert snapshots.read(_event("c0", START + TTL)).values
    assert not snapshots.read(_event("c0", START + TTL + 1)).values


def test_an_event_without_a_customer_misses_them_for_a_reason() -> None:
    found = _snapshots([(0, 0, 0)]).read(_event(None, START + DAY))
    assert found.missing == dict.fromkeys(NAMES, NOBODY)


def test_what_is_not_a_number_is_absent() -> None:
    none = np.array([0], np.int64)
    values = np.array([[1.0, math.nan, math.nan, 0.0]])
    snapshots = PastSnapshots(MODULE, CONTRACT, SnapshotRows(["c0"], none, none, none, values))
    assert snapshots.read(_event("c0", DAY)).values == {"total_orders": 1.0, "fraud_history": 0.0}


def test_the_ones_around_an_event_are_shown() -> None:
    shown = _snapshots([(0, 0, 0), (0, 1, 0), (0, 2, 0)]).around(_event("c0", START + DAY), many=1)
    assert [midnight for _, midnight, _ in shown] == [START + DAY, START + 2 * DAY]
