"""Feast as registry, oracle of the point-in-time join, and online store of customer snapshots."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.feast_store import FeastStore, service_name
from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.training_store import training_set
from fradect.errors import NotFound, Refused
from fradect.features.snapshots import TTL
from fradect.modules import contract_of, module_of
from fradect.settings import PROJECT
from fradect.types import DAY, SECOND, Event
from tests.features.factories_log import START, events_of, random_columns, random_outcomes, write_log

MODULE, STANDARD = module_of("ecommerce"), contract_of("ecommerce/standard")
BATCH = ["total_orders", "avg_order_value", "return_rate", "fraud_history"]
END = (START // DAY + 60) * DAY
MOMENT = pa.timestamp("us", tz="UTC")


def _written(home: Path, n: int = 4000, seed: int = 5) -> Places:
    """A log with unknown customers and, times being few, many equal ones; features and snapshots built."""
    columns = random_columns(seed, n, late=0.05)
    columns["event_time"] = [time // (DAY // 48) * (DAY // 48) for time in columns["event_time"]]
    places = write_log(home, columns, random_outcomes(seed, columns))
    build_features(places, MODULE, STANDARD)
    build_snapshots(places, MODULE, STANDARD)
    return places


def _append_snapshots(places: Places, rows: list[dict[str, Any]]) -> None:
    """Rows of customer, midnight, created, and one number that all four features take."""
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


def _restated(places: Places) -> list[dict[str, Any]]:
    """A third of the snapshots corrected, at once or days later, and some rewritten once more."""
    rng = np.random.default_rng(0)
    held = pq.read_table(places.snapshots(STANDARD))
    midnights = held["event_timestamp"].cast(pa.int64()).to_numpy()
    rows = [
        {"customer": customer, "midnight": midnight, "created": midnight + int(later) * DAY // 4, "value": 1000 + i}
        for i, (customer, midnight) in enumerate(zip(held["customer_id"].to_pylist(), midnights.tolist(), strict=True))
        for later in rng.integers(1, 60, rng.integers(0, 3))
        if i % 3 == 0
    ]
    unique = {(row["customer"], row["midnight"], row["created"]): row for row in rows}
    return list(unique.values())


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, pd.DataFrame, pd.DataFrame]:
    """Our training set and Feast's over the same files, both by event id."""
    places = _written(tmp_path_factory.mktemp("home"))
    ours = pq.read_table(places.features(STANDARD)).to_pandas()
    young, old = (ours.query(f"customer_id == '{c}'").iloc[0] for c in ("c10", "c11"))
    edges = [
        {"customer": name, "midnight": time - TTL - late, "created": time - TTL, "value": 77}
        for name, late in (("c10", 0), ("c11", 1))
        for time in [round(ours.query(f"customer_id == '{name}'").event_time.min().timestamp()) * SECOND]
    ]
    assert young.customer_id != old.customer_id
    _append_snapshots(places, [*_restated(places), *edges])
    mine = pq.read_table(training_set(places, MODULE, STANDARD).path).to_pandas()
    store = FeastStore(places, MODULE, STANDARD)
    store.apply()
    wanted = mine[["event_id", "customer_id", "event_time"]].rename(columns={"event_time": "event_timestamp"})
    theirs = store.training_set_feast(wanted).set_index("event_id").loc[mine["event_id"]].reset_index()
    return places, mine, theirs


def test_our_join_is_feasts_row_by_row(joined: Any) -> None:
    _, ours, theirs = joined
    assert len(ours) == len(theirs) == 4000
    assert tuple(theirs.columns[3:]) == STANDARD.names
    wrong = {
        name: int((~((ours[name] == theirs[name]) | (ours[name].isna() & theirs[name].isna()))).sum())
        for name in STANDARD.names
    }
    assert wrong == dict.fromkeys(STANDARD.names, 0)


def test_the_comparison_covers_what_it_is_about(joined: Any) -> None:
    _, ours, _ = joined
    assert ours["customer_id"].isna().sum() > 50
    assert ours.duplicated(["customer_id", "event_time"]).sum() > 25
    assert (ours["total_orders"] >= 1000).sum() > 60  # saw a corrected snapshot
    assert ours["total_orders"].between(1, 999).sum() > 200  # did not


def test_a_snapshot_counts_up_to_its_time_to_live_and_not_a_moment_longer(joined: Any) -> None:
    _, ours, _ = joined
    first = ours.sort_values("event_time").groupby("customer_id").first()
    assert first.loc["c10", "total_orders"] == 77
    assert first.loc["c11", "total_orders"] == 0


def test_labels_come_with_the_moment_they_became_known(joined: Any) -> None:
    places, ours, _ = joined
    outcomes = pq.read_table(places.log / "outcomes" / "part-00000.parquet").to_pandas()
    fraud = outcomes[outcomes["kind"] == "fraud"].set_index("event_id")
    labelled = ours.dropna(subset="label").set_index("event_id")
    assert len(labelled) == len(fraud) < len(ours)
    assert (labelled["label"].astype(bool) == fraud["value"].loc[labelled.index]).all()
    assert (labelled["label_known_at"] == fraud["known_at"].loc[labelled.index]).all()


