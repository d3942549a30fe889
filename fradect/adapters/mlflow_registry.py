"""Runs and releases in MLflow, for people to look at: parameters, measures, plots, files. The only door to MLflow.

What decides stays elsewhere: the champion's pointer in the release store, aliases here only repeat it.
"""

import fcntl
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns

import mlflow
from mlflow.db import upgrade
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from fradect.release import Release, digests

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
EXPERIMENT = "fradect"
_RELEASE = "release"  # folder of the release's parts in a run's artefacts
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # no such model, no such alias
_LONGEST = 500  # characters of a parameter or tag that are kept


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that is recorded of one candidate.

    `series`: a measure per step (trials of the study). `files`: path under the run's artefacts to content. `tags`:
    digests of data and contract, the verdict. `requirements`: what reading the model needs, pinned.
    """

    release: Release
    tenant: str
    params: Mapping[str, str | float | int]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    series: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    requirements: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where MLflow keeps it: the run, and the resolved version of the registered model."""

    run_id: str
    name: str
    version: str


def model_name(module: str, tenant: str) -> str:
    """What a tenant's releases of a module are registered under."""
    return f"{module}.{tenant}"


class MlflowRegistry:
    """MLflow on SQLite under `<home>/mlflow`. One writer at a time: its migrations and versions race otherwise."""

    def __init__(self, home: Path) -> None:
        self._root = home.resolve() / "mlflow"
        self.url = f"sqlite:///{self._root / 'mlflow.db'}"
        self._client: mlflow.MlflowClient | None = None

    def prepare(self) -> None:
        """Bring the database up to date. The first time takes seconds; `record` does it when nobody has."""
        with self._alone():
            self._ready()

    def record(self, run: RunFacts) -> Recorded:
        """One run, and the release's parts as a version of the registered model; a release has one version only."""
        with self._alone():
            client = self._ready()
            experiment = self._experiment(client)
            started = client.create_run(experiment, run_name=run.release.id)
            run_id = started.info.run_id
            self._log(client, run_id, run)
            self._leave_files(client, run_id, run)
            client.set_terminated(run_id)
            name = model_name(run.release.module, run.tenant)
            version = _registered(client, name, run.release.id) or self._register(client, name, started, run)
            return Recorded(run_id, name, version)

    @property
    def is_there(self) -> bool:
        """Whether anything was ever recorded."""
        return (self._root / "mlflow.db").exists()

    def repeat(self, name: str, aliases: Mapping[str, str | None], tags: Mapping[str, str] | None = None) -> None:
        """Point each alias at the version of a release, by its id, and tag the champion's with what led to it. An alias
        of no release, or of one that was never recorded, is taken away."""
        with self._alone():
            client = self._ready()
            for alias, release_id in aliases.items():
                version = _registered(client, name, release_id) if release_id else None
                if version is None:
                    _without_alias(client, name, alias)
                    continue
                client.set_registered_model_alias(name, alias, version)
                for key, value in (tags or {}).items() if alias == CHAMPION else ():
                    client.set_model_version_tag(name, version, key, value[:_LONGEST])

    def pointed_at(self, name: str, alias: str = CHAMPION) -> str | None:
        """The version an alias points at."""
        with self._alone():
            client = self._ready()
            try:
                return str(client.get_model_version_by_alias(name, alias).version)
            except MlflowException as error:
                if error.error_code in _ABSENT:
                    return None
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _ready(self) -> "mlflow.MlflowClient":
        if self._client is None:
            migrated = self._root / f".migrated-{mlflow.__version__}"
            if not migrated.exists():
                logging.getLogger("mlflow").setLevel(logging.WARNING)
                logging.getLogger("alembic").setLevel(logging.WARNING)
                upgrade.callback(self.url)
                migrated.touch()
            self._client = mlflow.MlflowClient(tracking_uri=self.url, registry_uri=self.url)
        return self._client

    def _experiment(self, client: "mlflow.MlflowClient") -> str:
        known = client.get_experiment_by_name(EXPERIMENT)
        if known is not None:
            return str(known.experiment_id)
        return str(client.create_experiment(EXPERIMENT, artifact_location=(self._root / "artifacts").as_uri()))

    def _log(self, client: "mlflow.MlflowClient", run_id: str, run: RunFacts) -> None:
        now = time_ns() // 1_000_000
        tags = {"release_id": run.release.id, "contract_hash": run.release.contract.hash, **run.tags}
        client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in run.metrics.items()]
            + [Metric(name, value, now, step) for name, steps in run.series.items() for step, value in steps],
            params=[Param(name, str(value)[:_LONGEST]) for name, value in run.params.items()],
            tags=[RunTag(name, value[:_LONGEST]) for name, value in tags.items()],
        )

    def _leave_files(self, client: "mlflow.MlflowClient", run_id: str, run: RunFacts) -> None:
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            parts = {f"{_RELEASE}/{name}": raw for name, raw in run.release.parts().items()}
            for name, raw in {**parts, **_loadable(run_id, run), **run.files}.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(raw)
            client.log_artifacts(run_id, folder)

    def _register(self, client: "mlflow.MlflowClient", name: str, run: "mlflow.entities.Run", facts: RunFacts) -> str:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {"release_id": facts.release.id, **digests(facts.release.parts())}
        source = f"{run.info.artifact_uri}/{_RELEASE}"
        return str(client.create_model_version(name, source, run.info.run_id, tags=tags).version)


def _without_alias(client: "mlflow.MlflowClient", name: str, alias: str) -> None:
    try:
        client.delete_registered_model_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise


def _registered(client: "mlflow.MlflowClient", name: str, release_id: str) -> str | None:
    versions = client.search_model_versions(f"name = '{name}'")
    return next((str(v.version) for v in versions if v.tags.get("release_id") == release_id), None)


def _loadable(run_id: str, run: RunFacts) -> dict[str, bytes]:
    """What lets `mlflow.xgboost.load_model` read the model's part where it lies; margins, not probabilities."""
    model = Model(artifact_path=_RELEASE, run_id=run_id, metadata={"release_id": run.release.id})
    model.add_flavor(
        "xgboost",
        xgb_version=run.release.engines.get("xgboost-cpu", "unknown"),
        data="model.json",
        model_class="xgboost.core.Booster",
        model_format="json",
        code=None,
    )
    requirements = "".join(f"{requirement}\n" for requirement in run.requirements)
    return {
        f"{_RELEASE}/MLmodel": model.to_yaml().encode(),
        f"{_RELEASE}/requirements.txt": requirements.encode(),
    }
