"""Evaluate: what a candidate is worth on events that no choice ever saw, beside the champion on the same events."""

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from flows.data import load_dataset, past_events, tested
from flows.evidence import Candidate, Verdicts, leave, recall
from flows.progress import advance
from flows.progress import stage as announced
from flows.reference import leave_reference
from flows.stage import stage
from flows.wiring import Workshop, workshop
from fradect.features.contract import Contract
from fradect.judgement import Loaded, load
from fradect.past import decide_past
from fradect.types import Action, Verdict
from training.card import render
from training.dataset import Dataset
from training.evaluate import Evaluation, Scored, compare
from training.evaluate import evaluate as measure
from training.fairness import FairnessTable, audit
from training.gate import improvement
from training.plots import figures
from training.slices import slices


@dataclass(frozen=True, slots=True)
class _Findings:
    """All that evaluation found out about a candidate."""

    candidate: Candidate
    evaluation: Evaluation
    fairness: FairnessTable
    verdicts: tuple[Verdict, ...]


@stage()
def evaluate(module: str, tenant: str, release_id: str, seed: int = 7) -> None:
    """Metrics with intervals, slices, fairness, the champion on the same events; card, plots and MLflow run written."""
    with announced("evaluate") as result:
        shop = workshop(module, tenant)
        candidate = recall(shop.evidence(release_id), Candidate)
        release = load(shop.releases.load(release_id))
        advance(0.1, 1, "deciding the test events again")
        dataset = tested(load_dataset(shop, release.contract), candidate)
        scored = _score(shop, release, dataset)
        advance(0.5, 1, "metrics with intervals")
        evaluation = measure(scored, release.policy, seed)
        flagged = scored.chosen > Action.APPROVE
        fairness, fair = audit(flagged, scored.label, scored.customer, dataset.protected, release.policy.limits)
        advance(0.7, 1, "the champion on the same events")
        better = _against_champion(shop, release, evaluation, dataset, scored, candidate, seed)
        findings = _Findings(candidate, evaluation, fairness, (better, fair))
        advance(0.8, 1, "reference, card, plots, MLflow")
        leave_reference(shop, release, candidate)
        _leave_all(shop, release, findings)
        found = evaluation.metrics
        result.words = f"AP {found['average_precision'].text()}, AUC {found['roc_auc'].text()}"


def _score(shop: Workshop, release: Loaded, dataset: Dataset) -> Scored:
    events = past_events(shop, int(dataset.time.min()), set(dataset.event_id))
    probability, chosen = decide_past(release, events, dataset.matrix)
    return Scored(
        probability=probability,
        chosen=chosen,
        label=dataset.label,
        amount=dataset.amount,
        time=dataset.time,
        customer=dataset.customer,
        slices=slices(dataset, release.contract),
    )


def _against_champion(  # noqa: PLR0913  two releases, their events and what is known of them
    shop: Workshop,
    release: Loaded,
    evaluation: Evaluation,
    dataset: Dataset,
    scored: Scored,
    candidate: Candidate,
    seed: int,
) -> Verdict:
    champion_id = shop.releases.champion(shop.module.name, shop.tenant)
    if champion_id is None or champion_id == release.id:
        return improvement(evaluation, None, release.policy.limits)
    champion = load(shop.releases.load(champion_id))
    same = dataset if champion.contract == release.contract else _other(shop, champion.contract, dataset, candidate)
    theirs = _score(shop, champion, same)
    return improvement(evaluation, compare(scored, theirs, release.policy.costs, seed), release.policy.limits)


def _other(shop: Workshop, contract: Contract, dataset: Dataset, candidate: Candidate) -> Dataset:
    """The same test events with the features of another contract."""
    derive(shop, contract)
    other = tested(load_dataset(shop, contract), candidate)
    row = {event: i for i, event in enumerate(other.event_id)}
    return other.rows(np.array([row[event] for event in dataset.event_id], np.int64))


def _leave_all(shop: Workshop, release: Loaded, findings: _Findings) -> None:
    folder = shop.evidence(release.id)
    pictures = figures(findings.evaluation, findings.candidate.training.importance, release.policy)
    for name, png in pictures.items():
        _leave_bytes(folder / "plots" / name, png)
    _leave_bytes(folder / "evaluation.json", msgspec.json.encode(asdict(findings.evaluation)))
    _leave_bytes(folder / "fairness.json", msgspec.json.encode(asdict(findings.fairness)))
    card = render(_card_facts(shop, release, findings))
    _leave_bytes(folder / "card.md", card.encode())
    run = shop.registry().record(_run_facts(shop, release, findings, pictures, card))
    leave(folder, _measured(release, findings, run.run_id, run.version))
    leave(folder, Verdicts(release.id, list(findings.verdicts)))


def _leave_bytes(path: Path, raw: bytes) -> None:
    with publishing(path) as staging:
        staging.write_bytes(raw)
