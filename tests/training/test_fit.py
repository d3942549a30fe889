"""Training: it learns, twice the same, on categories and gaps, and goes on where it was interrupted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import xgboost as xgb

from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.scoring import Calibrator, Scorer
from tests.training.factories_training import CONTRACT, cut, make_dataset
from training.fit import Trained, TrainingFacts, TrainSettings, data_digest, sample, train
from training.matrices import Matrices, Sample, Shape, thin
from training.metrics import Ranking
from training.tune import BINS, REFERENCE, Search, tune

SETTINGS = TrainSettings(trials=4, seed=3, threads=1, max_rounds=40)


def _quiet(_done: float, _total: float, _words: str) -> None:
    pass


def _train(settings: TrainSettings = SETTINGS, seed: int = 0, contract: Contract = CONTRACT) -> Trained:
    dataset = make_dataset(seed=seed)
    return train(dataset, cut(dataset), contract, settings, _quiet)


def test_it_learns_what_can_be_learnt_and_says_from_what() -> None:
    dataset = make_dataset()
    splits = cut(dataset)
    trained = _train()
    label = dataset.label[splits.test]
    cluster = np.arange(label.size)
    auc, _ = Ranking.of(trained.margins["test"], label, cluster).measure(np.ones(label.size, np.int64))
    assert 0.75 < auc < 0.95
    assert next(iter(trained.facts.importance)) == "signal"
    assert sum(trained.facts.importance.values()) == pytest.approx(1.0)
    assert trained.facts.events["test"] == splits.test.size
    assert trained.facts.frauds["train"] == dataset.label[splits.train].sum()


def test_the_same_seed_gives_the_same_model_whatever_the_threads() -> None:
    first = _train()
    assert _train().model == first.model
    assert _train(replace(SETTINGS, threads=2)).facts.params == first.facts.params
    other = _train(replace(SETTINGS, threads=2))
    np.testing.assert_array_equal(other.margins["test"], first.margins["test"])
    assert _train(replace(SETTINGS, seed=4)).model != first.model


def test_the_stored_model_scores_as_the_fitted_one() -> None:
    dataset = make_dataset()
    splits = cut(dataset)
    trained = _train()
    scorer = Scorer(trained.model, Calibrator(1.0, 0.0), CONTRACT)
    odds = 1 / (1 + np.exp(-trained.margins["test"]))
    np.testing.assert_array_equal(scorer.probability(dataset.matrix[splits.test]), odds)


def test_a_value_no_training_row_had_and_a_missing_one_are_scored() -> None:
    scorer = Scorer(_train().model, Calibrator(1.0, 0.0), CONTRACT)
    odd = np.array([[np.nan, np.nan, np.nan], [1e9, -1e9, 2.0]])
    assert np.isfinite(scorer.probability(odd)).all()


def test_a_feature_declared_monotone_never_turns() -> None:
    features = (replace(CONTRACT.features[0], monotone=1), *CONTRACT.features[1:])
    model = _train(contract=replace(CONTRACT, features=features)).model
    rows = np.column_stack([np.linspace(-4, 4, 200), np.zeros(200), np.ones(200)])
    assert (np.diff(Scorer(model, Calibrator(1.0, 0.0), CONTRACT).probability(rows)) >= 0).all()


def test_an_interrupted_study_goes_on_and_repeats_no_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    seen: list[float] = []
    short = replace(SETTINGS, trials=3, storage_url=url)
    _train(short)
    dataset = make_dataset()
    longer = replace(short, trials=6)
    resumed = train(dataset, cut(dataset), CONTRACT, longer, lambda done, _total, _words: seen.append(done))
    assert seen[0] == 3
    assert [trial.number for trial in resumed.facts.trials] == list(range(6))
    drawn = [str(sorted(trial.params.items())) for trial in resumed.facts.trials]
    assert len(set(drawn)) == 6
    again = _train(longer)
    assert again.facts.trials == resumed.facts.trials
    assert again.model == resumed.model


def test_a_trial_that_was_interrupted_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, trials=4, storage_url=f"sqlite:///{tmp_path}/optuna.db")
    calls: list[int] = []
    fit_trees = xgb.train

    def pulled_the_plug(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit_trees(*args, **kwargs)

    monkeypatch.setattr(xgb, "train", pulled_the_plug)
    with pytest.raises(KeyboardInterrupt):
        _train(settings)
    resumed = _train(settings).facts.trials
    assert len(resumed) == 4
    assert len(calls) == 3 + 2 + 1  # two trials were kept, two made up for, one fit at the end


def test_a_study_of_other_data_is_never_resumed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    settings = replace(SETTINGS, trials=2, storage_url=url)
    assert _train(settings, seed=0).facts.data_digest != _train(settings, seed=1).facts.data_digest
    assert len(_train(settings, seed=1).facts.trials) == 2


def test_bins_are_tried_from_the_coarsest_up_and_the_best_kept() -> None:
    trials = _train(replace(SETTINGS, trials=6)).facts.trials
    first = [trial.params["max_bin"] for trial in trials if REFERENCE.items() <= trial.params.items()]
    assert first == list(BINS[: len(first)])
    score = {trial.params["max_bin"]: trial.average_precision or 0.0 for trial in trials[: len(first)]}
    best = max(score, key=lambda bins: (score[bins], -bins))
    assert {trial.params["max_bin"] for trial in trials[len(first) :]} == {best}


def test_one_matrix_serves_every_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    quantiles = Shape.quantiles

    def counted(self: Shape, sample: Sample, max_bin: int, ref: xgb.QuantileDMatrix | None = None) -> object:
        made.append(max_bin)
        return quantiles(self, sample, max_bin, ref)

    monkeypatch.setattr(Shape, "quantiles", counted)
    dataset = make_dataset()
    splits = cut(dataset)
    matrices = Matrices(Shape.of(CONTRACT, 1, 1), sample(dataset, splits.train), sample(dataset, splits.validation))
    tune(matrices, Search("s", 8, 1, 20), _quiet)
    assert max(made.count(bins) for bins in set(made)) == 2  # training and validation, once each


def test_thinning_keeps_every_fraud_and_the_weight_of_the_rest() -> None:
    label = np.arange(10_000) % 100 == 0
    full = Sample(np.arange(10_000.0)[:, None], label, np.ones(10_000))
    thinned = thin(full, 2_000, seed=1)
    assert thinned.label.sum() == 100
    assert thinned.label.size == 2_000
    assert thinned.weight.sum() == pytest.approx(10_000)
    assert (np.diff(thinned.matrix[:, 0]) > 0).all()
    assert thin(full, 10_000, seed=1) is full


def test_thinning_never_leaves_less_than_half_for_honest_events() -> None:
    label = np.arange(1_000) < 900
    assert (~thin(Sample(np.zeros((1_000, 1)), label, np.ones(1_000)), 180, seed=1).label).sum() == 90


def test_facts_are_stored_as_json_and_read_again() -> None:
    facts = _train().facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=TrainingFacts) == facts


def test_the_digest_sees_every_part_and_every_value() -> None:
    dataset = make_dataset()
    splits = cut(dataset)
    before = data_digest(dataset, splits)
    assert data_digest(make_dataset(), splits) == before
    changed = dataset.matrix.copy()
    changed[splits.test[-1], 1] += 1e-9
    assert data_digest(replace(dataset, matrix=changed), splits) != before


def test_a_dataset_of_another_contract_is_refused() -> None:
    dataset = make_dataset()
    other = replace(CONTRACT, features=CONTRACT.features[:2])
    with pytest.raises(InvalidInput, match="materialise"):
        train(dataset, cut(dataset), other, SETTINGS, _quiet)


def test_no_trials_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        _train(replace(SETTINGS, trials=0))
