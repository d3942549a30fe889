"""Canonical logs for tests: what an import would have written, from columns that a test chooses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.places import Places
from fradect.features.globe import place_at
from fradect.modules import module_of
from fradect.modules.declaration import FieldType, Module
from fradect.types import DAY, SECOND, Event, Value

START = 1_700_000_000 * SECOND
MOMENT = pa.timestamp("us", tz="UTC")
KEYS = {
    "seq": pa.int64(),
    "event_id": pa.string(),
    "tenant_id": pa.string(),
    "module": pa.string(),
    "event_time": MOMENT,
    "observed_at": MOMENT,
}
TYPES = {
    FieldType.MONEY: pa.int64(),
    FieldType.PLACE: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.TIME: MOMENT,
}
# The first stands for an unknown one; two in one city, one far away, one at the pole.
PLACES_SEEN = (-1, place_at(55.75, 37.61), place_at(55.8, 37.5), place_at(-33.87, 151.2), place_at(90.0, 0.0))
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


def random_columns(seed: int, n: int, *, late: float = 0.0, span: int = 40 * DAY) -> dict[str, list[Any]]:
    """Purchases of a few customers, cards and devices, some of which are unknown; times in whole seconds, so that
    some are equal. A share of them arrives late: its number is higher than its time would have it."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.integers(0, span // SECOND, n)) * SECOND + START
    delayed = rng.random(n) < late
    time = np.where(delayed, np.maximum(time - rng.integers(0, 3 * DAY, n), START), time)

    def some(kind: str, many: int, unknown: float) -> list[str | None]:
        names = rng.integers(0, many, n)
        return [None if absent else f"{kind}{i}" for i, absent in zip(names, rng.random(n) < unknown, strict=True)]

    countries = np.array(["RU", "DE", "KZ", None], object)
    return {
        "event_time": time.tolist(),
        "amount": rng.integers(0, 90_000, n).tolist(),
        "amount_base": rng.integers(0, 90_000, n).tolist(),
        "currency": ["RUB"] * n,
        "customer_id": some("c", max(n // 25, 2), 0.03),
        "merchant_id": some("m", max(n // 60, 2), 0.0),
        "device_id": some("d", max(n // 20, 2), 0.1),
        "card_token": some("k", max(n // 15, 2), 0.3),
        "shipping_address_token": some("a", max(n // 20, 2), 0.2),
        "payment_method": rng.choice(np.array(["card", "wallet", "barter", None], object), n).tolist(),
        "channel": rng.choice(np.array(["web", "app", None], object), n).tolist(),
        "ip_country": rng.choice(countries, n).tolist(),
        "billing_country": rng.choice(countries, n).tolist(),
        "shipping_country": rng.choice(countries, n).tolist(),
        "signup_at": [None if i % 7 == 0 else int(t) - int(rng.integers(0, 90 * DAY)) for i, t in enumerate(time)],
        "sex": rng.choice(np.array(["f", "m", None], object), n).tolist(),
        "age": [None if i % 5 == 0 else float(rng.integers(18, 80)) for i in range(n)],
        "ip": some("ip", max(n // 20, 2), 0.1),
        "ip_place": [None if i == 0 else int(PLACES_SEEN[i]) for i in rng.integers(0, len(PLACES_SEEN), n)],
    }


def random_outcomes(seed: int, columns: Mapping[str, Any], share: float = 0.9) -> dict[str, Any]:
    """Fraud outcomes of most events and returns of some, each known between at once and twelve days later."""
    rng = np.random.default_rng(seed + 1)
    time = np.array(columns["event_time"], np.int64)
    judged = np.flatnonzero(rng.random(time.size) < share)
    returned = np.flatnonzero(rng.random(time.size) < 0.2)
    at = np.concatenate([judged, returned])
    return {
        "seq": (at + 1).tolist(),
        "kind": ["fraud"] * judged.size + ["return"] * returned.size,
        "value": (rng.random(at.size) < 0.3).tolist(),
        "known_at": (time[at] + rng.integers(0, 12 * DAY // SECOND, at.size) * SECOND).tolist(),
    }


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
