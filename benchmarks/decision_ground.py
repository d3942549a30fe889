"""What every contender of `benchmarks.decisions` stands on: one home with a history, one release, one set of requests.

The history ends today, so that the windows of a request that comes now are full. The model is what the issue of the
contest asks for, 300 trees of depth 6 over `ecommerce/standard`; how good it is nobody asks here.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from flows.traffic import hold_back
from fradect.adapters.feast_store import FeastStore
from fradect.adapters.history_store import build_features
from fradect.adapters.importing import import_path
from fradect.adapters.places import Places
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.training_store import read_training_set, training_set
from fradect.mapping import load_mapping
from fradect.modules import contract_of, module_of
from fradect.policy import Policy
from fradect.release import Release
from fradect.settings import PROJECT
from fradect.simulate import Scenario, write
from training.calibrate import calibrate
from training.dataset import Dataset
from training.fit import fit, margins, sample, to_json
from training.matrices import Shape

MODULE, CONTRACT, TENANT = module_of("ecommerce"), contract_of("ecommerce/standard"), "demo"
DAYS = 60
START = datetime.now(UTC).date() - timedelta(days=DAYS)
FULL = Scenario(seed=11, start=START, days=DAYS, events=110_000, customers=13_000, merchants=400)
QUICK = Scenario(seed=11, start=START, days=DAYS, events=12_000, customers=1_500, merchants=60)
TREES = 300
PARAMS: Mapping[str, float | int] = {"max_depth": 6, "eta": 0.05, "min_child_weight": 1, "max_bin": 256}
LEARNT = 40_000  # rows; more would make the model better, not larger
UNKNOWN = 8  # every eighth request is of somebody nobody has seen
MARK = "@@@@@@@@@@@@"
"""Stands where each request has its own number: in the transaction's id, and in all that names an unknown customer."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A home with a champion, and requests as JSON texts in which MARK is to be replaced."""

    home: Path
    release: Release
    texts: Sequence[str]

    @property
    def places(self) -> Places:
        return Places(self.home, MODULE.name, TENANT)


def prepared(home: Path, *, quick: bool) -> Ground:
    """Simulated, imported, learnt from and promoted; a home that has all this already is taken as it is."""
    raw = home / "raw"
    mapping = load_mapping(PROJECT / "mappings" / "simulator.yaml")
    if not (home / "requests.json").is_file():
        write(QUICK if quick else FULL, raw)
        import_path(raw, mapping, home)
        _derive(Places(home, MODULE.name, TENANT))
        _promote(home)
        bodies = _one_each(hold_back(raw, mapping, 10**9).bodies)
        (home / "requests.json").write_bytes(msgspec.json.encode(list(_texts(bodies))))
    store = ReleasesFolder(home)
    champion = store.champion(MODULE.name, TENANT)
    assert champion is not None  # noqa: S101  just promoted
    texts = msgspec.json.decode((home / "requests.json").read_bytes(), type=list[str])
    return Ground(home, store.load(champion), texts)


def _derive(places: Places) -> None:
    build_features(places, MODULE, CONTRACT)
    build_snapshots(places, MODULE, CONTRACT)
    training_set(places, MODULE, CONTRACT)


def dataset(places: Places) -> Dataset:
    return Dataset(**read_training_set(places.training_set(CONTRACT), MODULE, CONTRACT))


def _promote(home: Path) -> None:
    known = dataset(Places(home, MODULE.name, TENANT))
    rows = np.flatnonzero(known.labelled)[:LEARNT]
    learnt = sample(known, rows)
    booster = fit(learnt, Shape.of(CONTRACT, seed=7, threads=2), dict(PARAMS), TREES)
    release = Release(
        module=MODULE.name,
        contract=CONTRACT,
        model=to_json(booster),
        calibrator=calibrate(margins(booster, learnt.matrix), learnt.label),
        rulebook=(PROJECT / "rulebooks" / MODULE.rulebook).read_bytes(),
        policy=Policy(300, 700, "RUB", MODULE.costs),
        engines={},
    )
    store = ReleasesFolder(home)
    store.save(release)
    store.promote(MODULE.name, TENANT, release.id)


def _one_each(bodies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The newest purchase of every customer, in no order that a cache could like."""
    newest = {body["transaction"]["customer_id"]: dict(body) for body in bodies}
    order = np.random.default_rng(3).permutation(len(newest))
    listed = list(newest.values())
    return [listed[i] for i in order]


def _texts(bodies: Sequence[dict[str, Any]]) -> Iterator[str]:
    """As they would come now: without a time of their own, under an id that is new each time."""
    for i, body in enumerate(bodies):
        bought = body["transaction"]
        del bought["event_time"]
        bought["transaction_id"] = f"tx-{MARK}"
        if i % UNKNOWN == UNKNOWN - 1:
            bought["customer_id"] = f"unknown-{MARK}"
            bought["device"]["id"] = f"device-{MARK}"
            bought.setdefault("card", {})["token"] = f"card-{MARK}"
            bought.get("customer", {})["email"] = f"{MARK}@example.org"
        yield msgspec.json.encode(body).decode()


def profile_home(ground: Ground, folder: Path, online_url: str | None) -> Path:
    """A copy of the home for one profile, its online store filled where the profile has it."""
    home = folder / "home"
    shutil.copytree(ground.home, home, ignore=shutil.ignore_patterns("raw", "requests.json"))
    feast = FeastStore(Places(home, MODULE.name, TENANT), CONTRACT, online_url or f"sqlite:///{home}")
    feast.apply()
    feast.materialise(time.time_ns() // 1000)
    return home


@dataclass(frozen=True, slots=True)
class Newest:
    """Of each key of an entity the newest vector: what a feature store would have materialised."""

    keys: Sequence[str]
    matrix: npt.NDArray[np.float64]


def newest(places: Places) -> dict[str, Newest]:
    """By entity, from the training set's vectors and the keys that the log has beside them."""
    fields = {entity: MODULE.entities[entity] for entity in CONTRACT.entities}
    log = pq.ParquetDataset([str(path) for path in places.events()]).read(["event_id", *fields.values()])
    known = dataset(places)
    row_of = {event_id: i for i, event_id in enumerate(known.event_id.tolist())}
    rows = np.array([row_of[event_id] for event_id in log["event_id"].to_pylist()])
    by_time = np.argsort(known.time[rows], kind="stable")
    found: dict[str, Newest] = {}
    for entity, field in fields.items():
        keys = log[field].to_pylist()
        last = {keys[i]: rows[i] for i in by_time.tolist() if keys[i] is not None}
        found[entity] = Newest(list(last), known.matrix[list(last.values())])
    return found
