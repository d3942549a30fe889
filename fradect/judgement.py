"""A decision as a pure function: a loaded release and a vector in, action, score and reasons out."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from fradect import rules as rulesets
from fradect.factors import Explanation, ModelPart, factors, unsaid
from fradect.features.contract import Contract, Kind
from fradect.features.live import Reader
from fradect.modules import module_of
from fradect.modules.declaration import Module
from fradect.policy import Policy, combine, decide
from fradect.release import Release
from fradect.rules import NO_SIGNALS, Rules
from fradect.scoring import Scorer
from fradect.types import Action, Event, Factor, Value, Vector
from fradect.words import Words

MODEL, RULES = "model", "rules"  # what a judgement can be made without, beside what the vector lacks
FACTORS = "factors"  # and what can be left out of it in a hurry, which changes no action


class Model(Protocol):
    """What is asked of a model: see Scorer."""

    def probability(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...

    def probability_of(self, row: tuple[float, ...]) -> float: ...

    def contributions(self, row: tuple[float, ...]) -> tuple[npt.NDArray[np.float64], float]: ...

    def contributions_of_all(
        self, rows: npt.NDArray[np.float64], threads: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A release at work: parsed, checked, its model in memory."""

    id: str
    module: Module
    contract: Contract
    policy: Policy
    model: Model
    rules: Rules
    words: Words
    reader: Reader
    reads_batch: bool


class Judgement(msgspec.Struct, frozen=True):
    """What a release says about one vector. `degraded`: what it was said without."""

    action: Action
    score: int
    probability: float | None
    factors: tuple[Factor, ...]
    could_not_run: tuple[str, ...]
    degraded: tuple[str, ...]


def load(release: Release) -> Loaded:
    """Parse every part. The release's digests have been checked; InvalidInput when its rulebook is not sound."""
    module = module_of(release.module)
    words = Words(release.contract, release.policy.base_currency, release.typical)
    rulebook = rulesets.load(release.rulebook, module)
    return Loaded(
        release.id,
        module,
        release.contract,
        release.policy,
        Scorer(release.model, release.calibrator, release.contract),
        Rules(rulebook, release.contract, module, words),
        words,
        Reader(module, release.contract),
        bool(release.contract.of_kind(Kind.BATCH)),
    )


def judge(  # noqa: PLR0913  all of them are what the answer is a function of
    release: Loaded,
    event: Event,
    vector: Vector,
    gone: tuple[str, ...],
    *,
    explain: bool,
    signals: Mapping[str, Value] = NO_SIGNALS,
) -> Judgement:
    """Model and rules, combined, decided, explained. Total: a part that fails is named, and makes it REVIEW.

    `gone`: what the vector had to be made without; anything there but FACTORS makes it REVIEW as well.
    """
    part = _ask(release.model, vector, explain and FACTORS not in gone)
    findings = release.rules.find(event, vector, signals)
    effects, thresholds = findings.effects, release.policy.at(event.fields)
    score = combine(part.probability, effects, thresholds)
    action = decide(score, effects, thresholds, model_missing=part.probability is None)
    degraded = gone
    if part.probability is None:
        degraded = (*degraded, MODEL)
    if findings.broken:
        degraded = (*degraded, RULES)
    if degraded and any(what != FACTORS for what in degraded):
        action = max(action, Action.REVIEW)
    return Judgement(
        action=action,
        score=score,
        probability=part.probability,
        factors=factors(part, findings, vector, thresholds, release.words) + unsaid(release.contract, event),
        could_not_run=findings.could_not_run,
        degraded=degraded,
    )


def _ask(model: Model, vector: Vector, explain: bool) -> ModelPart:
    try:
        probability = model.probability_of(vector.values)
        why = Explanation(*model.contributions(vector.values)) if explain else None
    except Exception:  # noqa: BLE001  a release brings its model along, of any make: without its answer the decision is made, and says so
        return ModelPart(None)
    return ModelPart(None if isnan(probability) else probability, why)
