"""Canonical logs for tests: what an import would have written, from columns that a test chooses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.places import Places
from fradect.modules import module_of
from fradect.modules.declaration import FieldType, Module
from fradect.types import Event, Value

MOMENT = pa.timestamp("us", tz="UTC")
KEYS = {
    "seq": pa.int64(),
    "event_id": pa.string(),
    "tenant_id": pa.string(),
    "module": pa.string(),
    "event_time": MOMENT,
    "observed_at": MOMENT,
}
TYPES = {FieldType.MONEY: pa.int64(), FieldType.NUMBER: pa.float64(), FieldType.TIME: MOMENT}
OUTCOMES = pa.schema(
    {
        "event_id": pa.string(),
        "seq": pa.int64(),
        "kind": pa.string(),
        "value": pa.bool_(),
        "event_time": MOMENT,
        "known_at": MOMENT,
    }
)


def schema_of(module: Module) -> pa.Schema:
    return pa.schema({**KEYS, **{n: TYPES.get(kind, pa.string()) for n, kind in module.columns.items()}})


def write_log(
    home: Path,
    columns: Mapping[str, Any],
    outcomes: Mapping[str, Any] | None = None,
    *,
    tenant: str = "default",
    files: int = 1,
) -> Places:
    """Events in the order given (`event_time` is needed, fields that are absent are null), and outcomes.

    Outcomes name their event by `seq`; `event_id` and `event_time` are looked up.
    """
    module = module_of("ecommerce")
    n = len(columns["event_time"])
    held: dict[str, Any] = {"seq": range(1, n + 1), "tenant_id": [tenant] * n, "module": [module.name] * n}
    held["event_id"] = [f"e{i}" for i in range(1, n + 1)]
    held |= {"observed_at": columns["event_time"], **columns}
    schema = schema_of(module)
    arrays = [_array(held[f.name], f.type) if f.name in held else pa.nulls(n, f.type) for f in schema]
    places = Places(home, module.name, tenant)
    _write(pa.Table.from_arrays(arrays, schema=schema), places.log / "events", files)
    if outcomes is not None:
        at = [int(seq) - 1 for seq in outcomes["seq"]]
        held = {"event_id": [held["event_id"][i] for i in at], "event_time": _picked(held["event_time"], at)}
        held |= outcomes
        arrays = [_array(held[f.name], f.type) for f in OUTCOMES]
        _write(pa.Table.from_arrays(arrays, schema=OUTCOMES), places.log / "outcomes", 1)
    return places


def events_of(columns: Mapping[str, Sequence[Value]]) -> list[Event]:
    """The same events one by one, as requests would bring them."""
    module = module_of("ecommerce")
    times = [int(str(time)) for time in columns["event_time"]]
    return [
        Event(
            f"e{i + 1}",
            "default",
            module.name,
            time,
            time,
            {name: column[i] for name, column in columns.items() if name in module.columns},
        )
        for i, time in enumerate(times)
    ]


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _picked(values: Any, at: Sequence[int]) -> list[int]:
    return [int(values[i]) for i in at]


def _write(table: pa.Table, folder: Path, files: int) -> None:
    folder.mkdir(parents=True)
    size = -(-table.num_rows // files)
    for i in range(files):
        pq.write_table(table.slice(i * size, size), folder / f"part-{i:05d}.parquet")
