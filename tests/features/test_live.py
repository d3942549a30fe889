"""The same events as requests, one by one in the order they arrived, and as history on disk: the same bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fradect.adapters import history_store
from fradect.adapters.history_store import build_features
from fradect.features.contract import Contract, Kind
from fradect.features.held import Learnt
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.types import DAY
from tests.factories_decision import by_name
from tests.features.factories_log import events_of, random_columns, random_outcomes, write_log
from tests.features.factories_state import MemoryState

MODULE = module_of("ecommerce")
CONTRACTS = [contract_of(name) for name in ("ecommerce/standard", "ecommerce/handbook")]
NOTHING = Snapshot({}, {})


def _live(contract: Contract, columns: dict[str, Any], outcomes: dict[str, Any]) -> list[tuple[float, ...]]:
    """Imported outcomes carry the number of their event, so they are learnt right after it."""
    reader = Reader(MODULE, contract)
    state, events = MemoryState(reader.layout), events_of(columns)
    of: dict[int, list[Learnt]] = {}
    told = zip(*(outcomes[n] for n in ("seq", "kind", "value", "known_at")), strict=True)
    for seq, kind, value, known_at in told:
        of.setdefault(seq, []).append(Learnt(events[seq - 1], kind, value, known_at, seq))
    vectors = []
    for seq, event in enumerate(events, 1):
        vectors.append(reader.vector(event, state.arrive(event), NOTHING).values)
        state.learn(of.get(seq, ()))
        state.confirmed = seq - 3
    return vectors


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
@pytest.mark.parametrize(("seed", "late"), [(1, 0.0), (2, 0.15), (3, 0.6)])
def test_live_equals_history_bit_for_bit(
    contract: Contract, seed: int, late: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where events arrive late, in whatever partitions and stretches history is cut."""
    monkeypatch.setattr(history_store, "ROWS_PER_PARTITION", 100)
    monkeypatch.setattr(history_store, "ROWS_PER_STRETCH", 64)
    columns = random_columns(seed, 250, late=late)
    outcomes = random_outcomes(seed, columns)
    built = build_features(write_log(tmp_path, columns, outcomes, files=3), MODULE, contract)
    history = pq.read_table(built.path)
    of_requests = _live(contract, columns, outcomes)
    for j, feature in enumerate(contract):
        if feature.kind is not Kind.BATCH:
            live = np.array([values[j] for values in of_requests])
            assert live.tobytes() == history[feature.name].to_numpy().tobytes(), feature.name


def test_a_window_of_an_unnamed_entity_is_missing_and_says_why() -> None:
    reader = Reader(MODULE, CONTRACTS[0])
    state = MemoryState(reader.layout)
    columns = random_columns(1, 3) | {"device_id": ["d", None, "d"]}
    vectors = [reader.vector(e, state.arrive(e), NOTHING) for e in events_of(columns)]
    assert np.isnan(by_name(vectors[1])["device_count_1h"])
    assert vectors[1].missing["device_count_1h"] == "the event names no device"
    assert "device_count_1h" not in vectors[2].missing


def test_an_event_that_comes_too_late_has_no_windows_and_says_so_and_the_next_one_sees_it() -> None:
    reader = Reader(MODULE, CONTRACTS[0])
    state = MemoryState(reader.layout)
    columns = random_columns(1, 3) | {"customer_id": ["c"] * 3}
    newest = columns["event_time"][0]
    columns["event_time"] = [newest, newest - 2 * DAY - 1, newest]
    vectors = [reader.vector(e, state.arrive(e), NOTHING) for e in events_of(columns)]
    assert vectors[1].missing["customer_count_30d"] == "the event came more than 2 days late"
    assert np.isnan(by_name(vectors[1])["customer_count_30d"])
    assert by_name(vectors[2])["customer_count_30d"] == 3


def test_a_customer_never_seen_has_the_contracts_empty_and_a_store_that_fails_gives_nothing() -> None:
    reader = Reader(MODULE, CONTRACTS[0])
    (event,) = events_of(random_columns(1, 1) | {"customer_id": ["c"]})
    view = MemoryState(reader.layout).arrive(event)
    new = by_name(reader.vector(event, view, NOTHING))
    assert new["total_orders"] == 0.0
    assert np.isnan(new["avg_order_value"])
    failed = Snapshot({}, {"total_orders": "the feature store timed out"})
    without = reader.vector(event, view, failed)
    assert np.isnan(by_name(without)["total_orders"])
    assert without.missing["total_orders"] == "the feature store timed out"
