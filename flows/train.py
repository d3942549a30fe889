"""Train: from the training set to a candidate release. What it is worth is the next stage's question."""

import time
from dataclasses import replace
from importlib.metadata import version

from flows.data import load_dataset, past_events, plan_of
from flows.evidence import Candidate, leave
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import Workshop, workshop
from fradect.canary import chosen as canary
from fradect.judgement import load
from fradect.money import exponent_of, to_minor
from fradect.past import decide_past
from fradect.policy import Policy, choose_thresholds, to_scores
from fradect.release import Release
from fradect.scoring import Calibrator
from fradect.settings import PROJECT
from training.calibrate import calibrate
from training.dataset import Dataset, Splits, split
from training.fit import Trained, TrainSettings
from training.fit import train as fit_and_search
from training.thresholds import Chosen, banded
from training.typical import typical


@stage()
def train(module: str, tenant: str, trials: int = 12, seed: int = 7, amounts: tuple[float, ...] = ()) -> str:
    """A candidate release by its id: searched, fitted, calibrated, thresholds chosen; its making left as evidence.

    `amounts`: between which amounts, in major units, thresholds are chosen apart.
    """
    with announced("train") as result:
        shop = workshop(module, tenant)
        dataset = load_dataset(shop, shop.contract)
        splits = split(dataset, plan_of(dataset))
        settings = TrainSettings(
            trials=trials,
            seed=seed,
            threads=shop.threads,
            storage_url=shop.study_url,
            study_name=f"{module}-{tenant}",
        )
        trained = fit_and_search(dataset, splits, shop.contract, settings, advance)
        edges = [to_minor(amount, exponent_of(shop.facts.base_currency)) for amount in amounts]
        release = _release(shop, dataset, splits, trained, edges)
        shop.releases.save(release)
        leave(shop.evidence(release.id), _candidate(shop, release, trained))
        result.words = f"{release.id}, {len(trained.facts.trials)} trials, {trained.facts.rounds} trees"
    return release.id


def _release(shop: Workshop, dataset: Dataset, splits: Splits, trained: Trained, edges: list[int]) -> Release:
    """Thresholds are chosen on calibration events, on the scores that rules and model give them together."""
    chosen = dataset.rows(splits.calibration)
    calibrator = calibrate(trained.margins["calibration"], chosen.label, chosen.weight)
    probability = calibrator.probability(trained.margins["calibration"])
    costs = shop.facts.costs
    by_model = choose_thresholds(costs, to_scores(probability), chosen.amount, probability)
    provisional = _assembled(shop, trained.model, calibrator, by_model)
    events = past_events(shop, int(chosen.time.min()), set(chosen.event_id))
    scores = decide_past(load(provisional), events, chosen.matrix).score
    policy = banded(provisional.policy, Chosen(scores, chosen.amount, chosen.label, probability), edges)
    usual = typical(dataset.matrix[splits.train], shop.contract)
    return replace(provisional, policy=policy, canary=canary(chosen.matrix, probability), typical=usual)


def _assembled(shop: Workshop, model: bytes, calibrator: Calibrator, thresholds: tuple[int, int]) -> Release:
    return Release(
        module=shop.module.name,
        contract=shop.contract,
        model=model,
        calibrator=calibrator,
        rulebook=(PROJECT / "rulebooks" / shop.module.rulebook).read_bytes(),
        policy=_policy(shop, thresholds),
        engines={name: version(name) for name in ("fradect", "xgboost-cpu", "zen-engine", "numpy")},
    )


def _policy(shop: Workshop, thresholds: tuple[int, int]) -> Policy:
    """Chosen anew are thresholds alone; the limits and the terms of exploration that people gave the champion stay."""
    fresh = Policy(*thresholds, shop.facts.base_currency, shop.facts.costs)
    champion = shop.releases.champion(shop.module.name, shop.tenant)
    known = fresh if champion is None else shop.releases.load(champion).policy
    if known.base_currency != fresh.base_currency:
        return fresh
    return replace(fresh, limits=known.limits, exploration=known.exploration)


def _candidate(shop: Workshop, release: Release, trained: Trained) -> Candidate:
    return Candidate(
        release_id=release.id,
        module=shop.module.name,
        tenant=shop.tenant,
        contract=release.contract.name,
        contract_hash=release.contract.hash,
        log_fingerprint=shop.places.fingerprint(),
        trained_at=time.time_ns() // 1000,
        training=trained.facts,
    )
