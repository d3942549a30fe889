"""MLflow as people see it: one run a candidate, one version a release, an alias for the champion."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import xgboost as xgb

from fradect.adapters.mlflow_registry import CHALLENGER, CHAMPION, SHADOW, MlflowRegistry, RunFacts, model_name
from fradect.modules.ecommerce import MODULE, STANDARD
from fradect.policy import Policy
from fradect.release import Release, digests
from fradect.scoring import Calibrator

NAME = model_name("ecommerce", "shop")


def _booster() -> xgb.Booster:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, len(STANDARD.names)))
    return xgb.train({"objective": "binary:logistic", "nthread": 1}, xgb.DMatrix(rows, rows[:, 0] > 0), 3)


RELEASE = Release(
    module="ecommerce",
    contract=STANDARD,
    model=bytes(_booster().save_raw("json")),
    calibrator=Calibrator(1.0, 0.0),
    rulebook=b"{}",
    policy=Policy(200, 600, "EUR", MODULE.costs),
    engines={"xgboost-cpu": xgb.__version__},
)
RUN = RunFacts(
    release=RELEASE,
    tenant="shop",
    params={"eta": 0.1, "max_bin": 256},
    metrics={"average_precision": 0.5, "average_precision_low": 0.4},
    tags={"data_digest": "d" * 64},
    series={"trial_average_precision": [(0, 0.3), (1, 0.4), (2, 0.35)]},
    files={"card.md": b"# card", "plots/roc.png": b"png"},
    requirements=("xgboost-cpu==3.2.0",),
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    made = MlflowRegistry(tmp_path_factory.mktemp("home"))
    made.prepare()
    return made


def _client(registry: MlflowRegistry) -> Any:
    return mlflow.MlflowClient(tracking_uri=registry.url, registry_uri=registry.url)


def test_a_run_holds_parameters_measures_trials_digests_and_files(registry: MlflowRegistry) -> None:
    recorded = registry.record(RUN)
    client = _client(registry)
    run = client.get_run(recorded.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"eta": "0.1", "max_bin": "256"}
    assert run.data.metrics["average_precision_low"] == 0.4
    assert run.data.tags["data_digest"] == "d" * 64
    assert run.data.tags["contract_hash"] == STANDARD.hash
    steps = client.get_metric_history(recorded.run_id, "trial_average_precision")
    assert sorted((metric.step, metric.value) for metric in steps) == [(0, 0.3), (1, 0.4), (2, 0.35)]
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (folder / "card.md").read_bytes() == b"# card"
    assert (folder / "plots/roc.png").exists()
    assert {name: (folder / "release" / name).read_bytes() for name in RELEASE.parts()} == RELEASE.parts()
    assert (folder / "release/requirements.txt").read_text() == "xgboost-cpu==3.2.0\n"


def test_a_version_names_its_release_and_the_digest_of_every_part(registry: MlflowRegistry) -> None:
    recorded = registry.record(RUN)
    version = _client(registry).get_model_version(NAME, recorded.version)
    assert version.tags["release_id"] == RELEASE.id
    assert {name: version.tags[name] for name in RELEASE.parts()} == digests(RELEASE.parts())


def test_a_release_has_one_version_however_often_it_is_recorded(registry: MlflowRegistry) -> None:
    first, again = registry.record(RUN), registry.record(RUN)
    assert first.version == again.version
    assert first.run_id != again.run_id
    other = registry.record(replace(RUN, release=replace(RELEASE, rulebook=b'{"other": 1}')))
    assert other.version != first.version


def test_the_champion_is_an_alias_that_moves(registry: MlflowRegistry) -> None:
    assert registry.pointed_at(model_name("ecommerce", "nobody")) is None
    first, other = registry.record(RUN), replace(RELEASE, rulebook=b'{"second": 2}')
    second = registry.record(replace(RUN, release=other))
    assert registry.pointed_at(NAME) is None
    registry.repeat(NAME, {CHAMPION: RELEASE.id, SHADOW: other.id}, {"promoted": "x" * 5_000})
    assert registry.pointed_at(NAME) == first.version
    assert registry.pointed_at(NAME, SHADOW) == second.version
    registry.repeat(NAME, {CHAMPION: other.id, SHADOW: None, CHALLENGER: "rel_never_recorded"})
    assert registry.pointed_at(NAME) == second.version
    assert [registry.pointed_at(NAME, alias) for alias in (SHADOW, CHALLENGER)] == [None, None]
    assert len(_client(registry).get_model_version(NAME, first.version).tags["promoted"]) <= 5_000


def test_the_registered_model_loads_as_xgboost_and_scores_the_same(registry: MlflowRegistry) -> None:
    registry.record(RUN)
    registry.repeat(NAME, {CHAMPION: RELEASE.id})
    rows = np.random.default_rng(1).normal(size=(5, len(STANDARD.names)))
    mlflow.set_tracking_uri(registry.url)
    try:
        loaded = mlflow.xgboost.load_model(f"models:/{NAME}@{CHAMPION}")
    finally:
        mlflow.set_tracking_uri(None)
    np.testing.assert_array_equal(loaded.inplace_predict(rows), _booster().inplace_predict(rows))


def test_two_that_start_on_an_empty_home_do_not_race(tmp_path: Path) -> None:
    """Each holds a lock of its own on the same file, as two processes would."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(MlflowRegistry(tmp_path).prepare) for _ in range(2)]:
            done.result(timeout=120)
    assert MlflowRegistry(tmp_path).pointed_at(NAME) is None


def test_nothing_lies_outside_the_home(
    registry: MlflowRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.record(RUN)
    assert list(tmp_path.iterdir()) == []
