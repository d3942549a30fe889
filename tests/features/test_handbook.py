"""The contract `ecommerce/handbook` against the features the Fraud Detection Handbook published."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from fradect.adapters.history_store import build_features
from fradect.modules import contract_of, module_of
from fradect.types import DAY
from tests.features.factories_log import write_log

SPANS = ((1, "1d"), (7, "7d"), (30, "30d"))
EXACT = {
    "TX_DURING_WEEKEND": "weekend",
    "TX_DURING_NIGHT": "night",
    **{f"CUSTOMER_ID_NB_TX_{days}DAY_WINDOW": f"customer_count_{span}" for days, span in SPANS},
    **{f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW": f"merchant_matured_{span}" for days, span in SPANS},
}
CLOSE = {  # ours, its units in one of theirs, and from where on the tolerance is relative (see _differing)
    **{f"CUSTOMER_ID_AVG_AMOUNT_{d}DAY_WINDOW": (f"customer_amount_mean_{s}", 100.0, 1.0) for d, s in SPANS},
    **{f"TERMINAL_ID_RISK_{d}DAY_WINDOW": (f"merchant_fraud_share_{s}", 1.0, 0.0) for d, s in SPANS},
}
# Two transactions of one customer in one second: the book's sort is unstable and put these the other way round
# (it kept the order of the three other such pairs in these weeks). Which of simultaneous
# events came first is the log's to say.
SWAPPED = (1_240_489, 1_240_490)


def _import(home: Path, source: Path) -> Any:
    raw = pq.read_table(source)
    order = np.arange(raw.num_rows)
    order[list(SWAPPED)] = order[list(reversed(SWAPPED))]
    raw = raw.take(order)
    time = raw["TX_DATETIME"].cast("timestamp[us]").cast("int64").to_numpy()
    n = raw.num_rows
    events = {
        "event_time": time,
        "event_id": raw["TRANSACTION_ID"].cast("string").combine_chunks(),
        "customer_id": raw["CUSTOMER_ID"].cast("string").combine_chunks(),
        "merchant_id": raw["TERMINAL_ID"].cast("string").combine_chunks(),
        "amount_base": np.rint(raw["TX_AMOUNT"].to_numpy() * 100).astype(np.int64),
    }
    outcomes = {
        "seq": np.arange(1, n + 1),
        "event_id": events["event_id"],
        "event_time": time,
        "known_at": time + 7 * DAY,
        "kind": ["fraud"] * n,
        "value": raw["TX_FRAUD"].to_numpy().astype(bool),
    }
    return write_log(home, events, outcomes, files=3)


@pytest.fixture(scope="module")
def both(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Published and our features of the same transactions, row by row."""
    places = _import(tmp_path_factory.mktemp("home"), shared_data / "handbook" / "transactions.parquet")
    built = build_features(places, module_of("ecommerce"), contract_of("ecommerce/handbook"))
    published = pq.read_table(shared_data / "handbook" / "published_features.parquet")
    ours = pq.read_table(built.path)
    row_of = {int(event_id): row for row, event_id in enumerate(ours["event_id"].to_pylist())}
    return published, ours.take([row_of[i] for i in published["TRANSACTION_ID"].to_pylist()])


def test_fourteen_published_features_are_reproduced(both: tuple[Any, Any]) -> None:
    published, ours = both
    assert published.num_rows == 201_295
    wrong = {theirs: _differing(published[theirs], ours[name]) for theirs, name in EXACT.items()}
    for theirs, (name, scale, floor) in CLOSE.items():
        wrong[theirs] = _differing(published[theirs], ours[name], scale, 1e-9, floor)
    assert wrong == dict.fromkeys((*EXACT, *CLOSE), 0)
    assert len(wrong) == 14


def _differing(theirs: Any, ours: Any, scale: float = 1.0, tolerance: float = 0.0, floor: float = 0.0) -> int:
    """Rows apart by more than the tolerance, which is relative where values exceed `floor`.

    The book's running sums leave up to 2e-11 cents where the exact mean is nothing: means are relative from a
    cent on.
    """
    expected: npt.NDArray[np.float64] = theirs.to_numpy().astype(np.float64) * scale
    limit = tolerance * np.maximum(np.abs(expected), floor)
    return int((~(np.abs(ours.to_numpy() - expected) <= limit)).sum())
