"""The batch, stage by stage, on a small simulated history."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.evaluate import evaluate
from flows.evidence import Candidate, Measured, Verdicts, leave, recall
from flows.ingest import ingest, moment
from flows.materialise import materialise
from flows.monitor import drift
from flows.pipeline import pipeline
from flows.promote import promote
from flows.train import train
from flows.validate import validate
from flows.wiring import workshop
from fradect.errors import InvalidInput, NotFound, Refused
from fradect.types import Verdict
from tests.factories_pickles import pickles_under


@pytest.fixture(scope="module")
def trained_home(made_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose pipeline has run to the end once."""
    home = tmp_path_factory.mktemp("trained") / "home"
    shutil.copytree(made_home, home)
    before = os.environ.get("FRADECT_HOME")
    os.environ["FRADECT_HOME"] = str(home)
    try:
        outcome = pipeline(str(home / "raw" / "simulated"), "simulator", None, 2, 3)
    finally:
        os.environ.pop("FRADECT_HOME")
        if before is not None:
            os.environ["FRADECT_HOME"] = before
    assert outcome.promoted, outcome.reason
    return home


@pytest.fixture
def after_pipeline(trained_home: Path, home: Path) -> str:
    """FRADECT_HOME is a copy of that home; its champion."""
    shutil.copytree(trained_home, home)
    champion = workshop("ecommerce", "demo").releases.champion("ecommerce", "demo")
    assert champion is not None
    return champion


def test_the_pipeline_leaves_a_measured_champion_with_its_evidence(after_pipeline: str, home: Path) -> None:
    folder = home / "evidence" / after_pipeline
    measured = recall(folder, Measured)
    assert {"roc_auc", "average_precision", "money_saved", "card_precision_100"} <= set(measured.metrics)
    value, low, high = measured.metrics["roc_auc"]
    assert None not in (value, low, high)
    assert sorted([value, low, high]) == [low, value, high]  # type: ignore[type-var]
    assert {v.gate for v in recall(folder, Verdicts).verdicts} == {"data", "improvement", "fairness", "replay"}
    assert (folder / "card.md").read_text().startswith(f"# Model card: {after_pipeline}")
    assert {p.name for p in (folder / "plots").iterdir()} >= {"roc.png", "precision_recall.png", "cost.png"}
    assert measured.mlflow_version == "1"
    assert pq.read_metadata(folder / "reference.parquet").num_rows > 100


def test_nothing_that_the_pipeline_writes_is_or_holds_a_pickle(trained_home: Path) -> None:
    """Log, features, Feast's stores, study, release, evidence, MLflow's database and artefacts, Prefect's."""
    kinds = {path.relative_to(trained_home).parts[0] for path in trained_home.rglob("*") if path.is_file()}
    assert {"log", "features", "feast", "releases", "evidence", "mlflow", "optuna.db"} <= kinds
    assert list((trained_home / "mlflow").rglob("model.json"))
    assert pickles_under(trained_home) == []


def test_training_twice_on_the_same_log_gives_the_same_release(after_pipeline: str) -> None:
    assert train("ecommerce", "demo", 2, 3) == after_pipeline


def test_a_release_that_is_not_better_than_the_champion_stays_a_candidate(after_pipeline: str, home: Path) -> None:
    other = train("ecommerce", "demo", 1, 4)
    assert other != after_pipeline
    evaluate("ecommerce", "demo", other, 4)
    verdicts = recall(home / "evidence" / other, Verdicts).verdicts
    worse = Verdict("improvement", "fail", "planted: it is worse")
    leave(home / "evidence" / other, Verdicts(other, [worse, *(v for v in verdicts if v.gate != "improvement")]))
    promoted, reason = promote("ecommerce", "demo", other)
    assert not promoted
    assert "planted: it is worse" in reason
    shop = workshop("ecommerce", "demo")
    assert shop.releases.champion("ecommerce", "demo") == after_pipeline
    assert recall(home / "evidence" / other, Measured).champion == after_pipeline
    assert (home / "evidence" / other / "card.md").exists()


def test_a_history_that_differs_from_the_live_path_cannot_be_promoted(after_pipeline: str) -> None:
    shop = workshop("ecommerce", "demo")
    path = shop.places.features(shop.contract)
    table = pq.read_table(path)
    tested = recall(shop.evidence(after_pipeline), Candidate).training.boundaries.chosen_at
    planted = table["customer_count_1d"].to_numpy().copy()
    planted[table["event_time"].cast("int64").to_numpy() >= tested] += 1
    column = table.column_names.index("customer_count_1d")
    pq.write_table(table.set_column(column, "customer_count_1d", [planted]), path)
    promoted, reason = promote("ecommerce", "demo", after_pipeline)
    assert not promoted
    assert "replay" in reason
    assert "customer_count_1d" in reason


def test_a_release_of_another_tenant_is_not_promoted(after_pipeline: str, home: Path) -> None:
    shutil.copytree(home / "log" / "ecommerce" / "demo", home / "log" / "ecommerce" / "other")
    with pytest.raises(InvalidInput, match="demo"):
        promote("ecommerce", "other", after_pipeline)


def test_validation_stops_the_run_and_names_the_rows(filled_home: Path) -> None:
    events = next((filled_home / "log" / "ecommerce" / "demo" / "events").glob("*.parquet"))
    table = pq.read_table(events)
    amounts = table["amount"].to_numpy().copy()
    amounts[5] = -1
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", [amounts]), events)
    with pytest.raises(Refused, match=table["event_id"][5].as_py()):
        validate("ecommerce", "demo")
    page = filled_home / "reports" / "ecommerce" / "demo" / "quality" / "events.html"
    assert page.exists()


def test_ingesting_twice_changes_nothing(filled_home: Path) -> None:
    folder = filled_home / "log"
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    report = ingest(str(filled_home / "raw" / "simulated"), "simulator")
    assert report.skipped == 70
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


def test_materialising_twice_leaves_what_is_up_to_date_alone(filled_home: Path) -> None:
    materialise("ecommerce", "demo")
    shop = workshop("ecommerce", "demo")
    before = shop.places.features(shop.contract).stat().st_mtime_ns
    materialise("ecommerce", "demo")
    assert shop.places.features(shop.contract).stat().st_mtime_ns == before


def test_drift_without_a_champion_says_what_to_do(filled_home: Path) -> None:
    with pytest.raises(NotFound, match="promote"):
        drift("ecommerce", "demo")


def test_evidence_comes_back_as_it_was_left(tmp_path: Path) -> None:
    found = Measured("rel_x", {"roc_auc": (0.5, None, None)}, {"APPROVE": 1}, 10, 1, "RUB")
    leave(tmp_path, found)
    assert recall(tmp_path, Measured) == found
    assert json.loads((tmp_path / "measured.json").read_text())["test_events"] == 10


@pytest.mark.parametrize(
    ("text", "micros"),
    [("1970-01-02", 86_400_000_000), ("1970-01-01T00:00:01Z", 1_000_000), ("1970-01-01T03:00:00.5+03:00", 500_000)],
)
def test_a_moment_without_an_offset_is_utc(text: str, micros: int) -> None:
    assert moment("until", text) == micros


def test_a_moment_that_is_none_names_the_option() -> None:
    with pytest.raises(InvalidInput, match="--until 'soon'"):
        moment("until", "soon")
