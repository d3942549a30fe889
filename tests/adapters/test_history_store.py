"""History on disk: published whole or not at all, made once, the same however it is cut."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters import history_store
from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.training_store import read_training_set, training_set
from fradect.errors import InvalidInput, NotFound
from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.features.history import looked_at
from fradect.modules import contract_of, module_of
from fradect.types import DAY
from tests.features.factories_log import random_columns, random_outcomes, write_log
from training.dataset import Dataset

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = (contract_of(f"ecommerce/{name}") for name in ("standard", "handbook"))


def _log(home: Path, n: int = 300, **changes: Any) -> Places:
    columns = random_columns(7, n, late=0.1) | changes
    return write_log(home, columns, random_outcomes(7, columns), files=2)


def test_rows_are_the_events_in_order_of_their_numbers(tmp_path: Path) -> None:
    columns = random_columns(7, 300)
    numbers = np.random.default_rng(0).permutation(300) + 1
    places = write_log(tmp_path, columns | {"seq": numbers.tolist()}, random_outcomes(7, columns))
    table = pq.read_table(build_features(places, MODULE, STANDARD).path)
    assert table["seq"].to_pylist() == list(range(1, 301))
    order = np.argsort(numbers)
    called = Pseudonyms(places).column(pa.array(columns["customer_id"], pa.string())).to_pylist()
    for name, held in (("event_id", [f"e{i}" for i in range(1, 301)]), ("customer_id", called)):
        assert table[name].to_pylist() == [held[i] for i in order]
    assert table["created"].equals(table["event_time"])
    kept = [feature.name for feature in STANDARD if feature.kind is not Kind.BATCH]
    assert sorted(table.column_names[5:]) == sorted(kept)


def test_the_cut_into_partitions_and_stretches_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_VAULT_KEY", base64.b64encode(bytes(32)).decode())
    whole = pq.read_table(build_features(_log(tmp_path / "a"), MODULE, STANDARD).path)
    monkeypatch.setattr(history_store, "ROWS_PER_PARTITION", 37)
    monkeypatch.setattr(history_store, "ROWS_PER_STRETCH", 41)
    cut = pq.read_table(build_features(_log(tmp_path / "b"), MODULE, STANDARD).path)
    for name in whole.column_names:
        column, other = whole[name], cut[name]
        if name in STANDARD.names:
            assert column.to_numpy().tobytes() == other.to_numpy().tobytes(), name
        else:
            assert column.equals(other)


def test_a_log_without_outcomes_has_empty_outcome_windows(tmp_path: Path) -> None:
    places = write_log(tmp_path, random_columns(7, 50))
    table = pq.read_table(build_features(places, MODULE, HANDBOOK).path)
    assert set(table["merchant_matured_30d"].to_pylist()) == {0.0}
    assert set(table["merchant_fraud_share_30d"].to_pylist()) == {0.0}


def test_what_is_made_is_reused_until_the_log_changes(tmp_path: Path) -> None:
    places = _log(tmp_path)
    assert not build_features(places, MODULE, HANDBOOK).reused
    assert build_features(places, MODULE, HANDBOOK).reused
    assert not build_features(places, MODULE, STANDARD).reused
    more = pq.read_table(places.log / "events" / "part-00001.parquet")
    seq = more["seq"].to_numpy() + 1000
    more = more.set_column(0, "seq", [seq]).set_column(1, "event_id", [[f"x{i}" for i in seq]])
    pq.write_table(more, places.log / "events" / "part-00002.parquet")
    again = build_features(places, MODULE, HANDBOOK)
    assert not again.reused
    assert again.rows == 300 + more.num_rows == pq.read_metadata(again.path).num_rows


def test_a_run_that_fails_leaves_what_was_published_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = _log(tmp_path)
    published = build_features(places, MODULE, STANDARD).path
    before = published.read_bytes()
    (places.log / "outcomes" / "part-00000.parquet").unlink()

    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(history_store, "complete", fail)
    with pytest.raises(RuntimeError):
        build_features(places, MODULE, STANDARD)
    assert published.read_bytes() == before
    assert [path.name for path in published.parent.iterdir()] == [published.name]
    assert not list((tmp_path / "tmp").iterdir())


def test_numbers_given_twice_are_refused(tmp_path: Path) -> None:
    places = _log(tmp_path, seq=[1, 1, *range(3, 301)])
    with pytest.raises(InvalidInput, match="repeat"):
        build_features(places, MODULE, HANDBOOK)


def test_nothing_imported_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="import or simulate"):
        build_features(Places(tmp_path, "ecommerce", "default"), MODULE, HANDBOOK)


@pytest.mark.parametrize("tenant", ["", "../x", "a/b", ".hidden", "a" * 65])
def test_a_tenants_name_never_leaves_its_folder(tenant: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="tenant"):
        Places(tmp_path, "ecommerce", tenant)


@pytest.mark.parametrize(
    ("aggregate", "of"), [(Aggregate.SUM, "age"), (Aggregate.MAX, "device_id"), (Aggregate.DISTINCT, "signup_at")]
)
def test_windows_add_up_money_and_count_texts_and_nothing_else(aggregate: Aggregate, of: str) -> None:
    feature = Feature("x", Kind.LIVE, "", "", Window("customer", aggregate, DAY, of=of))
    with pytest.raises(InvalidInput, match=f"'x' asks for the {aggregate} of '{of}'"):
        looked_at(MODULE, Contract("c", "ecommerce", (feature,), ()), "customer")


def test_a_training_set_in_memory_is_what_was_written(tmp_path: Path) -> None:
    places = _log(tmp_path)
    build_features(places, MODULE, STANDARD)
    build_snapshots(places, MODULE, STANDARD)
    built = training_set(places, MODULE, STANDARD)
    assert training_set(places, MODULE, STANDARD).reused
    written = pq.read_table(built.path)
    dataset = Dataset(**read_training_set(built.path, MODULE, STANDARD))
    assert dataset.names == STANDARD.names
    for j, name in enumerate(STANDARD.names):
        assert np.array_equal(dataset.matrix[:, j], written[name].to_numpy(), equal_nan=True)
    assert dataset.labelled.tolist() == [value is not None for value in written["label"].to_pylist()]
    assert dataset.label.tolist() == [bool(value) for value in written["label"].to_pylist()]
    assert dataset.protected["age"].tolist() == written["age"].to_pylist()
    same = {(c, x) for c, x in zip(dataset.customer.tolist(), written["customer_id"].to_pylist(), strict=True)}
    assert len({code for code, _ in same}) == len({name for _, name in same}) == len(same)
    assert (-1, None) in same


def test_a_training_set_without_features_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="materialise"):
        training_set(_log(tmp_path), MODULE, STANDARD)
