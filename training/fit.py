"""The model itself: searched on training and validation, then fitted on both together."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from training.dataset import PARTS, Boundaries, Dataset, Splits
from training.matrices import Matrices, Params, Sample, Shape, thin
from training.tune import Progress, Search, Trial, tune

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How long to search. `study_name` is what a person calls the study; the data's digest is added to it.

    `search_rows`: with more training rows than this, trials see every fraud and a weighted draw of the rest; the
    model that is kept is always fitted on all rows.
    """

    trials: int = 12
    seed: int = 7
    threads: int = 2
    storage_url: str | None = None
    study_name: str = "study"
    max_rounds: int = 300
    search_rows: int = 120_000


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How a model came to be; plain values, to be stored beside it.

    `average_precision`: the best trial's, on validation. `importance`: each feature's share of the loss that splits
    on it removed. `events` and `frauds`: per part. `data_digest`: SHA-256 over what every part held.
    """

    params: Params
    rounds: int
    average_precision: float
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    seed: int
    events: Mapping[str, int]
    frauds: Mapping[str, int]
    boundaries: Boundaries
    data_digest: str


@dataclass(frozen=True, slots=True)
class Trained:
    """A model as XGBoost JSON, with the log-odds of the calibration and test events in the splits' order."""

    model: bytes
    margins: Mapping[str, Floats]
    facts: TrainingFacts


def train(dataset: Dataset, splits: Splits, contract: Contract, settings: TrainSettings, progress: Progress) -> Trained:
    """Search, then fit the best parameters on training and validation events together.

    Both were known before calibration began, and a model that stops learning where tuning did is older than it
    needs to be; the number of trees stays the one that validation chose.
    """
    if dataset.names != contract.names:
        raise InvalidInput(f"train: the dataset's columns are not those of {contract.name}; materialise again")
    shape = Shape.of(contract, settings.seed, settings.threads)
    training, validation = sample(dataset, splits.train), sample(dataset, splits.validation)
    digest = data_digest(dataset, splits)
    search = Search(
        study_name=f"{settings.study_name}-{digest[:12]}-{settings.seed}",
        trials=settings.trials,
        seed=settings.seed,
        max_rounds=settings.max_rounds,
        storage_url=settings.storage_url,
    )
    tuned = tune(Matrices(shape, thin(training, settings.search_rows, settings.seed), validation), search, progress)
    progress(settings.trials, settings.trials, "fitting the best on everything known")
    everything = sample(dataset, np.concatenate([splits.train, splits.validation]))
    booster = fit(everything, shape, tuned.params, tuned.rounds)
    return Trained(
        model=to_json(booster),
        margins={name: margins(booster, dataset.matrix[getattr(splits, name)]) for name in ("calibration", "test")},
        facts=TrainingFacts(
            params=tuned.params,
            rounds=tuned.rounds,
            average_precision=tuned.average_precision,
            trials=tuned.trials,
            importance=importance(booster, contract),
            seed=settings.seed,
            events={name: int(getattr(splits, name).size) for name in PARTS},
            frauds={name: int(dataset.label[getattr(splits, name)].sum()) for name in PARTS},
            boundaries=splits.boundaries,
            data_digest=digest,
        ),
    )


def sample(dataset: Dataset, rows: Ints) -> Sample:
    weight = np.ones(rows.size) if dataset.weight is None else dataset.weight[rows]
    return Sample(dataset.matrix[rows], dataset.label[rows], weight)


def fit(rows: Sample, shape: Shape, params: Params, rounds: int) -> xgb.Booster:
    """One model, deterministic for the shape's seed whatever the number of threads."""
    return xgb.train(shape.params(params), shape.quantiles(rows, int(params["max_bin"])), rounds)


def margins(booster: xgb.Booster, matrix: Floats) -> Floats:
    """Log-odds before calibration, one a row."""
    return np.asarray(booster.inplace_predict(matrix, predict_type="margin"), np.float64)


def to_json(booster: xgb.Booster) -> bytes:
    return bytes(booster.save_raw("json"))


def importance(booster: xgb.Booster, contract: Contract) -> dict[str, float]:
    """Shares that add up to 1, the largest first; a feature no tree uses has none."""
    gains = booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    shares = {contract.names[int(column[1:])]: gain / total for column, gain in gains.items()}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def data_digest(dataset: Dataset, splits: Splits) -> str:
    """SHA-256 over what training saw: names, features, labels and weights of each part, in order."""
    digest = hashlib.sha256("\n".join(dataset.names).encode())
    for rows in (splits.train, splits.validation, splits.calibration, splits.test):
        weight = () if dataset.weight is None else (dataset.weight,)
        for column in (dataset.matrix, dataset.label, dataset.time, dataset.amount, *weight):
            digest.update(np.ascontiguousarray(column[rows]).data)
    return digest.hexdigest()
