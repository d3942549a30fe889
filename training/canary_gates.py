"""Guardrails of a canary: may it go on deciding? Each is judged at any moment, as often as anybody likes.

    evidence = START
    evidence = with_decided(evidence, decided, rails)            # at once
    evidence = with_labelled(evidence, matured, costs, rails)    # when labels have matured
    verdicts(evidence, rails)

All are pure functions. The champion's policy judges: a release does not set its own limits.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import msgspec
import numpy as np

from fradect.modules.declaration import CostModel
from fradect.policy import Guardrails
from fradect.types import Action, Verdict
from training.canary_values import (
    Decided,
    Flags,
    Labelled,
    cost_excess,
    cost_excess_at_best,
    paired_excess,
    paired_lack,
    rate_excess,
    score_excess,
)
from training.sequential import Excess, Ints, Values

UNPAIRED = ("errors", "degraded", "slow")
PAIRED = ("declines", "declines_fewer", "reviews", "scores_up", "scores_down")
GUARDRAILS = (*UNPAIRED, *PAIRED, "cost")


@dataclass(frozen=True, slots=True)
class Watched:
    """What one guardrail has seen: decisions of each arm, what they sum to in each release, and the excess.

    The sums are counts of what the guardrail counts, or of points; of pairs they are over both arms. Cost has none.
    """

    excess: Excess = field(default_factory=Excess)
    canary: int = 0
    champion: int = 0
    canary_sum: int = 0
    champion_sum: int = 0

    def add(self, values: Values | None, in_canary: Flags, canary: Ints | Flags, champion: Ints | Flags) -> Self:
        """`canary` and `champion`: what is summed of each release."""
        if values is None:
            return self
        ours = int(in_canary.sum())
        return type(self)(
            self.excess.add(values),
            self.canary + ours,
            self.champion + in_canary.size - ours,
            self.canary_sum + int(canary.sum()),
            self.champion_sum + int(champion.sum()),
        )


class Evidence(msgspec.Struct, frozen=True):
    """All that the guardrails need to know of the past: stored as JSON, read again, it goes on as if never stopped."""

    watched: Mapping[str, Watched] = MappingProxyType({})

    def of(self, name: str) -> Watched:
        return self.watched.get(name, Watched())

    def to_json(self) -> bytes:
        return msgspec.json.encode({"watched": dict(self.watched)}, order="deterministic")

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        return msgspec.json.decode(raw, type=cls)


START = Evidence()


def with_decided(evidence: Evidence, batch: Decided, rails: Guardrails) -> Evidence:
    """Rates of both arms and pairs of decisions, known as soon as they are made. One batch has one share."""
    return Evidence(
        {**evidence.watched, **dict(_rates(evidence, batch, rails)), **dict(_pairs(evidence, batch, rails))}
    )


def _rates(evidence: Evidence, batch: Decided, rails: Guardrails) -> Iterator[tuple[str, Watched]]:
    flags = {"errors": batch.failed, "degraded": batch.degraded, "slow": batch.slow}
    more = {"errors": rails.errors_more, "degraded": rails.degraded_more, "slow": rails.slow_more}
    here = batch.in_canary
    for name, bad in flags.items():
        values = rate_excess(bad, here, batch.share, more[name])
        yield name, evidence.of(name).add(values, here, bad[here], bad[~here])


def _pairs(evidence: Evidence, batch: Decided, rails: Guardrails) -> Iterator[tuple[str, Watched]]:
    pair = batch.paired
    where, ours, theirs = batch.in_canary[pair], batch.canary_action[pair], batch.champion_action[pair]
    declined, declined_too = ours == Action.DECLINE, theirs == Action.DECLINE
    reviewed, reviewed_too = ours == Action.REVIEW, theirs == Action.REVIEW
    scores, scores_too = batch.canary_score[pair], batch.champion_score[pair]
    values = {
        "declines": (paired_excess(declined, declined_too, rails.declines_more), declined, declined_too),
        "declines_fewer": (paired_lack(declined, declined_too, rails.declines_fewer), declined, declined_too),
        "reviews": (paired_excess(reviewed, reviewed_too, rails.reviews_more), reviewed, reviewed_too),
        "scores_up": (score_excess(scores, scores_too, rails.score_shift), scores, scores_too),
        "scores_down": (score_excess(scores_too, scores, rails.score_shift), scores, scores_too),
    }
    for name, (found, canary, champion) in values.items():
        yield name, evidence.of(name).add(found, where, canary, champion)


def with_labelled(evidence: Evidence, matured: Labelled, costs: CostModel, rails: Guardrails) -> Evidence:
    """What decisions cost, from pairs whose labels have matured, in the order in which they were decided."""
    nothing = np.zeros(0, np.int64)
    cost = evidence.of("cost").add(cost_excess(matured, costs, rails), matured.in_canary, nothing, nothing)
    return Evidence({**evidence.watched, "cost": cost})


def verdicts(
    evidence: Evidence, rails: Guardrails, waiting: Labelled | None = None, costs: CostModel | None = None
) -> tuple[Verdict, ...]:
    """One of each guardrail. `waiting`: pairs decided after the matured ones, with the labels that came early.

    Where even the best that can still come for the waiting ones leaves the canary too dear, it fails before they
    mature; the same alpha covers both.
    """
    judged = [_judge(name, evidence.of(name), rails) for name in GUARDRAILS]
    if waiting is None or costs is None or judged[-1].result == "fail":
        return tuple(judged)
    at_best = cost_excess_at_best(waiting, costs, rails)
    nothing = np.zeros(0, np.int64)
    foreseen = _judge("cost", evidence.of("cost").add(at_best, waiting.in_canary, nothing, nothing), rails)
    if foreseen.result == "fail":
        early = f"{foreseen.reason}, whatever the labels that are still to come"
        judged[-1] = Verdict("cost", "fail", early, {**foreseen.evidence, "waiting": int(waiting.in_canary.size)})
    return tuple(judged)


def _judge(name: str, watched: Watched, rails: Guardrails) -> Verdict:
    alpha = rails.alpha / len(GUARDRAILS)
    found = _found(name, watched, rails, alpha)
    said = _said(name, found)
    if watched.excess.above.peak >= -math.log(alpha):
        return Verdict(name, "fail", f"{said}: certainly more than tolerated", found)
    seen = watched.canary + watched.champion if name in PAIRED else watched.canary
    least = rails.least_matured if name == "cost" else rails.least_decisions
    if seen < least:
        what = {"cost": "matured decisions of the canary", **dict.fromkeys(PAIRED, "pairs")}
        reason = f"{seen:,} of {least:,} {what.get(name, 'decisions of the canary')}"
        return Verdict(name, "not enough data", reason, found)
    return Verdict(name, "pass", f"{said}: not certainly more than tolerated", found)


def _found(name: str, watched: Watched, rails: Guardrails, alpha: float) -> dict[str, Any]:
    excess, unit = watched.excess, float(rails.cost_cap) if name == "cost" else 1.0
    low, high = excess.low(alpha), excess.high(alpha)
    return {
        "excess": excess.mean * unit,
        "low": low * unit if math.isfinite(low) else None,
        "high": high * unit if math.isfinite(high) else None,
        "tolerated": _tolerated(name, rails),
        "canary_decisions": watched.canary,
        "champion_decisions": watched.champion,
        **_means(name, watched),
        "alpha": alpha,
        "log_evidence": excess.above.peak,
        "log_needed": -math.log(alpha),
        **({"cap": rails.cost_cap} if name == "cost" else {}),
    }


def _means(name: str, watched: Watched) -> dict[str, float | None]:
    if name == "cost":
        return {}
    both = watched.canary + watched.champion
    ours, theirs = (watched.canary, watched.champion) if name in UNPAIRED else (both, both)
    return {
        "canary": watched.canary_sum / ours if ours else None,
        "champion": watched.champion_sum / theirs if theirs else None,
    }


def _tolerated(name: str, rails: Guardrails) -> float:
    return {
        "errors": rails.errors_more,
        "degraded": rails.degraded_more,
        "slow": rails.slow_more,
        "declines": rails.declines_more,
        "declines_fewer": rails.declines_fewer,
        "reviews": rails.reviews_more,
        "scores_up": rails.score_shift,
        "scores_down": rails.score_shift,
        "cost": rails.cost_more,
    }[name]


def _said(name: str, found: Mapping[str, Any]) -> str:
    if name == "cost":
        return f"a decision costs {found['excess']:,.0f} minor units more than the champion's"
    ours, theirs = found["canary"], found["champion"]
    if ours is None or theirs is None:
        return f"{name}: nothing seen of one arm"
    if name.startswith("scores"):
        return f"mean score {ours:.1f} against {theirs:.1f}"
    return f"{name.removesuffix('_fewer')} {100 * ours:.3f} % against {100 * theirs:.3f} %"
