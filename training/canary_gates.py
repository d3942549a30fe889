"""Guardrails of a trial: may it go on? Each is judged at any moment, as often as anybody likes.

    evidence = START
    evidence = with_decided(evidence, decided, rails)            # at once, in the shadow and on the canary
    evidence = with_labelled(evidence, matured, costs, rails)    # when labels have matured
    verdicts(evidence, rails)                                    # of a canary; of a shadow, shadow_verdicts

All are pure functions. The champion's policy judges: a release does not set its own limits. In the shadow both
releases' errors are known of one event, on a canary of one arm each; the evidence goes on from one to the other.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
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
    share_excess,
)
from training.sequential import Excess, Ints, Values

UNPAIRED = ("errors", "degraded", "slow")
PAIRED = ("declines", "declines_fewer", "reviews", "scores_up", "scores_down")
GUARDRAILS = (*UNPAIRED, *PAIRED, "cost")
SHADOW = ("agreement", "latency")
"""Asked in the shadow alone. Its judgements wait for their turn, so the clock says little of them: only a release that
takes too long more often than not is sent back by it; on a canary whole requests are compared."""

MOSTLY = 0.5

Counting = Callable[[str, Flags, Flags], Flags]
"""Of a guardrail's name, the rows that it looks at, and those that say something: the rows that count."""


def everything(_name: str, looked_at: Flags, _marked: Flags) -> Flags:
    """Every row: right where no two are of one customer."""
    return looked_at


@dataclass(frozen=True, slots=True)
class Watched:
    """What one guardrail has seen: decisions of each arm, what they sum to in each release, and the excess.

    Counts and sums are of every decision, the excess of those that are evidence: see `count`. The sums are counts of
    what the guardrail counts, or of points; of pairs they are over both arms. Cost has none.
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
        return self._with(values, (ours, in_canary.size - ours), (int(canary.sum()), int(champion.sum())))

    def add_both(self, values: Values, canary: Flags, champion: Flags) -> Self:
        """The same where each event is one of either release."""
        return self._with(values, (canary.size, canary.size), (int(canary.sum()), int(champion.sum())))

    def _with(self, values: Values, seen: tuple[int, int], sums: tuple[int, int]) -> Self:
        return type(self)(
            self.excess.add(values),
            self.canary + seen[0],
            self.champion + seen[1],
            self.canary_sum + sums[0],
            self.champion_sum + sums[1],
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


def with_decided(evidence: Evidence, batch: Decided, rails: Guardrails, count: Counting = everything) -> Evidence:
    """Rates of both arms and pairs of decisions, known as soon as they are made. One batch has one share."""
    found = dict(_pairs(evidence, batch, rails, count))
    if batch.share:
        found.update(_rates(evidence, batch, rails, count))
    elif batch.beside is not None:
        found.update(_both_rates(evidence, batch, rails, count))
    return Evidence({**evidence.watched, **found})


def _rates(evidence: Evidence, batch: Decided, rails: Guardrails, count: Counting) -> Iterator[tuple[str, Watched]]:
    flags = {"errors": batch.failed, "degraded": batch.degraded, "slow": batch.slow}
    for name, bad in flags.items():
        rows, here = count(name, np.ones(bad.size, np.bool_), bad), batch.in_canary
        values = rate_excess(bad[rows], here[rows], batch.share, _tolerated(name, rails))
        yield name, evidence.of(name).add(values, here, bad[here], bad[~here])


def _both_rates(
    evidence: Evidence, batch: Decided, rails: Guardrails, count: Counting
) -> Iterator[tuple[str, Watched]]:
    """In the shadow: both releases' on the same event."""
    beside = batch.beside
    if beside is None:
        return
    for name, ours, theirs in (
        ("errors", beside.failed, batch.failed),
        ("degraded", beside.degraded, batch.degraded),
    ):
        rows = count(name, beside.asked, beside.asked & (ours | theirs))
        values = paired_excess(ours[rows], theirs[rows], _tolerated(name, rails))
        yield name, evidence.of(name).add_both(values, ours[beside.asked], theirs[beside.asked])
    apart = batch.canary_action != batch.champion_action
    shares = {
        "latency": (beside.asked, beside.slow, batch.slow, MOSTLY),
        "agreement": (batch.paired, apart, apart, rails.disagreement),
    }
    for name, (looked_at, ours, theirs, tolerated) in shares.items():
        values = share_excess(ours[count(name, looked_at, looked_at)], tolerated)
        yield name, evidence.of(name).add_both(values, ours[looked_at], theirs[looked_at])


