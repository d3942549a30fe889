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
from fradect.errors import InvalidInput
from fradect.modules.declaration import CostModel
from fradect.types import Action, Value

MOST_EXPLORED = 0.05

Amounts = npt.NDArray[np.int64]
Chances = npt.NDArray[np.bool_] | npt.NDArray[np.float64]
Actions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Guardrails:
    """What a release may do worse than the champion while it decides a part of the traffic, before it is taken back.

    Relative ones are shares of the champion's rate: 0.05 tolerates 5.25 % where the champion has 5 %.
    """

    alpha: float = 0.05  # false alarms of all guardrails together, however often they are looked at
    errors_more: float = 0.1  # relative: requests that ended in an error of ours
    degraded_more: float = 0.1  # relative: decisions made without something
    slow_more: float = 0.1  # relative: decisions over the budget of time
    slow_ms: int = 100  # that budget, milliseconds
    declines_more: float = 0.05  # relative
    declines_fewer: float = 0.3  # relative, below 1
    reviews_more: float = 0.1  # relative
    score_shift: float = 10.0  # points of the mean score, up or down
    cost_more: float = 0.0  # share of the turnover that decisions may cost more
    cost_cap: int = 10_000_000  # an event counts as no more than this amount, minor units of the base currency
    least_decisions: int = 1000  # of the canary, before a guardrail says pass
    least_matured: int = 1000  # the same where labels have to mature
    disagreement: float = 0.1  # in the shadow: share of events on which the releases act apart

    def __post_init__(self) -> None:
        tolerated = (self.errors_more, self.degraded_more, self.slow_more, self.declines_more, self.reviews_more)
        if not 0 < self.alpha < 1:
            raise InvalidInput(f"guardrails: alpha {self.alpha} has to lie between 0 and 1, 0.05 for one")
        if min(*tolerated, self.score_shift, self.cost_more) < 0 or not 0 <= self.declines_fewer < 1:
            raise InvalidInput("guardrails: what is tolerated is 0 or more, and declines_fewer below 1")
        if self.cost_cap <= 0:
            raise InvalidInput(f"guardrails: cost_cap {self.cost_cap} has to be an amount above 0")
        if not 0 < self.disagreement < 1:
            raise InvalidInput(f"guardrails: disagreement {self.disagreement} has to lie between 0 and 1, 0.1 for one")


@dataclass(frozen=True, slots=True)
class Stages:
    """How a release comes from candidate to champion: a shadow, then a growing share of the customers, then all.

    Shares in hundredths of a percent. The champion's count: a release does not set the terms of its own trial.
    """

    shares: tuple[int, ...] = (500, 2_500, 5_000)
    shadow_pairs: int = 2_000  # events that both releases judged, before the challenger decides any
    canary_decisions: int = 2_000  # of the challenger at each share, before it gets more
    hours: float = 24.0  # at least so long at each: a day has quiet hours and busy ones
    labels: bool = True  # before it is champion, enough labels of what it decided have to have matured
    label_days: float | None = None  # how long labels take; None: as long as the champion's training found
    silence_is_honest: bool = True  # of what nobody told anything when its label should have come
    always: bool = False  # the pipeline, too, begins with a shadow where there is a champion
    four_eyes: bool = False  # it becomes champion when a second person has agreed

    def __post_init__(self) -> None:
        if list(self.shares) != sorted(set(self.shares)) or not all(0 < share < 10_000 for share in self.shares):
            raise InvalidInput(f"stages: shares {list(self.shares)} have to grow between 1 and 9999: [500, 2500, 5000]")
        if min(self.shadow_pairs, self.canary_decisions, self.hours, self.label_days or 0) < 0:
            raise InvalidInput("stages: shadow_pairs, canary_decisions, hours and label_days are 0 or more")


@dataclass(frozen=True, slots=True)
class Exploration:
    """Of the declines by score some are let through, drawn by chance, so that what they would have been becomes known.

    Amounts in minor units of the base currency. fradect/exploration.py says which declines are never drawn.
    """

    share: float  # the chance of each that is drawn, at most MOST_EXPLORED
    most_amount: int  # an event of more is never drawn
    most_a_day: int  # of a tenant's module together, in a day (UTC): what it may cost

    def __post_init__(self) -> None:
        if not 0 < self.share <= MOST_EXPLORED:
            raise InvalidInput(f"exploration: share {self.share} has to be above 0 and at most {MOST_EXPLORED}")
        if not 0 < self.most_amount <= self.most_a_day:
            raise InvalidInput("exploration: most_amount has to be above 0, and at most most_a_day")


@dataclass(frozen=True, slots=True)
class DataLimits:
    """What a training set may look like, beside the champion's; training/data_quality.py measures it."""

    duplicates: float = 0.02  # share of events that repeat another's customer, time and amount
    telling: float = 0.98  # ROC AUC of one feature alone: more, and it knows the outcome
    giveaway: float = 0.5  # share of frauds that values of one feature give away which only fraud has
    giveaway_more: float = 0.25  # and so much more than in the champion's time
    fraud_ratio: float = 2.0  # share of fraud among what is new, over (or under) that of the champion's training
    strays: float = 0.1  # share of frauds among events that look safest: so much more than in the champion's time
    shift: float = 2.0  # stability index of a feature; drift that is worth learning from seldom reaches 1
    unknown: float = 0.2  # share of events of which a feature is unknown: so much more

    def __post_init__(self) -> None:
        above = (
            self.duplicates,
            self.telling,
            self.giveaway,
            self.giveaway_more,
            self.strays,
            self.shift,
            self.unknown,
        )
        if min(above) <= 0 or self.fraud_ratio <= 1:
            raise InvalidInput("limits: those of data lie above 0, and fraud_ratio above 1")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate must keep to. Ratios compare the worst-off group with the best-off."""

    fairness_min_group: int = 200  # smaller groups give no verdict
    fairness_fpr_ratio: float = 0.5  # lowest allowed min/max of false-positive rates, when the gap is certain
    fairness_fpr_gap: float = 0.05  # and the gap in false-positive rates has to exceed this to fail
    improvement_margin: float = 0.0  # lower end of the interval of AP(candidate) - AP(champion) must exceed -margin
    worse_tolerance: float = 0.02
    replay_events: int = 5000  # of the test events, in a row
    matured_margin: float = 0.0  # on matured labels the gain has to exceed this share of the champion's money saved
    matured_least: int = 1000  # matured events, before that is judged
    guardrails: Guardrails = Guardrails()
    stages: Stages = Stages()
    data: DataLimits = DataLimits()


_DEFAULT = Limits()
_LATER = ("matured_margin", "matured_least", "guardrails", "stages", "data")


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
    exploration: Exploration | None = None

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
        """Canonical bytes. No bands are no word about bands, as in releases from before there were any; the same goes
        for the limits that came later and are at their defaults."""
        plain = asdict(self)
        for name in ("bands", "exploration"):
            if not plain[name]:
                del plain[name]
        for name in _LATER:
            if getattr(self.limits, name) == getattr(_DEFAULT, name):
                del plain["limits"][name]
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
