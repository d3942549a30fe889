"""Releases that are simulated: what two of them decide on the same event, fraud or not, and what events are worth."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from fradect.modules.ecommerce import MODULE
from fradect.policy import Guardrails
from fradect.types import Action
from training.canary_values import cost

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COSTS = MODULE.costs
FRAUD = 0.01
AGREE = 0.75  # of events, on which two equally good releases decide alike for a reason; the rest each for itself
DEARER = 0.2

# APPROVE, REVIEW, DECLINE: what the champion does with honest events, and with fraud.
CHAMPION = np.array([[0.972, 0.020, 0.008], [0.40, 0.15, 0.45]])

PAIRS = np.array([(ours, theirs) for ours in Action for theirs in Action], np.int64).T
"""The nine pairs of actions: the canary's, the champion's."""

SHIFTS = np.array([-80, -20, -5, 0, 5, 20, 80], np.int64)
"""By how many points the canary's score differs."""

_MEDIAN, _SPREAD, _FRAUD_MEDIAN, _FRAUD_SPREAD = 250_000, 0.9, 375_000, 1.0  # lognormal, minor units


@dataclass(frozen=True, slots=True)
class World:
    """`joint`: chance of (fraud, the canary's action, the champion's). `bad`: rates of errors, of degraded decisions,
    of slow ones, the same in both arms. `shifts`: chance of each of SHIFTS."""

    joint: Floats
    bad: tuple[float, float, float] = (0.0005, 0.002, 0.01)
    shifts: tuple[float, ...] = (0.01, 0.06, 0.18, 0.5, 0.18, 0.06, 0.01)


def equal() -> World:
    """As good as the champion, and by far not the same."""
    return World(_mixed(CHAMPION) * _labels())


def costlier(by: str) -> World:
    """Decisions cost a fifth more: it approves "fraud" that the champion stops, or declines more honest customers for
    it ("insults"), or takes the one for the other at the same rate of declines ("ranking")."""
    before = _mixed(CHAMPION)
    after = before.copy()
    if by == "fraud":
        after[1] = np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0]]) * before[1].sum(axis=0)
    else:
        moved = before[0, Action.APPROVE].copy()
        if by == "ranking":
            missed = after[1, Action.DECLINE].copy()
            after[1, Action.APPROVE] += missed
            after[1, Action.DECLINE] = 0
            moved *= FRAUD * missed.sum() / ((1 - FRAUD) * moved.sum())
        after[0, Action.DECLINE] += moved
        after[0, Action.APPROVE] -= moved
    begun, most = (mean_cost((joint * _labels()).sum(axis=2)) for joint in (before, after))
    part = DEARER * begun / (most - begun)
    return World(((1 - part) * before + part * after) * _labels())


def declining() -> World:
    """It declines a fifth more often, fraud and honest alike."""
    joint = _mixed(CHAMPION) * _labels()
    declined, approved = joint[:, Action.DECLINE].sum(), joint[:, Action.APPROVE].sum()
    moved = DEARER * declined / approved * joint[:, Action.APPROVE]
    joint[:, Action.DECLINE] += moved
    joint[:, Action.APPROVE] -= moved
    return World(joint)


def _labels() -> Floats:
    return np.array([1 - FRAUD, FRAUD])[:, None, None]


def _mixed(actions: Floats) -> Floats:
    """Pairs of actions, given the label, of two releases that act alike on average."""
    same = np.stack([np.diag(row) for row in actions])
    apart = actions[:, :, None] * actions[:, None, :]
    return AGREE * same + (1 - AGREE) * apart


def drawn_amounts(rng: np.random.Generator, fraud: Ints) -> Ints:
    """Minor units, lognormal; fraud is larger."""
    spread = np.where(fraud, _FRAUD_SPREAD, _SPREAD)
    middle = np.where(fraud, _FRAUD_MEDIAN, _MEDIAN)
    return np.asarray(np.rint(middle * np.exp(spread * rng.standard_normal(fraud.size))), np.int64)


def mean_cost(chances: Floats) -> float:
    """Minor units a decision costs on average, with these chances of (fraud, action)."""
    return float((chances * _mean_costs()).sum())


@cache
def _mean_costs() -> Floats:
    """By label and action, amounts capped as the guardrail does; from a large sample."""
    found = np.zeros((2, 3))
    for label in (0, 1):
        amounts = drawn_amounts(np.random.default_rng(label), np.full(2_000_000, label))
        capped = np.minimum(amounts, Guardrails().cost_cap)
        for action in Action:
            each = cost(COSTS, capped, np.full(capped.size, label == 1), np.full(capped.size, action))
            found[label, action] = each.mean()
    return found