def _pairs(evidence: Evidence, batch: Decided, rails: Guardrails, count: Counting) -> Iterator[tuple[str, Watched]]:
    pair, ours, theirs = batch.paired, batch.canary_action, batch.champion_action
    declined, declined_too = ours == Action.DECLINE, theirs == Action.DECLINE
    reviewed, reviewed_too = ours == Action.REVIEW, theirs == Action.REVIEW
    scores, scores_too = batch.canary_score, batch.champion_score
    either = declined | declined_too
    compared = {
        "declines": (partial(paired_excess, more=rails.declines_more), either, declined, declined_too),
        "declines_fewer": (partial(paired_lack, fewer=rails.declines_fewer), either, declined, declined_too),
        "reviews": (partial(paired_excess, more=rails.reviews_more), reviewed | reviewed_too, reviewed, reviewed_too),
        "scores_up": (partial(score_excess, shift=rails.score_shift), pair, scores, scores_too),
        "scores_down": (partial(_score_lack, shift=rails.score_shift), pair, scores, scores_too),
    }
    for name, (excess, marked, canary, champion) in compared.items():
        rows = count(name, pair, pair & marked)
        values = excess(canary[rows], champion[rows])
        yield name, evidence.of(name).add(values, batch.in_canary[pair], canary[pair], champion[pair])


def _score_lack(ours: Ints, theirs: Ints, shift: float) -> Values:
    return score_excess(theirs, ours, shift)


def with_labelled(
    evidence: Evidence, matured: Labelled, costs: CostModel, rails: Guardrails, count: Counting = everything
) -> Evidence:
    """What decisions cost, from pairs whose labels have matured, in the order in which they were decided."""
    values = cost_excess(_counted(matured, count), costs, rails)
    return Evidence({**evidence.watched, "cost": _with_cost(evidence.of("cost"), matured, values)})


def with_waiting(
    foreseen: Watched, waiting: Labelled, costs: CostModel, rails: Guardrails, count: Counting = everything
) -> Watched:
    """The cost of the matured pairs (`foreseen`) with pairs that were decided after them and the labels that came
    early; each that is still to come as it would suit the canary best."""
    return _with_cost(foreseen, waiting, cost_excess_at_best(_counted(waiting, count), costs, rails))


def _counted(pairs: Labelled, count: Counting) -> Labelled:
    looked_at = np.ones(pairs.in_canary.size, np.bool_)
    return pairs.at(count("cost", looked_at, pairs.canary_action != pairs.champion_action))


def _with_cost(cost: Watched, pairs: Labelled, values: Values | None) -> Watched:
    nothing = np.zeros(0, np.int64)
    return cost.add(values, pairs.in_canary, nothing, nothing)


def verdicts(evidence: Evidence, rails: Guardrails, foreseen: Watched | None = None) -> tuple[Verdict, ...]:
    """One of each guardrail. `foreseen`: the cost with the pairs whose labels are still maturing, at best.

    Where even the best that can still come for the waiting ones leaves the canary too dear, it fails before they
    mature; the same alpha covers both.
    """
    judged = [_judge(name, evidence.of(name), rails) for name in GUARDRAILS]
    if foreseen is None or judged[-1].result == "fail":
        return tuple(judged)
    early = _judge("cost", foreseen, rails)
    waiting = foreseen.canary - evidence.of("cost").canary
    if early.result == "fail":
        said = f"{early.reason}, whatever the labels that are still to come"
        judged[-1] = Verdict("cost", "fail", said, {**early.evidence, "waiting": waiting})
    else:
        judged[-1] = Verdict("cost", judged[-1].result, judged[-1].reason, {**judged[-1].evidence, "waiting": waiting})
    return tuple(judged)


def shadow_verdicts(evidence: Evidence, rails: Guardrails) -> tuple[Verdict, ...]:
    """Of a release that decides nothing yet: what it would have done. Of cost see training/gate.py, `matured`."""
    return tuple(_judge(name, evidence.of(name), rails) for name in ("errors", "degraded", *PAIRED, *SHADOW))


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
    ours, theirs = (both, both) if name in PAIRED else (watched.canary, watched.champion)
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
        "agreement": rails.disagreement,
        "latency": MOSTLY,
    }[name]


def _said(name: str, found: Mapping[str, Any]) -> str:
    if name == "cost":
        return f"a decision costs {found['excess']:,.0f} minor units more than the champion's"
    ours, theirs = found["canary"], found["champion"]
    if ours is None or theirs is None:
        return f"{name}: nothing seen of one arm"
    if name.startswith("scores"):
        return f"mean score {ours:.1f} against {theirs:.1f}"
    if name == "agreement":
        return f"it acts apart on {100 * ours:.2f} % of the events"
    if name == "latency":
        return f"{100 * ours:.2f} % of its judgements are slow"
    return f"{name.removesuffix('_fewer')} {100 * ours:.3f} % against {100 * theirs:.3f} %"
