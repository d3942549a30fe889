"""Evaluate: what a candidate is worth on events that no choice ever saw, beside the champion on the same events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flows.data import load_dataset, past_events, tested
from flows.evidence import Candidate, Measured, Verdicts, leave, recall
from flows.examine import REFERENCE, Examined, examine
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import Workshop, leave_bytes, workshop
from flows.wiring.derived import derive
from flows.wiring.exploring import drawn
from flows.wiring.registry import record
from fradect.features.contract import Contract
from fradect.judgement import Loaded, load
from fradect.past import decide_past
from fradect.types import Action, Verdict
from training.bootstrap import Interval
from training.card import CardFacts, render
from training.dataset import Dataset
from training.declined import Declined, Seen, declined
from training.evaluate import Comparison, Scored, compare
from training.evaluate import evaluate as measure
from training.fairness import audit
from training.gate import data, improvement
from training.plots import figures
from training.slices import slices

REFERENCE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class _Trial:
    """A candidate before its test events."""

    shop: Workshop
    candidate: Candidate
    release: Loaded
    dataset: Dataset
    scored: Scored
    seed: int


@stage()
def evaluate(module: str, tenant: str, release_id: str, seed: int = 7) -> None:
    """Metrics with intervals, slices, fairness, the champion on the same events; card, plots and MLflow run written."""
    with announced("evaluate") as result:
        shop = workshop(module, tenant)
        candidate = recall(shop.evidence(release_id), Candidate)
        release = load(shop.releases.load(release_id))
        everything = load_dataset(shop, release.contract)
        advance(0.1, 1, "deciding the test events anew")
        dataset = tested(everything, candidate)
        trial = _Trial(shop, candidate, release, dataset, _score(shop, release, dataset), seed)
        _leave_reference(trial, everything)
        learnt = examine(shop, release.contract, Examined(candidate, everything, dataset, trial.scored.probability))
        facts = _measure(trial, data(learnt, release.policy.limits))
        advance(0.8, 1, "card, plots, MLflow")
        _leave_all(trial, facts)
        found = facts.evaluation.metrics
        result.words = f"AP {found['average_precision'].text()}, AUC {found['roc_auc'].text()}"


def _score(shop: Workshop, release: Loaded, dataset: Dataset) -> Scored:
    """The whole release over past events: model, rules and policy."""
    events = past_events(shop, int(dataset.time.min()), set(dataset.event_id))
    past = decide_past(release, events, dataset.matrix)
    return Scored(
        probability=past.probability,
        chosen=past.action,
        label=dataset.label,
        amount=dataset.amount,
        time=dataset.time,
        customer=dataset.customer,
        slices=slices(dataset, release.contract, release.policy.base_currency),
    )


def _measure(trial: _Trial, believed: Verdict) -> CardFacts:
    policy, scored = trial.release.policy, trial.scored
    advance(0.4, 1, "metrics with intervals")
    evaluation = measure(scored, policy, trial.seed)
    flagged = scored.chosen > Action.APPROVE
    fairness, fair = audit(flagged, scored.label, scored.customer, trial.dataset.protected, policy.limits)
    advance(0.6, 1, "the champion on the same events")
    champion, comparison = _beside_champion(trial)
    is_edit = champion is not None and trial.candidate.made_from == champion
    verdicts = [believed, improvement(evaluation, comparison, policy.limits, is_edit=is_edit), fair]
    stored = trial.shop.releases.load(trial.release.id)
    training, known = trial.candidate.training, _declined(trial)
    return CardFacts(stored, training, evaluation, fairness, verdicts, comparison, champion, known)


def _declined(trial: _Trial) -> Declined | None:
    """How good its declines are, by what was let through of them; None where nothing ever was."""
    found, scored = drawn(trial.shop), trial.scored
    if found is None:
        return None
    chance, through = found.over(trial.dataset.event_id)
    return declined(scored.chosen, scored.label, Seen(chance, (chance == 1) | through), scored.customer)


def _beside_champion(trial: _Trial) -> tuple[str | None, Comparison | None]:
    shop = trial.shop
    champion_id = shop.releases.champion(shop.module.name, shop.tenant)
    if champion_id is None or champion_id == trial.release.id:
        return None, None
    champion = load(shop.releases.load(champion_id))
    is_alike = champion.contract == trial.release.contract
    theirs = _score(shop, champion, trial.dataset if is_alike else _same_events(trial, champion.contract))
    return champion_id, compare(trial.scored, theirs, trial.release.policy.costs, trial.seed)


def _same_events(trial: _Trial, contract: Contract) -> Dataset:
    """The test events with the features of another contract, in the same order."""
    derive(trial.shop, contract)
    other = tested(load_dataset(trial.shop, contract), trial.candidate)
    row = {event: i for i, event in enumerate(other.event_id)}
    return other.rows(np.array([row[event] for event in trial.dataset.event_id], np.int64))


def _leave_reference(trial: _Trial, everything: Dataset) -> None:
    """What live traffic will be compared with: events since the model was fitted, when every window was full."""
    recent = np.flatnonzero(everything.time >= trial.candidate.training.boundaries.fit_at)
    chosen = everything.rows(recent[:: max(1, recent.size // REFERENCE_ROWS)])
    events = past_events(trial.shop, int(chosen.time.min()), set(chosen.event_id))
    past = decide_past(trial.release, events, chosen.matrix)
    columns = {name: chosen.matrix[:, i] for i, name in enumerate(chosen.names)}
    table = pa.table(
        {
            **columns,
            "event_time": chosen.time,
            "amount_base": chosen.amount,
            "probability": past.probability,
            "score": past.score,
            "action": [Action(code).name for code in past.action.tolist()],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    leave_bytes(trial.shop.evidence(trial.release.id) / REFERENCE, sink.getvalue().to_pybytes())


def _leave_all(trial: _Trial, facts: CardFacts) -> None:
    folder = trial.shop.evidence(trial.release.id)
    pictures = figures(facts.evaluation, facts.training.importance, facts.release.policy)
    for name, png in pictures.items():
        leave_bytes(folder / "plots" / name, png)
    leave_bytes(folder / "evaluation.json", msgspec.json.encode(_plain(facts.evaluation)))
    leave_bytes(folder / "fairness.json", msgspec.json.encode(facts.fairness))
    leave_bytes(folder / "card.md", render(facts).encode())
    run = record(trial.shop, facts, pictures)
    leave(folder, _measured(facts, run.run_id, run.version))
    leave(folder, Verdicts(trial.release.id, list(facts.verdicts)))


def _plain(value: object) -> Mapping[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]


def _measured(facts: CardFacts, run: str, version: str) -> Measured:
    evaluation = facts.evaluation
    return Measured(
        release_id=facts.release.id,
        metrics={name: _ends(interval) for name, interval in evaluation.metrics.items()},
        decisions=dict(evaluation.decisions),
        test_events=evaluation.events,
        test_fraud=evaluation.frauds,
        base_currency=evaluation.currency,
        champion=facts.champion,
        mlflow_run=run,
        mlflow_version=version,
    )


def _ends(interval: Interval) -> tuple[float | None, float | None, float | None]:
    value, low, high = (x if isfinite(x) else None for x in asdict(interval).values())
    return value, low, high
