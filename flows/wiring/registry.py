"""MLflow, where people look at runs and releases."""

from collections.abc import Mapping
from math import isfinite

from flows.wiring import Workshop
from fradect.adapters.mlflow_registry import MlflowRegistry, Recorded, RunFacts, model_name
from training.card import CardFacts, render
from training.gate import conclude


def record(shop: Workshop, facts: CardFacts, pictures: Mapping[str, bytes]) -> Recorded:
    """A run with parameters, metrics, trials, plots and card, and the release as a registered version."""
    training, evaluation = facts.training, facts.evaluation
    intervals = {
        f"{name}{end}": value
        for name, span in evaluation.metrics.items()
        for end, value in (("", span.value), ("_low", span.low), ("_high", span.high))
        if isfinite(value)
    }
    trials = [(t.number, t.average_precision) for t in training.trials if t.average_precision is not None]
    run = RunFacts(
        release=facts.release,
        tenant=shop.tenant,
        params={**training.params, "rounds": training.rounds, "seed": training.seed, **_thresholds(facts)},
        metrics={**intervals, "validation_average_precision": training.average_precision},
        tags={"data_digest": training.data_digest, "verdict": conclude(facts.verdicts).result},
        series={"trial_average_precision": trials},
        files={**{f"plots/{name}": png for name, png in pictures.items()}, "card.md": render(facts).encode()},
        requirements=[f"xgboost-cpu=={facts.release.engines['xgboost-cpu']}"],
    )
    return MlflowRegistry(shop.home).record(run)


def name_champion(shop: Workshop, version: str, why: str) -> None:
    """Repeat for people who the champion is; the release store decides."""
    MlflowRegistry(shop.home).set_champion(model_name(shop.module.name, shop.tenant), version, {"promoted": why})


def _thresholds(facts: CardFacts) -> dict[str, int]:
    return {"review_from": facts.release.policy.review, "decline_from": facts.release.policy.decline}
