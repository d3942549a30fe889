"""What a rule decides alone: events whose outcome would be another if that rule were taken out of the rulebook."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.bands import Cuts
from fradect.bulk import Effects, Trace, settle
from fradect.rulebook import Rule
from fradect.types import Action

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Alone:
    """Rows whose outcome hangs on one rule, and the Action that each would be without it."""

    rows: Ints
    without: Ints


def alone(rules: Sequence[Rule], trace: Trace) -> Iterator[tuple[Rule, Alone]]:
    """For each rule of the release that left this trace. A rule that could not run counts by its caution."""
    held = _Held.of(rules, trace)
    for rule in rules:
        ran = trace.ran[rule.id]
        hit = ran.hit if rule.points or rule.floor or rule.allow else ran.hit[:0]
        unable = ran.unable if rule.cautious else ran.unable[:0]
        rows = np.concatenate([hit, unable])
        did_hit = np.arange(rows.size) < hit.size
        without = _without(rule, trace, held, rows, did_hit)
        other = without != trace.past.action[rows]
        order = np.argsort(rows[other], kind="stable")
        yield rule, Alone(rows[other][order], without[other][order])


@dataclass(frozen=True, slots=True)
class _Held:
    """How many ask for the same, of each event: a REVIEW at least, a DECLINE, an allowance."""

    review: Ints
    decline: Ints
    allow: Ints

    @classmethod
    def of(cls, rules: Sequence[Rule], trace: Trace) -> "_Held":
        n = trace.past.action.size
        held = cls(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))
        held.review[trace.broken] += 1
        for rule in rules:
            ran = trace.ran[rule.id]
            for floor, rows in ((rule.floor, ran.hit), (rule.cautious, ran.unable)):
                if floor:
                    (held.review if floor is Action.REVIEW else held.decline)[rows] += 1
            if rule.allow:
                held.allow[ran.hit] += 1
        return held


def _without(rule: Rule, trace: Trace, held: _Held, rows: Ints, did_hit: Flags) -> Ints:
    own = np.where(did_hit, rule.floor, rule.cautious)
    declined = held.decline[rows] - (own == Action.DECLINE) > 0
    reviewed = held.review[rows] - (own == Action.REVIEW) > 0
    effects = Effects(
        trace.effects.points[rows] - np.where(did_hit, rule.points, 0),
        np.select([declined, reviewed], [int(Action.DECLINE), int(Action.REVIEW)], int(Action.APPROVE)),
        held.allow[rows] - (did_hit & rule.allow) > 0,
    )
    cuts = Cuts(trace.cuts.review[rows], trace.cuts.decline[rows])
    return settle(trace.past.probability[rows], effects, cuts)[1]
