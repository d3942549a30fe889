"""Feast as registry, oracle of the point-in-time join, and what its own command line finds."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.feast_store import FeastStore, service_name
from fradect.adapters.places import Places
from fradect.adapters.training_store import training_set
from fradect.features.snapshots import TTL
from fradect.modules import contract_of
from fradect.settings import PROJECT
from fradect.types import DAY, SECOND
from tests.adapters.factories_snapshots import BATCH, END, MODULE, STANDARD, append_snapshots, called, written
from tests.features.factories_log import START


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
    places = written(tmp_path_factory.mktemp("home"))
    ours = pq.read_table(places.features(STANDARD)).to_pandas()
    ten, eleven = called(places, "c10"), called(places, "c11")
    young, old = (ours.query(f"customer_id == '{c}'").iloc[0] for c in (ten, eleven))
    edges = [
        {"customer": name, "midnight": time - TTL - late, "created": time - TTL, "value": 77}
        for name, late in ((ten, 0), (eleven, 1))
        for time in [round(ours.query(f"customer_id == '{name}'").event_time.min().timestamp()) * SECOND]
    ]
    assert young.customer_id != old.customer_id
    append_snapshots(places, [*_restated(places), *edges])
    mine = pq.read_table(training_set(places, MODULE, STANDARD).path).to_pandas()
    store = FeastStore(places, STANDARD, f"sqlite:///{places.home}")
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
    places, ours, _ = joined
    first = ours.sort_values("event_time").groupby("customer_id").first()
    assert first.loc[called(places, "c10"), "total_orders"] == 77
    assert first.loc[called(places, "c11"), "total_orders"] == 0


def test_labels_come_with_the_moment_they_became_known(joined: Any) -> None:
    places, ours, _ = joined
    outcomes = pq.read_table(places.log / "outcomes" / "part-00000.parquet").to_pandas()
    fraud = outcomes[outcomes["kind"] == "fraud"].set_index("event_id")
    labelled = ours.dropna(subset="label").set_index("event_id")
    assert len(labelled) == len(fraud) < len(ours)
    assert (labelled["label"].astype(bool) == fraud["value"].loc[labelled.index]).all()
    assert (labelled["label_known_at"] == fraud["known_at"].loc[labelled.index]).all()


def test_a_planted_value_known_too_late_is_used_by_neither(tmp_path: Path) -> None:
    places = written(tmp_path, 300)
    before = pq.read_table(training_set(places, MODULE, STANDARD).path)
    time = before["event_time"].cast(pa.int64()).to_numpy()
    customers = {c for c in before["customer_id"].to_pylist() if c}
    planted = [
        {"customer": c, "midnight": START - DAY, "created": int(time.max()) + 1, "value": 666_666} for c in customers
    ] + [{"customer": c, "midnight": END, "created": START - DAY, "value": 666_666} for c in customers]
    append_snapshots(places, planted)
    after = pq.read_table(training_set(places, MODULE, STANDARD).path)
    pd.testing.assert_frame_equal(after.to_pandas(), before.to_pandas())
    store = FeastStore(places, STANDARD, f"sqlite:///{places.home}")
    store.apply()
    wanted = before.select(["event_id", "customer_id", "event_time"]).to_pandas()
    theirs = store.training_set_feast(wanted.rename(columns={"event_time": "event_timestamp"}))
    assert not (theirs[BATCH] == 666_666).any(axis=None)


def test_apply_is_idempotent_and_a_contract_without_batch_features_has_no_customer_view(tmp_path: Path) -> None:
    handbook = contract_of("ecommerce/handbook")
    store = FeastStore(Places(tmp_path, "ecommerce", "acme"), handbook, f"sqlite:///{tmp_path}")
    assert store.apply() == store.apply() == service_name(handbook)
    assert service_name(handbook).startswith("ecommerce_handbook_")
    assert not store.materialise(END)


def test_feasts_own_command_line_finds_nothing_new_and_nothing_to_delete(tmp_path: Path) -> None:
    places = Places(tmp_path, "ecommerce", "default")
    FeastStore(places, STANDARD, f"sqlite:///{tmp_path}").apply()
    environment = {**os.environ, "FRADECT_HOME": str(places.home)}
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(PROJECT / "feature_repo"), "apply"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Created feature" not in done.stdout
    assert "Created entity" not in done.stdout
    assert "Deleted" not in done.stdout