def test_a_planted_value_known_too_late_is_used_by_neither(tmp_path: Path) -> None:
    places = _written(tmp_path, 300)
    before = pq.read_table(training_set(places, MODULE, STANDARD).path)
    time = before["event_time"].cast(pa.int64()).to_numpy()
    customers = {c for c in before["customer_id"].to_pylist() if c}
    planted = [
        {"customer": c, "midnight": START - DAY, "created": int(time.max()) + 1, "value": 666_666} for c in customers
    ] + [{"customer": c, "midnight": END, "created": START - DAY, "value": 666_666} for c in customers]
    _append_snapshots(places, planted)
    after = pq.read_table(training_set(places, MODULE, STANDARD).path)
    pd.testing.assert_frame_equal(after.to_pandas(), before.to_pandas())
    store = FeastStore(places, MODULE, STANDARD)
    store.apply()
    wanted = before.select(["event_id", "customer_id", "event_time"]).to_pandas()
    theirs = store.training_set_feast(wanted.rename(columns={"event_time": "event_timestamp"}))
    assert not (theirs[BATCH] == 666_666).any(axis=None)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Places, FeastStore]:
    places = _written(tmp_path_factory.mktemp("home"), 600)
    store = FeastStore(places, MODULE, STANDARD)
    store.apply()
    assert store.materialise(END)
    return places, store


def _event(customer: str | None, time: int = END, tenant: str = "default") -> Event:
    (event,) = events_of({"event_time": [time], "customer_id": [customer]})
    return replace(event, tenant_id=tenant)


def _newest(places: Places) -> dict[str, dict[str, float]]:
    rows = pq.read_table(places.snapshots(STANDARD)).to_pandas().sort_values(["event_timestamp", "created"])
    return {str(row["customer_id"]): row[BATCH].to_dict() for _, row in rows.groupby("customer_id").tail(1).iterrows()}


def test_online_every_customer_has_the_newest_snapshot(filled: Any) -> None:
    places, store = filled
    newest = _newest(places)
    assert len(newest) > 20
    for customer, values in newest.items():
        snapshot = store.read(_event(customer))
        assert snapshot.values == values
        assert not snapshot.missing


def test_a_customer_never_seen_has_no_values_and_nothing_missing(filled: Any) -> None:
    _, store = filled
    snapshot = store.read(_event("nobody"))
    assert not snapshot.values
    assert not snapshot.missing


def test_an_event_without_a_customer_says_so(filled: Any) -> None:
    _, store = filled
    assert store.read(_event(None)).missing == dict.fromkeys(BATCH, "the event names no customer")


def test_a_store_left_behind_is_stale_and_one_just_fresh_is_not(filled: Any) -> None:
    _, store = filled
    assert not store.read(_event("c1", END + 7 * DAY)).missing
    missing = store.read(_event("c1", END + 7 * DAY + 1)).missing
    assert set(missing) == set(BATCH)
    assert "7 days old" in missing["total_orders"]


def test_another_tenants_event_is_refused(filled: Any) -> None:
    _, store = filled
    with pytest.raises(Refused, match="another tenant"):
        store.read(_event("c1", tenant="rival"))


def test_reads_from_many_threads_take_turns(filled: Any) -> None:
    places, store = filled
    newest = _newest(places)
    asked = [customer for customer in newest for _ in range(5)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda customer: store.read(_event(customer)).values, asked))
    assert read == [newest[customer] for customer in asked]


def test_materialisation_is_incremental_until_the_past_is_rewritten(tmp_path: Path) -> None:
    places = _written(tmp_path, 300)
    store = FeastStore(places, MODULE, STANDARD)
    with pytest.raises(NotFound, match="apply"):
        store.materialise(END)
    store.apply()
    assert store.read(_event("c1")).missing == dict.fromkeys(BATCH, "customer snapshots were never materialised")
    assert store.materialise(START + 10 * DAY)
    early = store.read(_event("c1", START + 10 * DAY)).values["total_orders"]
    assert store.materialise(END)
    assert store.read(_event("c1")).values["total_orders"] > early
    store.apply()
    assert not store.materialise(END)
    day = START // DAY * DAY
    _append_snapshots(places, [{"customer": "late", "midnight": day + DAY, "created": day + DAY, "value": 9}])
    assert store.materialise(END)
    assert store.read(_event("late")).values["total_orders"] == 9
    other = FeastStore(places, MODULE, STANDARD)
    assert other.read(_event("late")) == store.read(_event("late"))


def test_apply_is_idempotent_and_a_contract_without_batch_features_has_no_customer_view(tmp_path: Path) -> None:
    handbook = contract_of("ecommerce/handbook")
    store = FeastStore(Places(tmp_path, "ecommerce", "acme"), MODULE, handbook)
    assert store.apply() == store.apply() == service_name(handbook)
    assert service_name(handbook).startswith("ecommerce_handbook_")
    assert not store.materialise(END)
    snapshot = store.read(_event("c1", tenant="acme"))
    assert not snapshot.values
    assert not snapshot.missing


def test_features_that_the_store_does_not_hold_are_missing_by_name(filled: Any) -> None:
    places, _ = filled
    renamed = tuple(replace(f, name="orders_ever") if f.name == "total_orders" else f for f in STANDARD)
    store = FeastStore(places, MODULE, replace(STANDARD, features=renamed))
    snapshot = store.read(_event("c1"))
    assert snapshot.missing == {"orders_ever": "the feature store does not hold it"}
    assert set(snapshot.values) == set(BATCH) - {"total_orders"}


def test_feasts_own_command_line_finds_nothing_new_and_nothing_to_delete(filled: Any) -> None:
    places, _ = filled
    environment = {**os.environ, "FRADECT_HOME": str(places.home)}
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(PROJECT / "feature_repo"), "apply"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Created feature" not in done.stdout
    assert "Created entity" not in done.stdout
    assert "Deleted" not in done.stdout
