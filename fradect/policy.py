"""From a score to an action, and what actions are worth. Pure functions of values.

A policy is data in a release: the thresholds, the cost model that chose them, the limits its gates apply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan

import msgspec
import numpy as np
import numpy.typing as npt

from fradect.bands import Band, Cuts, Thresholds, check_bands, check_thresholds, first
from fradect.modules.declaration import CostModel
from fradect.types import Action, Value

Amounts = npt.NDArray[np.int64]
Chances = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
Actions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate must keep to. Ratios compare the worst-off group with the best-off."""

    fairness_min_group: int = 200  # smaller groups give no verdict
    fairness_fpr_ratio: float = 0.5  # lowest allowed min/max of false-positive rates, when the gap is certain
    fairness_fpr_gap: float = 0.05  # and the gap in false-positive rates has to exceed this to fail
    improvement_margin: float = 0.0  # lower end of the interval of AP(candidate) - AP(champion) must exceed -margin
    worse_tolerance: float = 0.02
    replay_events: int = 5000  # of the test events, in a row


@dataclass(frozen=True, slots=True)
class Policy:
    """Scores from `review` on are reviewed, from `decline` on declined, where no band says otherwise.

    Money in `base_currency`.
    """

    review: int
    decline: int
    base_currency: str
    costs: CostModel
    limits: Limits = Limits()
    freshness_days: int = 7  # batch features older than this are missing
    bands: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        check_thresholds("policy", self)
        check_bands(self.bands)

    def at(self, fields: Mapping[str, Value]) -> "Policy | Band":
        """The thresholds for an event with these fields: those of the first band that holds it, or the policy's."""
        return (first(self.bands, fields) or self) if self.bands else self

    def cuts(self, events: Sequence[Mapping[str, Value]]) -> Cuts:
        """The same for many events' fields at once."""
        chosen = [self.at(fields) for fields in events]
        return Cuts(*(np.array([getattr(t, n) for t in chosen], np.int64) for n in ("review", "decline")))

    def to_json(self) -> bytes:
        """Canonical bytes. No bands are no word about bands, as in releases from before there were any."""
        plain = asdict(self)
        if not self.bands:
            del plain["bands"]
        return msgspec.json.encode(plain, order="deterministic")

    @classmethod
    def from_json(cls, raw: bytes) -> "Policy":
        return msgspec.json.decode(raw, type=cls)


@dataclass(frozen=True, slots=True)
class RuleEffects:
    """What the rules that hit (or could not run) ask for: points on the score, a floor, an allowance.

    An allowance keeps the score below review, whatever model and points say; floors still win.
    """

    points: int = 0
    floor: Action = Action.APPROVE
    allow: bool = False


def model_score(probability: float | None) -> int:
    """The model's part of the score; 0 where there is no probability, or none that is a number."""
    return 0 if probability is None or isnan(probability) else round(1000 * min(max(probability, 0.0), 1.0))


def combine(probability: float | None, effects: RuleEffects, thresholds: Thresholds) -> int:
    """The score, 0 to 1000: calibrated probability raised by rules; without a model, rules alone. Total."""
    score = model_score(probability) + max(effects.points, 0)
    if effects.allow:
        score = min(score, max(thresholds.review - 1, 0))
    return min(max(score, 0), 1000)


def decide(score: int, effects: RuleEffects, thresholds: Thresholds, *, model_missing: bool = False) -> Action:
    """The action: the thresholds' or the floor, whichever is stricter; without a model at least REVIEW.

    With an allowance only the floor counts, also where the thresholds begin at 0.
    """
    by_score = (
        Action.APPROVE if effects.allow else _ACTIONS[(score >= thresholds.review) + (score >= thresholds.decline)]
    )
    return max(by_score, effects.floor, Action.REVIEW if model_missing else Action.APPROVE)


_ACTIONS = tuple(Action)


def actions(scores: npt.NDArray[np.integer], thresholds: Thresholds | Cuts) -> Actions:
    """Thresholds alone, for many scores at once; each event's own where `thresholds` are cuts."""
    return (scores >= thresholds.review).astype(np.int64) + (scores >= thresholds.decline).astype(np.int64)


def to_scores(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Probabilities to scores exactly as `combine` rounds them."""
    return np.rint(1000 * np.clip(probabilities, 0.0, 1.0)).astype(np.int64)


def money_saved(costs: CostModel, amounts: Amounts, fraud: Chances, chosen: Actions) -> npt.NDArray[np.float64]:
    """Minor units each decision saved against approving everything (docs/concepts/money.md has the formula).

    `fraud`: whether each event was; or the probability that it is, which gives the saving to be expected.
    """
    value, chance = amounts.astype(np.float64), np.asarray(fraud, np.float64)
    stopped = np.select([chosen == Action.DECLINE, chosen == Action.REVIEW], [1.0, costs.review_catch], 0.0)
    insulted = np.select([chosen == Action.DECLINE, chosen == Action.REVIEW], [1.0, costs.review_insult], 0.0)
    gain = chance * stopped * costs.loss * value
    insult = (1.0 - chance) * insulted * (costs.margin * value + costs.insult_fixed)
    saved: npt.NDArray[np.float64] = gain - insult - (chosen == Action.REVIEW) * float(costs.review_fixed)
    return saved


def choose_thresholds(
    costs: CostModel, scores: npt.NDArray[np.int64], amounts: Amounts, fraud: Chances
) -> tuple[int, int]:
    """The pair (review, decline) that saves the most on the events given; never use test events here.

    With calibrated probabilities as `fraud` the choice does not hang on which few large frauds the events hold.
    Exact over all 1001 x 1001 / 2 pairs: money is additive over events, so sums by score suffice.
    """
    by_action = [
        np.bincount(scores, money_saved(costs, amounts, fraud, np.full(scores.size, action)), minlength=1002)
        for action in (Action.REVIEW, Action.DECLINE)
    ]
    reviewed = np.concatenate([[0.0], np.cumsum(by_action[0])])
    declined = float(by_action[1].sum()) - np.concatenate([[0.0], np.cumsum(by_action[1])])
    # saved(r, d) = review gain over [r, d) + decline gain over [d, end)
    best_review = np.minimum.accumulate(reviewed[:1002])
    d = int(np.argmax(reviewed[:1002] - best_review + declined[:1002]))
    r = int(np.argmin(reviewed[: d + 1]))
    return r, d
