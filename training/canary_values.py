"""What is measured while two releases share the traffic: values whose mean is above nought where the canary is worse.

Pure functions of a batch of decisions. A pair is an event of which both releases' decisions are known, because the one
that did not decide it scored it in the shadow; where both decide alike a pair says nothing, which is what makes pairs
strong. docs/concepts/promotion.md has the formulas in words.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.modules.declaration import CostModel
from fradect.policy import Amounts, Guardrails, money_saved
from fradect.types import Action
from training.sequential import Floats, Ints, Values

Flags = npt.NDArray[np.bool_]

UNKNOWN = -1
"""An action or score that the other release did not give; a label that has not come."""


@dataclass(frozen=True, slots=True)
class Beside:
    """How the release did that was asked beside the one that decided, event by event; `asked`: whether it was."""

    asked: Flags
    failed: Flags
    degraded: Flags
    slow: Flags


@dataclass(frozen=True, slots=True)
class Decided:
    """n decisions of both arms, made while the canary had one `share` of the customers.

    `failed`, `degraded`, `slow`: how the deciding release did. Actions and scores are both releases', UNKNOWN where the
    other one was not asked. `beside`: of a shadow, which has no arm of its own.
    """

    share: float
    in_canary: Flags
    failed: Flags
    degraded: Flags
    slow: Flags
    canary_action: Ints
    champion_action: Ints
    canary_score: Ints
    champion_score: Ints
    beside: Beside | None = None

    def __post_init__(self) -> None:
        _check("Decided", self.share, self.in_canary, self.canary_action, self.champion_action)

    @property
    def paired(self) -> Flags:
        return (self.canary_action >= 0) & (self.champion_action >= 0)


@dataclass(frozen=True, slots=True)
class Labelled:
    """n pairs with what became of them, in minor units of the base currency.

    `fraud`: 1, 0 or UNKNOWN. Of matured pairs UNKNOWN means that nobody can know (it was declined); of waiting ones
    that it may still come. `let_through`: would have been declined and was approved, by chance `exploration`.
    """

    share: float
    in_canary: Flags
    canary_action: Ints
    champion_action: Ints
    amount: Amounts
    fraud: Ints
    let_through: Flags
    exploration: float = 0.0

    def __post_init__(self) -> None:
        _check("Labelled", self.share, self.in_canary, self.canary_action, self.champion_action, self.amount)

    def at(self, rows: Flags) -> Self:
        """Those rows alone."""
        return replace(
            self,
            in_canary=self.in_canary[rows],
            canary_action=self.canary_action[rows],
            champion_action=self.champion_action[rows],
            amount=self.amount[rows],
            fraud=self.fraud[rows],
            let_through=self.let_through[rows],
        )

    @property
    def observable(self) -> Flags:
        """Whether the label of an event can be known: who decided it did not decline, or let it through."""
        deciding = np.where(self.in_canary, self.canary_action, self.champion_action)
        return np.asarray((deciding != Action.DECLINE) | self.let_through, np.bool_)


def _check(what: str, share: float, *columns: Flags | Ints) -> None:
    if not 0 <= share <= 1:
        raise InvalidInput(f"{what}: the canary's share {share} has to lie between 0 and 1")
    if len({column.size for column in columns}) > 1:
        raise InvalidInput(f"{what}: columns of {[column.size for column in columns]} rows; give one row a decision")


def counted(customer: Ints, marked: Flags, before: Ints) -> Flags:
    """Rows that count when a customer shall count once: up to the first one `marked`, in the order given.

    A customer keeps to one arm, so what goes wrong for one goes wrong again for the same one: no new evidence.
    `before`: customers marked in earlier batches, of whom nothing counts any more.
    """
    count = ~np.isin(customer, before)
    rows = np.flatnonzero(marked)
    whose, place = np.unique(customer[rows], return_index=True)
    if whose.size:
        first = rows[place]
        at = np.clip(np.searchsorted(whose, customer), 0, whose.size - 1)
        count &= (whose[at] != customer) | (np.arange(customer.size) <= first[at])
    return count


def share_excess(bad: Flags, tolerated: float) -> Values:
    """How much oftener than in a fixed share of the events."""
    return Values(bad.astype(np.float64) - tolerated, tolerated, 1 - tolerated)


def rate_excess(bad: Flags, in_canary: Flags, share: float, more: float) -> Values | None:
    """The canary's rate less (1 + more) times the champion's, from the two arms. None where one arm is empty."""
    if not 0 < share < 1:
        return None
    weight = np.where(in_canary, 1 / share, -(1 + more) / (1 - share))
    return Values(np.where(bad, weight, 0.0).astype(np.float64), (1 + more) / (1 - share), 1 / share)


def paired_excess(ours: Flags, theirs: Flags, more: float) -> Values:
    """The same from pairs: how much oftener ours than (1 + more) times theirs."""
    return Values(ours.astype(np.float64) - (1 + more) * theirs.astype(np.float64), 1 + more, 1.0)


def paired_lack(ours: Flags, theirs: Flags, fewer: float) -> Values:
    """How much seldomer ours than (1 - fewer) times theirs."""
    return Values((1 - fewer) * theirs.astype(np.float64) - ours.astype(np.float64), 1.0, 1 - fewer)


def score_excess(ours: Ints, theirs: Ints, shift: float) -> Values:
    """Ours less theirs less the shift that is tolerated, in points."""
    return Values((ours - theirs).astype(np.float64) - shift, 1000 + shift, max(1000 - shift, 1.0))


def cost(costs: CostModel, amount: Amounts, fraud: Floats | Flags, action: Ints) -> Floats:
    """What a decision costs against knowing everything, minor units: fraud that got through, insults, reviews."""
    lost: Floats = fraud * costs.loss * amount - money_saved(costs, amount, np.asarray(fraud, np.float64), action)
    return lost


def cost_excess(pairs: Labelled, costs: CostModel, rails: Guardrails) -> Values | None:
    """Cost of the canary's decision less that of the champion's on the same event, in units of the policy's cap.

    Where both decide alike it is nought, whatever the label. Where they differ, the label is known if the release that
    decided did not decline; it then stands for those like it whose label nobody can know, by one over the chance of
    knowing it (Horvitz and Thompson). So it is free of bias without a label made up. None where one arm is empty.
    """
    return None if not 0 < pairs.share < 1 else _weighed(pairs, costs, rails, pairs.fraud)


def cost_excess_at_best(waiting: Labelled, costs: CostModel, rails: Guardrails) -> Values | None:
    """The same of pairs whose labels are still maturing, each unknown label as it would suit the canary best."""
    if not 0 < waiting.share < 1:
        return None
    open_ = waiting.fraud == UNKNOWN
    fates = [_weighed(waiting, costs, rails, np.where(open_, fate, waiting.fraud)) for fate in (0, 1)]
    return Values(np.minimum(fates[0].value, fates[1].value), fates[0].low, fates[0].high)


def _weighed(pairs: Labelled, costs: CostModel, rails: Guardrails, fraud: Ints) -> Values:
    amount = np.clip(pairs.amount, 0, rails.cost_cap)
    known = pairs.observable & (fraud >= 0)
    apart = np.flatnonzero(known & (pairs.canary_action != pairs.champion_action))
    canary, champion = pairs.canary_action[apart], pairs.champion_action[apart]
    each = [cost(costs, amount[apart], fraud[apart] > 0, action) for action in (canary, champion)]
    value = -rails.cost_more * amount.astype(np.float64)
    value[apart] += (each[0] - each[1]) / _chance(pairs.share, pairs.exploration)[canary, champion]
    low, high = _bounds(costs, rails, pairs.share, pairs.exploration)
    return Values(np.clip(value / rails.cost_cap, -low, high), low, high)


@cache
def _chance(share: float, exploration: float) -> Floats:
    """How likely the label of a pair is known, by the canary's action and the champion's."""
    known = np.array([exploration if action is Action.DECLINE else 1.0 for action in Action])
    return share * known[:, None] + (1 - share) * known[None, :]


@cache
def _bounds(costs: CostModel, rails: Guardrails, share: float, exploration: float) -> tuple[float, float]:
    """The least and the most that `_weighed` can be: it is linear in the amount, so the ends of its range suffice."""
    actions = np.array(Action, np.int64)
    chance = _chance(share, exploration)
    apart = ~np.eye(actions.size, dtype=np.bool_)
    ends = [
        ((one[:, None] - one[None, :])[apart] / chance[apart])
        for amount in (0, rails.cost_cap)
        for fraud in (False, True)
        for one in [cost(costs, np.full(3, amount), np.full(3, fraud), actions)]
    ]
    low = -min(end.min() for end in ends) / rails.cost_cap + rails.cost_more
    return float(low), float(max(end.max() for end in ends) / rails.cost_cap)
