"""Why a score is what it is: points that add up to it exactly, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, floor, isfinite, isnan

import msgspec
import numpy as np
import numpy.typing as npt

from fradect.bands import Band, Thresholds
from fradect.features.contract import Contract
from fradect.policy import RuleEffects, combine, model_score
from fradect.rules import Findings
from fradect.types import Event, Factor, Vector
from fradect.words import Words

SHOWN = 6  # model factors named one by one; the others are summed
_TOO_MUCH = 1e9  # points: contributions so large that they cancel out explain nothing

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Exact contributions of the features to the calibrated log-odds, and the log-odds of the baseline."""

    contributions: Floats
    baseline: float


class ModelPart(msgspec.Struct, frozen=True):
    """What the model said, None when it could not, and why, None when nobody asked."""

    probability: float | None
    why: Explanation | None = None


def factors(
    part: ModelPart, findings: Findings, vector: Vector, thresholds: Thresholds, words: Words
) -> tuple[Factor, ...]:
    """Factors whose points add up to `combine(part.probability, findings.effects, thresholds)`, whatever the input.

    Without an explanation the model's part is one factor. A band that decided is named, for no points.
    """
    effects = findings.effects
    score = combine(part.probability, effects, thresholds)
    reasons = _model(part, vector, words)
    reasons += [Factor(hit.id, hit.points, hit.text, "rule") for hit in findings.hits]
    reached = sum(factor.points for factor in reasons)
    if reached != score:
        reasons.append(_limit(score - reached, score, effects))
    if isinstance(thresholds, Band):
        reasons.append(_band(thresholds))
    return tuple(reasons)


def _model(part: ModelPart, vector: Vector, words: Words) -> list[Factor]:
    if part.probability is None or isnan(part.probability):
        return [Factor("model", 0, "no model took part", "model")]
    score = model_score(part.probability)
    shares = None if part.why is None else scaled(part.why)
    if part.why is None or shares is None:
        return [Factor("model", score, "what the model says of it", "model", part.probability)]
    baseline = round(1000 * _sigmoid(part.why.baseline))
    start = Factor("baseline", baseline, "where the model starts: the average of its training data", "model")
    return [start, *_features(shares, score - baseline, vector, words)]


def _features(shares: Floats, total: int, vector: Vector, words: Words) -> list[Factor]:
    biggest = np.argsort(-np.abs(shares), kind="stable").tolist()
    shown = [i for i in biggest[:SHOWN] if shares[i] != 0.0]
    others = float(shares[biggest[len(shown) :]].sum())
    points = apportion([*shares[shown].tolist(), others], total)
    named = [_feature(vector, i, each, words) for i, each in zip(shown, points, strict=False)]
    return [*named, Factor("other", points[-1], "all other features together", "model")]


def _feature(vector: Vector, i: int, points: int, words: Words) -> Factor:
    name, value = vector.names[i], vector.values[i]
    text = words.reason(name, value, vector.missing.get(name, ""))
    return Factor(name, points, text, "model", None if isnan(value) else value)


def scaled(why: Explanation) -> Floats | None:
    """Contributions in points: each times the mean slope of the score between baseline and result.

    They add up to the unrounded difference of the two scores. Where contributions cancel out, the mean slope is
    the slope at the baseline. None where they are no numbers that points could be made of.
    """
    total = float(why.contributions.sum())
    if not isfinite(total + why.baseline):
        return None
    start = _sigmoid(why.baseline)
    slope = start * (1.0 - start)
    if abs(total) > 1e-6:
        slope = (_sigmoid(why.baseline + total) - start) / total
    shares: Floats = 1000.0 * slope * why.contributions
    return shares if float(np.abs(shares).sum()) < _TOO_MUCH else None


def apportion(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, each near its share: rounded by largest remainder."""
    points = [floor(share) for share in shares]
    each, left = divmod(total - sum(points), len(points))
    by_remainder = sorted(range(len(points)), key=lambda i: points[i] - shares[i])
    for place, i in enumerate(by_remainder):
        points[i] += each + (place < left)
    return points


def _limit(points: int, score: int, effects: RuleEffects) -> Factor:
    text = "the scale ends at 1000"
    if points > 0:
        text = "rules only raise a score"
    elif effects.allow and score < 1000:
        text = "an allowance keeps the score below review"
    return Factor("limit", points, text, "scale")


def unsaid(contract: Contract, event: Event) -> tuple[Factor, ...]:
    """For no points, what the contract builds on and the event does not say; its features are unknown."""
    fields = event.fields
    names = [n for n in contract.requires if fields.get(n) is None and fields.get(f"{n}_token") is None]
    return (Factor("unknown", 0, f"decided without {', '.join(names)}", "event"),) if names else ()


def _band(band: Band) -> Factor:
    return Factor(
        "thresholds", 0, f"{band.name}: reviewed from {band.review}, declined from {band.decline}", "policy", band.name
    )


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds)) if log_odds >= 0 else exp(log_odds) / (1.0 + exp(log_odds))
