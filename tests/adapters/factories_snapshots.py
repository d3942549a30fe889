"""Customer snapshots to put online: a home with a log, and rows added to what was built from it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.snapshot_store import build_snapshots
from fradect.modules import contract_of, module_of
from fradect.types import DAY
from tests.features.factories_log import START, random_columns, random_outcomes, write_log

MODULE, STANDARD = module_of("ecommerce"), contract_of("ecommerce/standard")
BATCH = ["total_orders", "avg_order_value", "return_rate", "fraud_history"]
END = (START // DAY + 60) * DAY
MOMENT = pa.timestamp("us", tz="UTC")


def written(home: Path, n: int = 4000, seed: int = 5) -> Places:
    """A log with unknown customers and, times being few, many equal ones; features and snapshots built."""
    columns = random_columns(seed, n, late=0.05)
    columns["event_time"] = [time // (DAY // 48) * (DAY // 48) for time in columns["event_time"]]
    places = write_log(home, columns, random_outcomes(seed, columns))
    build_features(places, MODULE, STANDARD)
    build_snapshots(places, MODULE, STANDARD)
    return places


def called(places: Places, customer: str) -> str:
    """A customer's name in everything that is derived of the log."""
    return Pseudonyms(places).of(customer)


def append_snapshots(places: Places, rows: list[dict[str, Any]]) -> None:
    """Rows of customer (a pseudonym), midnight, created, and one number that all four features take."""
    path = places.snapshots(STANDARD)
    held = pq.read_table(path)
    cells = [{"customer_id": r["customer"], **dict.fromkeys(BATCH, float(r["value"]))} for r in rows]
    added = pa.table(
        {
            "customer_id": pa.array([cell["customer_id"] for cell in cells]),
            "event_timestamp": pa.array([row["midnight"] for row in rows], pa.int64()).cast(MOMENT),
            "created": pa.array([row["created"] for row in rows], pa.int64()).cast(MOMENT),
            **{name: pa.array([cell[name] for cell in cells]) for name in BATCH},
        }
    )
    pq.write_table(pa.concat_tables([held, added]).replace_schema_metadata(held.schema.metadata), path)
