"""The training set on disk as a Dataset in memory, and how long its labels take."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from flows.evidence import Candidate
from flows.wiring import Workshop
from flows.wiring.exploring import drawn
from flows.wiring.training_sets import read
from fradect.features.contract import Contract
from fradect.types import DAY, Event
from training.dataset import Dataset, SplitPlan

MATURED = 0.95  # share of labels that are known by the delay that the plan assumes


def load_dataset(shop: Workshop, contract: Contract) -> Dataset:
    """Every event with its vector. A label counts when it is known by now and its event is old enough.

    Without the second condition the newest events would be those whose fraud was found fast, and no others.
    """
    path = shop.places.training_set(contract)
    dataset = Dataset(**read(path, shop.module, contract))
    now = time.time_ns() // 1000
    old_enough = dataset.time + plan_of(dataset).delay <= now
    dataset = replace(dataset, labelled=dataset.labelled & (dataset.known_at <= now) & old_enough)
    return _weighed(shop, dataset)


def _weighed(shop: Workshop, dataset: Dataset) -> Dataset:
    """Declines that were let through stand for those that were not, whose labels, if any, did not come by chance."""
    found = drawn(shop)
    if found is None:
        return dataset
    chance, through = found.over(dataset.event_id)
    by_chance = (chance > 0) & (chance < 1)
    weight = np.ones(len(dataset))
    weight[through] = 1 / chance[through]
    return replace(dataset, labelled=dataset.labelled & (through | ~by_chance), weight=weight)


def plan_of(dataset: Dataset) -> SplitPlan:
    """The default shares, with the delay that these labels really had, in whole days."""
    took = (dataset.known_at - dataset.time)[dataset.labelled]
    if not took.size:
        return SplitPlan()
    return SplitPlan(delay=int(np.ceil(np.quantile(took, MATURED) / DAY)) * DAY)


def tested(dataset: Dataset, candidate: Candidate) -> Dataset:
    """The candidate's test events: labelled, and later than the last choice that was made for it."""
    return dataset.rows(np.flatnonzero(dataset.labelled & (dataset.time >= candidate.training.boundaries.chosen_at)))


def past_events(shop: Workshop, since: int, wanted: set[str]) -> Iterator[Event]:
    """The wanted events of the log from `since` on, in order of their numbers."""
    columns = ["event_id", "event_time", "observed_at", *shop.module.columns]
    for batch in shop.log.scan(columns, start=since):
        rows = _plain(batch).to_pylist()
        for row in rows:
            if row["event_id"] in wanted:
                identity = (row.pop("event_id"), shop.tenant, shop.module.name)
                yield Event(*identity, row.pop("event_time"), row.pop("observed_at"), row)


def _plain(batch: pa.RecordBatch) -> pa.Table:
    """Times as microseconds, the way events carry them."""
    table = pa.table(batch)
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.int64()))
    return table
