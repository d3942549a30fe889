"""Who was erased and comes back is a new customer in every window of their own; on a device that both used they are two
in history and in a state made anew, and one in a live state that saw both, until the window has passed."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fradect.adapters.history_store import build_features
from fradect.adapters.state_sqlite import SqliteState
from fradect.features.layout import layout_of
from fradect.features.live import Reader, Snapshot
from fradect.modules import contract_of, module_of
from fradect.types import HOUR, Event
from tests.features.factories_log import START, events_of, random_columns, write_log

MODULE, STANDARD = module_of("ecommerce"), contract_of("ecommerce/standard")
ASKED = ("customer_count_30d", "customer_distinct_device_30d", "device_count_1d", "device_distinct_customer_30d")
CAME_BACK = {"event_time": [START, START + HOUR], "customer_id": ["c1", "c1"], "device_id": ["d1", "d1"]}
"""Two purchases; the customer was erased between them."""
RE_FILED = CAME_BACK | {"customer_id": ["erased_1", "c1"]}


def _seen(state: SqliteState, event: Event) -> dict[str, float]:
    vector = Reader(MODULE, STANDARD).vector(event, state.arrive(event).view, Snapshot({}, {}))
    values = dict(zip(vector.names, vector.values, strict=True))
    return {name: values[name] for name in ASKED}


def _live(columns: dict[str, Any], erased: str | None) -> dict[str, float]:
    first, second = events_of(random_columns(1, 2) | columns)
    state = SqliteState("", scratch=True)
    state.adopt(first.tenant_id, layout_of(MODULE, STANDARD))
    state.arrive(first)
    if erased is not None:
        assert state.forget(first.tenant_id, "ecommerce", "customer", erased)
    found = _seen(state, second)
    state.close()
    return found


def test_one_who_comes_back_counts_once_on_a_device_live_and_twice_in_history(tmp_path: Path) -> None:
    places = write_log(tmp_path, random_columns(1, 2) | RE_FILED)
    history = pq.read_table(build_features(places, MODULE, STANDARD).path).to_pylist()[1]
    anew = dict(zip(ASKED, (1, 1, 2, 2), strict=True))
    assert {name: history[name] for name in ASKED} == anew
    assert _live(RE_FILED, None) == anew, "a state that is rebuilt from the log"
    assert _live(CAME_BACK, "c1") == anew | {"device_distinct_customer_30d": 1}
