"""How good declines are, without the bias of our own decisions: from the few that were let through by a known chance.

A label is known of what was approved or reviewed, and of declines that were let through (fradect/exploration.py). Each
of those stands for as many as one over its chance (Horvitz and Thompson; shares of such sums are Hajek's). Intervals
are of the effective number of customers that the weights leave: Wilson's for a share, Poisson's for a count.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.types import Action
from training.bootstrap import Interval, clusters

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Seen:
    """By what chance the label of each of n events could become known (0: never), and whether it has by now.

    1 for what was not declined, or decided elsewhere; the propensity for a decline that was drawn.
    """

    chance: Floats
    known: Flags

    def __post_init__(self) -> None:
        if self.chance.shape != self.known.shape or self.chance.min(initial=0) < 0 or self.chance.max(initial=0) > 1:
            raise InvalidInput("seen: give each event a chance from 0 to 1, and whether its label is known")

    @property
    def weight(self) -> Floats:
        """How many events each known one stands for."""
        weight, here = np.zeros(self.chance.size), self.known & (self.chance > 0)
        weight[here] = 1 / self.chance[here]
        return weight


@dataclass(frozen=True, slots=True)
class Declined:
    """What is known of a release's declines. `precision`: share of fraud among them; `false_positive_rate`: declines
    among honest events; None where no label of a decline is known.

    `events`: declined; `never`: of these, what could never be let through, of which the estimates say nothing;
    `let_through`: known because they were. `at_hand`: the precision of the known labels as they are, which is biased.
    """

    events: int
    never: int
    let_through: int
    precision: Interval | None
    false_positive_rate: Interval | None
    at_hand: float | None


def declined(chosen: Ints, label: Flags, seen: Seen, customer: Ints) -> Declined:
    """Of events whose label should be known by now. `chosen`: an Action each; `customer`: a code, -1 for none."""
    stopped, weight = chosen == Action.DECLINE, seen.weight
    here = stopped & (weight > 0)
    known = int(here.sum())
    return Declined(
        events=int(stopped.sum()),
        never=int((stopped & (seen.chance == 0)).sum()),
        let_through=int((here & (seen.chance < 1)).sum()),
        precision=_share(weight[here], label[here], customer[here]) if known else None,
        false_positive_rate=_of_honest(weight, ~label, here, customer) if known else None,
        at_hand=float(label[here].mean()) if known else None,
    )


def _share(weight: Floats, flag: Flags, customer: Ints) -> Interval:
    """Wilson's interval, as of so many events as the weights are worth."""
    n, share = _worth(weight, customer), float(weight[flag].sum() / weight.sum())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(share, max(float(middle - half), 0.0), min(float(middle + half), 1.0))


def _of_honest(weight: Floats, honest: Flags, stopped_: Flags, customer: Ints) -> Interval | None:
    """Honest events that were not declined are many, and certain beside the few that stand for the declined ones."""
    here = stopped_ & honest & (weight > 0)
    stopped, passed = float(weight[here].sum()), float(weight[honest & ~stopped_].sum())
    if not stopped + passed:
        return None
    count = _worth(weight[here], customer[here]) if here.any() else 0.0
    each = stopped / count if count else float(weight[stopped_].max())
    low, high = (each * end for end in _poisson(count))
    return Interval(stopped / (stopped + passed), low / (low + passed) if low else 0.0, high / (high + passed))


def _worth(weight: Floats, customer: Ints) -> float:
    """The effective number of customers."""
    sums = np.bincount(clusters(customer), weight)
    return float(sums.sum() ** 2 / (sums**2).sum())


def _poisson(count: float) -> tuple[float, float]:
    """The exact interval of a Poisson count, its chi-squares by Wilson and Hilferty."""
    return (_chi_square(2 * count, -_Z) / 2 if count else 0.0), _chi_square(2 * count + 2, _Z) / 2


def _chi_square(freedom: float, z: float) -> float:
    return float(freedom * max(1 - 2 / (9 * freedom) + z * np.sqrt(2 / (9 * freedom)), 0.0) ** 3)
