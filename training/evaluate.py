"""A release's decisions on events it never saw: measures with intervals, slices, and what plots need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.modules.declaration import CostModel
from fradect.policy import Policy, money_saved, to_scores
from fradect.types import Action
from training.bootstrap import Interval, clusters, intervals, resamples
from training.curves import Curves, draw
from training.metrics import Calibration, CardDays, Ranking, rates

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

SHARES = frozenset(
    ("roc_auc", "average_precision", "precision", "recall", "f1", "card_precision_100", "calibration_error")
)
LEAST_FRAUDS = 5  # a slice with fewer shows its money and counts only


@dataclass(frozen=True, slots=True)
class Scored:
    """n test events with what a release made of them.

    `probability`: calibrated. `chosen`: an Action each, as the whole release decides. `amount`: minor units of the
    base currency, `time`: microseconds, `customer`: a code, -1 for none. `slices`: way to slice -> part's name.
    """

    probability: Floats
    chosen: Ints
    label: Flags
    amount: Ints
    time: Ints
    customer: Ints
    slices: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the test set; a measure that it is too small for is left out."""

    by: str
    part: str
    events: int
    frauds: int
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a release did on a test set. `first` and `last`: microseconds. Money: minor units of `currency`.

    A measure that is not defined (precision where nothing was flagged) is left out. Plain values all through: it can
    be stored as JSON and read again.
    """

    events: int
    frauds: int
    first: int
    last: int
    currency: str
    decisions: Mapping[str, int]
    metrics: Mapping[str, Interval]
    slices: tuple[Slice, ...]
    curves: Curves


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate less champion on the same events, resampled together; and the champion's own money saved."""

    average_precision: Interval
    money_saved: Interval
    champion_average_precision: float
    champion_money_saved: float
    events: int


def evaluate(scored: Scored, policy: Policy, seed: int) -> Evaluation:
    """Every measure with its 95 % interval over customers drawn anew. Pure: the same seed gives the same bits."""
    frauds = int(scored.label.sum())
    if not LEAST_FRAUDS <= frauds < scored.label.size:
        raise InvalidInput(
            f"evaluate: {scored.label.size} test events, {frauds} of them fraud; use a longer test period"
        )
    whole = _Whole(scored, policy.costs)
    parts = list(_parts(scored, policy.costs, whole.cluster, whole.count))
    one = np.ones(whole.count, np.int64)
    drawn = [(whole.measure(w), [part.measure(w) for _, _, part in parts]) for w in resamples(whole.count, seed)]
    return Evaluation(
        events=scored.label.size,
        frauds=frauds,
        first=int(scored.time.min()),
        last=int(scored.time.max()),
        currency=policy.base_currency,
        decisions={action.name: int((scored.chosen == action).sum()) for action in Action},
        metrics=intervals(whole.measure(one), [row for row, _ in drawn], SHARES),
        slices=tuple(
            Slice(
                by, name, part.events, part.frauds, intervals(part.measure(one), [row[i] for _, row in drawn], SHARES)
            )
            for i, (by, name, part) in enumerate(parts)
        ),
        curves=draw(scored.probability, scored.label, scored.amount, to_scores(scored.probability), policy.costs),
    )


def compare(candidate: Scored, champion: Scored, costs: CostModel, seed: int) -> Comparison:
    """Paired: both are weighted by the same draws, and valued by the same costs."""
    if not np.array_equal(candidate.label, champion.label) or not np.array_equal(candidate.time, champion.time):
        raise InvalidInput("compare: candidate and champion must be scored on the same events in the same order")
    cluster = clusters(candidate.customer)
    count = int(cluster.max(initial=-1)) + 1
    ours, theirs = _Brief(candidate, costs, cluster, count), _Brief(champion, costs, cluster, count)
    weights = chain([np.ones(count, np.int64)], resamples(count, seed))
    pairs = [(ours.measure(w), theirs.measure(w)) for w in weights]
    gains = [{name: a[name] - b[name] for name in ("average_precision", "money_saved")} for a, b in pairs]
    found = intervals(gains[0], gains[1:])
    return Comparison(
        average_precision=found["average_precision"],
        money_saved=found["money_saved"],
        champion_average_precision=pairs[0][1]["average_precision"],
        champion_money_saved=pairs[0][1]["money_saved"],
        events=candidate.label.size,
    )


class _Brief:
    """Events sorted once for the measures that slices have too. `cluster`: what is drawn together, of `count`."""

    def __init__(self, scored: Scored, costs: CostModel, cluster: Ints, count: int) -> None:
        self.events, self.frauds = scored.label.size, int(scored.label.sum())
        self._ranking = Ranking.of(scored.probability, scored.label, cluster)
        alarm = scored.chosen > Action.APPROVE
        money = money_saved(costs, scored.amount, scored.label, scored.chosen)
        tallies = (alarm & scored.label, alarm & ~scored.label, ~alarm & scored.label, money)
        self._tallies = [np.bincount(cluster, tally, minlength=count) for tally in tallies]

    def measure(self, weights: Ints) -> dict[str, float]:
        enough = self.frauds >= LEAST_FRAUDS
        auc, ap = self._ranking.measure(weights) if enough else (float("nan"), float("nan"))
        caught, false_alarms, missed, money = (float((weights * tally).sum()) for tally in self._tallies)
        precision, recall, f1 = rates(caught, false_alarms, missed)
        return {
            "roc_auc": auc,
            "average_precision": ap,
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "money_saved": money,
        }


class _Whole:
    """A test set sorted once for all measures."""

    def __init__(self, scored: Scored, costs: CostModel) -> None:
        self.cluster = clusters(scored.customer)
        self.count = int(self.cluster.max(initial=-1)) + 1
        self._brief = _Brief(scored, costs, self.cluster, self.count)
        self._calibration = Calibration.of(scored.probability, scored.label, self.cluster)
        self._cards = CardDays.of(scored.probability, scored.label, scored.time, self.cluster)

    def measure(self, weights: Ints) -> dict[str, float]:
        return {
            **self._brief.measure(weights),
            "card_precision_100": self._cards.measure(weights),
            "calibration_error": self._calibration.measure(weights),
        }


def _parts(scored: Scored, costs: CostModel, cluster: Ints, count: int) -> Iterable[tuple[str, str, _Brief]]:
    for by, names in scored.slices.items():
        for name in sorted({str(name) for name in names}):
            here = np.flatnonzero(names == name)
            part = Scored(
                scored.probability[here],
                scored.chosen[here],
                scored.label[here],
                scored.amount[here],
                scored.time[here],
                scored.customer[here],
            )
            yield by, name, _Brief(part, costs, cluster[here], count)
