"""Why a score is what it is: points that add up to it exactly, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isnan

import numpy as np
import numpy.typing as npt

from fradect.bands import Band, Thresholds
from fradect.policy import combine, model_score
from fradect.rules import Findings
from fradect.types import Factor, Vector
from fradect.words import Words

SHOWN = 6  # model factors named one by one; the others are summed

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Exact contributions of the features to the calibrated log-odds, and the log-odds of the baseline."""

    contributions: Floats
    baseline: float


@dataclass(frozen=True, slots=True)
class ModelPart:
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
    rules = [Factor(hit.id, hit.points, hit.text, "rule") for hit in findings.hits]
    reasons = [*_model(part, vector, words), *rules]
    reached = sum(factor.points for factor in reasons)
    if reached != score:
        reasons.append(_limit(score - reached, effects.allow))
    if isinstance(thresholds, Band):
        reasons.append(_band(thresholds))
    return tuple(reasons)


def _model(part: ModelPart, vector: Vector, words: Words) -> list[Factor]:
    if part.probability is None or isnan(part.probability):
        return [Factor("model", 0, "no model took part", "model")]
    score = model_score(part.probability)
    if part.why is None:
        return [Factor("model", score, "what the model says of it", "model", part.probability)]
    baseline = round(1000 * _sigmoid(part.why.baseline))
    start = Factor("baseline", baseline, "where the model starts: the average of its training data", "model")
    return [start, *_features(scaled(part.why), score - baseline, vector, words)]


def _features(shares: Floats, total: int, vector: Vector, words: Words) -> list[Factor]:
    shown = [int(i) for i in np.argsort(-np.abs(shares), kind="stable")[:SHOWN] if shares[i] != 0.0]
    others = float(np.delete(shares, shown).sum())
    *points, rest = apportion([*(float(shares[i]) for i in shown), others], total)
    named = [
        Factor(name, points, words.reason(name, value), "model", None if isnan(value) else value)
        for name, value, points in ((vector.names[i], vector.values[i], p) for i, p in zip(shown, points, strict=True))
    ]
    return [*named, Factor("other", rest, "all other features together", "model")]


def scaled(why: Explanation) -> Floats:
    """Contributions in points: each times the mean slope of the score between baseline and result.

    They add up to the unrounded difference of the two scores. Where contributions cancel out, the mean slope is
    the slope at the baseline.
    """
    total = float(why.contributions.sum())
    start = _sigmoid(why.baseline)
    slope = start * (1.0 - start)
    if abs(total) > 1e-6:
        slope = (_sigmoid(why.baseline + total) - start) / total
    return 1000.0 * slope * why.contributions


def apportion(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, each near its share: rounded by largest remainder."""
    floors = np.floor(shares)
    each, left = divmod(total - int(floors.sum()), len(shares))
    remainder = np.argsort(-(np.asarray(shares) - floors), kind="stable")
    points = floors.astype(np.int64) + each
    points[remainder[:left]] += 1
    return [int(p) for p in points]


def _limit(points: int, allowed: bool) -> Factor:
    text = "an allowance keeps the score below review" if allowed else "the scale ends at 1000"
    return Factor("limit", points, text, "scale")


def _band(band: Band) -> Factor:
    return Factor(
        "thresholds", 0, f"{band.name}: reviewed from {band.review}, declined from {band.decline}", "policy", band.name
    )


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds)) if log_odds >= 0 else exp(log_odds) / (1.0 + exp(log_odds))
