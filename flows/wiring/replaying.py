"""A live state of its own for a replay, filled from the log with what the sampled events could see."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from flows.data import past_events
from flows.wiring import Workshop
from fradect.adapters.places import scratch
from fradect.adapters.state_rebuild import Part, rebuild
from fradect.adapters.state_sqlite import SqliteState
from fradect.features.contract import Contract, Kind
from fradect.features.replay import HistoryRows, ReplayReport, Sampled, replay


def replay_sample(shop: Workshop, contract: Contract, since: int, most: int, seed: int) -> ReplayReport:
    """Up to `most` events since a moment (microseconds), drawn by `seed`, through the live path and against history."""
    rows = _draw(shop, contract, since, most, seed)
    seqs = dict(zip(rows["event_id"].to_pylist(), rows["seq"].to_pylist(), strict=True))
    sample = [Sampled(seqs[event.event_id], event) for event in past_events(shop, since, set(seqs))]
    field_of = shop.module.entities
    keys = {
        entity: sorted({str(key) for s in sample if (key := s.event.fields.get(field_of[entity])) is not None})
        for entity in contract.entities
    }
    with scratch(shop.home) as folder:
        state = SqliteState(folder / "state.db", [shop.module])
        try:
            rebuild(state, shop.tenant, shop.module, shop.places.log, Part(since - contract.horizon, keys))
            history = _history(rows, contract)
            return replay(shop.module, contract, sample, lambda event, seq: state.read(event, contract, seq), history)
        finally:
            state.close()


def _draw(shop: Workshop, contract: Contract, since: int, most: int, seed: int) -> pa.Table:
    features = ds.dataset(str(shop.places.features(contract)), format="parquet")
    recent = pc.field("event_time") >= pa.scalar(since, pa.timestamp("us", tz="UTC"))
    numbers = features.to_table(columns=["seq"], filter=recent)["seq"].to_numpy()
    chosen = np.random.default_rng(seed).permutation(numbers)[:most]
    return features.to_table(filter=pc.field("seq").isin(chosen))


def _history(rows: pa.Table, contract: Contract) -> HistoryRows:
    names = tuple(feature.name for feature in contract if feature.kind is not Kind.BATCH)
    matrix = np.column_stack([rows[name].to_numpy() for name in names])
    ids: Sequence[str] = rows["event_id"].to_pylist()
    return HistoryRows(names, dict(zip(ids, matrix, strict=True)))
