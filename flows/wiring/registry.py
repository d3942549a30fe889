"""MLflow, where people look at runs and releases."""

import logging
from collections.abc import Mapping
from math import isfinite

from flows.wiring import Workshop
from fradect.adapters.mlflow_registry import (
    CHALLENGER,
    CHAMPION,
    SHADOW,
    MlflowRegistry,
    Recorded,
    RunFacts,
    model_name,
)
from fradect.rollout import Rollout, Stage
from training.card import CardFacts, render
from training.gate import conclude

LOG = logging.getLogger("fradect")


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


def repeat(shop: Workshop, now: Rollout) -> None:
    """Tell people who the champion is and who is tried; the release store decides, so nothing hangs on it."""
    registry = MlflowRegistry(shop.home)
    if not registry.is_there:
        return
    in_shadow = now.stage is Stage.SHADOW
    aliases = {
        CHAMPION: now.release,
        CHALLENGER: None if in_shadow else now.challenger,
        SHADOW: now.challenger if in_shadow else None,
    }
    tags = {"promoted": now.step.reason} if now.step is not None and now.challenger is None else {}
    try:
        registry.repeat(model_name(shop.module.name, shop.tenant), aliases, tags)
    except Exception:  # whatever MLflow or its database raises: a page for people must not stop a release
        LOG.warning("MLflow's aliases of %s for %s were not moved", shop.module.name, shop.tenant, exc_info=True)


def _thresholds(facts: CardFacts) -> dict[str, int]:
    return {"review_from": facts.release.policy.review, "decline_from": facts.release.policy.decline}
