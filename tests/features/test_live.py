"""The same events as requests, one by one in the order they arrived, and as history: the same bits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fradect.adapters import history_store
from fradect.adapters.history_store import build_features
from fradect.features.contract import Contract, Kind
from fradect.features.live import Recent, Snapshot, vector
from fradect.features.windows import Entries, codes
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import FieldType
from fradect.types import Event
from tests.features.factories_log import events_of, random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
CONTRACTS = [contract_of(name) for name in ("ecommerce/standard", "ecommerce/handbook")]
NOTHING = Snapshot({}, {})


class _State:
    """What a live state holds after each arrival, with nothing clever about it."""

    def __init__(self, contract: Contract, outcomes: Mapping[str, Any]) -> None:
        self._contract = contract
        self._events: list[Event] = []
        self._outcomes = list(zip(*(outcomes[n] for n in ("seq", "kind", "value", "known_at")), strict=True))

    def arrive(self, event: Event) -> dict[str, Recent | None]:
        self._events.append(event)
        return {e: self._recent(event, MODULE.entities[e]) for e in self._contract.entities}

    def _recent(self, event: Event, field: str) -> Recent | None:
        key = event.fields.get(field)
        if key is None:
            return None
        since = event.event_time - self._contract.horizon
        mine = [(e.event_time, seq, e) for seq, e in enumerate(self._events, 1) if e.fields.get(field) == key]
        rows = sorted(row[:2] for row in mine if since < row[0] <= event.event_time)
        own = rows.index((event.event_time, len(self._events)))
        sources = {(str(w.outcome), w.delay) for _, w in self._contract.windows if w.outcome}
        return Recent(self._entries(rows), {s: self._matured(s, {seq for _, seq, _ in mine}) for s in sources}, own)

    def _entries(self, rows: list[tuple[int, int]]) -> Entries:
        values = {}
        for field in {w.of for _, w in self._contract.windows if w.of}:
            cells: list[Any] = [self._events[seq - 1].fields.get(field) for _, seq in rows]
            money = MODULE.columns[field] is FieldType.MONEY
            values[field] = np.array(cells, np.int64) if money else codes(cells)
        time, seq = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
        return Entries(np.zeros(len(rows), np.int64), time, seq, values)

    def _matured(self, source: tuple[str, int], mine: set[int]) -> Entries:
        kind, delay = source
        rows = sorted(
            (max(self._events[seq - 1].event_time + delay, known_at), seq, int(value))
            for seq, of, value, known_at in self._outcomes
            if of == kind and seq in mine
        )
        time, seq, value = (np.array([row[i] for row in rows], np.int64) for i in range(3))
        return Entries(np.zeros(len(rows), np.int64), time, seq, {kind: value})


def _live(contract: Contract, columns: dict[str, Any], outcomes: dict[str, Any]) -> list[tuple[float, ...]]:
    state = _State(contract, outcomes)
    return [vector(MODULE, contract, e, state.arrive(e), NOTHING).values for e in events_of(columns)]


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
    columns = random_columns(1, 3) | {"device_id": ["d", None, "d"]}
    state = _State(CONTRACTS[0], random_outcomes(1, columns, share=0.0))
    vectors = [vector(MODULE, CONTRACTS[0], e, state.arrive(e), NOTHING) for e in events_of(columns)]
    assert np.isnan(vectors[1].as_dict()["device_count_1h"])
    assert vectors[1].missing["device_count_1h"] == "the event names no device"
    assert "device_count_1h" not in vectors[2].missing


def test_a_customer_never_seen_has_the_contracts_empty_and_a_store_that_fails_gives_nothing() -> None:
    (event,) = events_of(random_columns(1, 1) | {"customer_id": ["c"]})
    recent = _State(CONTRACTS[0], random_outcomes(1, {"event_time": []})).arrive(event)
    new = vector(MODULE, CONTRACTS[0], event, recent, NOTHING).as_dict()
    assert new["total_orders"] == 0.0
    assert np.isnan(new["avg_order_value"])
    failed = Snapshot({}, {"total_orders": "the feature store timed out"})
    without = vector(MODULE, CONTRACTS[0], event, recent, failed)
    assert np.isnan(without.as_dict()["total_orders"])
    assert without.missing["total_orders"] == "the feature store timed out"
