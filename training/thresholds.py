"""Thresholds chosen on calibration events: one pair for all, and one for each band of amounts that has enough."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fradect.bands import Band
from fradect.errors import InvalidInput
from fradect.money import exponent_of
from fradect.policy import Policy, choose_thresholds

LEAST_EVENTS, LEAST_FRAUDS = 500, 30  # in a band, or the policy's own thresholds hold there


@dataclass(frozen=True, slots=True)
class Chosen:
    """Calibration events: score, amount in minor units, outcome, and calibrated probability of each."""

    scores: npt.NDArray[np.int64]
    amounts: npt.NDArray[np.int64]
    fraud: npt.NDArray[np.bool_]
    probability: npt.NDArray[np.float64]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> "Chosen":
        return Chosen(self.scores[rows], self.amounts[rows], self.fraud[rows], self.probability[rows])


def banded(policy: Policy, chosen: Chosen, edges: Sequence[int]) -> Policy:
    """The policy with thresholds that save the most, for all events and between any two of the amounts in `edges`."""
    if sorted(set(edges)) != list(edges) or any(edge <= 0 for edge in edges):
        raise InvalidInput(
            f"amount bands {', '.join(map(str, edges))}: give amounts above 0, each larger than the last"
        )
    review, decline = choose_thresholds(policy.costs, chosen.scores, chosen.amounts, chosen.probability)
    default = replace(policy, review=review, decline=decline)
    return replace(default, bands=tuple(_bands(default, chosen, edges)) if edges else ())


def _bands(policy: Policy, chosen: Chosen, edges: Sequence[int]) -> Iterator[Band]:
    for low, high in pairwise((0, *edges, None)):
        inside = chosen[(chosen.amounts >= (low or 0)) & (chosen.amounts < (np.inf if high is None else high))]
        if inside.scores.size < LEAST_EVENTS or int(inside.fraud.sum()) < LEAST_FRAUDS:
            continue
        pair = choose_thresholds(policy.costs, inside.scores, inside.amounts, inside.probability)
        name = _name(low or 0, high, policy.base_currency)
        yield Band(name, *pair, amount_from=low or 0, amount_to=high)


def _name(low: int, high: int | None, currency: str) -> str:
    scale = 10 ** exponent_of(currency)
    upper = "" if high is None else f" below {high / scale:,.10g}"
    return f"amounts{f' from {low / scale:,.10g}' if low else ''}{upper} {currency}"
