"""The search for good parameters: an Optuna study that can be interrupted and goes on where it stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna
import xgboost as xgb
from optuna.trial import TrialState

from fradect.errors import InvalidInput
from training.matrices import Matrices, Params

Progress = Callable[[float, float, str], None]  # trials done, trials in all, a few words

BINS = (256, 1024, 4096)
PATIENCE = 40
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

# Tried first, from the coarsest bins up for as long as finer ones rank better; the rest of the study keeps the
# bins that won, and with them the one matrix that is made of the data.
REFERENCE: Mapping[str, float | int] = {
    "max_depth": 6,
    "eta": 0.1,
    "min_child_weight": 4.0,
    "subsample": 1.0,
    "colsample_bytree": 0.8,
    "lambda": 1.0,
}


@dataclass(frozen=True, slots=True)
class Search:
    """`storage_url`: SQLAlchemy's, or None for memory. A study of this name in it is resumed."""

    study_name: str
    trials: int
    seed: int
    max_rounds: int
    storage_url: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt: average precision on validation after `rounds` trees; None where it was pruned."""

    number: int
    params: Params
    average_precision: float | None
    rounds: int


@dataclass(frozen=True, slots=True)
class Tuned:
    params: Params
    rounds: int
    average_precision: float
    trials: tuple[Trial, ...]


def tune(matrices: Matrices, search: Search, progress: Progress) -> Tuned:
    """The parameters and number of trees that ranked the validation events best.

    Deterministic for a seed when it is not interrupted; a resumed study goes on with fresh draws, so that no trial
    is repeated. Interrupted trials do not count.
    """
    if search.trials < 1:
        raise InvalidInput(f"tune: {search.trials} trials; at least one is needed", field="trials")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None if search.storage_url is None else optuna.storages.RDBStorage(search.storage_url)
    try:
        return _study(matrices, search, storage, progress)
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _study(matrices: Matrices, search: Search, storage: optuna.storages.RDBStorage | None, progress: Progress) -> Tuned:
    study = optuna.create_study(
        study_name=search.study_name,
        storage=storage,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=len(BINS), n_warmup_steps=2),
    )
    done = len(study.get_trials(deepcopy=False, states=_FINISHED))
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + done, n_startup_trials=len(BINS) + 3)
    progress(done, search.trials, _words(study))
    for number in range(done, search.trials):
        study.enqueue_trial(_next(study))
        study.optimize(lambda trial: _attempt(trial, matrices, search.max_rounds), n_trials=1)
        progress(number + 1, search.trials, _words(study))
    return _result(study)


def _next(study: optuna.Study) -> Params:
    """What the next trial must try; the sampler draws the rest."""
    scores = {
        int(trial.params["max_bin"]): trial.value or 0.0
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if REFERENCE.items() <= trial.params.items()
    }
    finest = max(scores, default=None)
    best = max(scores, key=lambda bins: (scores[bins], -bins), default=None)
    if finest is None or best is None:
        return {**REFERENCE, "max_bin": BINS[0]}
    if best == finest and finest != BINS[-1]:
        return {**REFERENCE, "max_bin": BINS[BINS.index(finest) + 1]}
    return {"max_bin": best}


def _attempt(trial: optuna.Trial, matrices: Matrices, max_rounds: int) -> float:
    params: Params = {
        "max_bin": trial.suggest_categorical("max_bin", BINS),
        "max_depth": trial.suggest_int("max_depth", 3, 9),
        "eta": trial.suggest_float("eta", 0.03, 0.3, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 64.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
        "lambda": trial.suggest_float("lambda", 0.1, 30.0, log=True),
    }
    train, validation = matrices.pair(int(params["max_bin"]))
    stop = xgb.callback.EarlyStopping(
        rounds=PATIENCE, data_name="validation", metric_name="aucpr", maximize=True, save_best=False
    )
    booster = xgb.train(
        matrices.shape.params(params),
        train,
        max_rounds,
        evals=[(validation, "validation")],
        verbose_eval=False,
        callbacks=[_Prune(trial, float(params["eta"])), stop],
    )
    trial.set_user_attr("rounds", booster.best_iteration + 1)
    return float(booster.best_score)


class _Prune(xgb.callback.TrainingCallback):  # type: ignore[misc]  # xgboost ships no types
    """Ends a trial that is behind the median of those before it.

    Trials are compared after equal learning, trees times learning rate, not after equally many trees: slow learners
    would all be cut before they arrive.
    """

    def __init__(self, trial: optuna.Trial, eta: float) -> None:
        self._trial = trial
        self._eta = eta
        self._mark = 0

    def after_iteration(
        self,
        model: xgb.Booster,  # noqa: ARG002  the signature is xgboost's
        epoch: int,
        evals_log: Mapping[str, Mapping[str, list[float]]],
    ) -> bool:
        mark = int((epoch + 1) * self._eta)
        if mark > self._mark:
            self._mark = mark
            self._trial.report(evals_log["validation"]["aucpr"][-1], mark)
            self._trial.set_user_attr("rounds", epoch + 1)
            if self._trial.should_prune():
                raise optuna.TrialPruned
        return False


def _words(study: optuna.Study) -> str:
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return ""
    return f"best average precision {study.best_value:.3f}"


def _result(study: optuna.Study) -> Tuned:
    best = study.best_trial
    trials = study.get_trials(deepcopy=False, states=_FINISHED)
    return Tuned(
        params=dict(best.params),
        rounds=int(best.user_attrs["rounds"]),
        average_precision=float(best.value or 0.0),
        trials=tuple(
            Trial(
                number=trial.number,
                params=dict(trial.params),
                average_precision=trial.value if trial.state is TrialState.COMPLETE else None,
                rounds=int(trial.user_attrs.get("rounds", 0)),
            )
            for trial in trials
        ),
    )
