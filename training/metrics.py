"""What a scored set of events is worth. Each measure sorts once and can then be weighted again and again."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.types import DAY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CARDS = 100
CALIBRATION_BINS = 20


@dataclass(frozen=True, slots=True)
class Ranking:
    """ROC AUC and average precision of one ranking, for any weights of its clusters.

    Both depend on the negatives only through how many lie between two scores that positives have, so the
    negatives are cut into such segments once; ties count half in the AUC, and fully against precision.
    """

    positive: Ints  # cluster of each positive, by falling score
    group: Ints  # which distinct score, 0 the highest, each positive has
    negative: Ints  # cluster of each negative, by falling score
    segment: Ints  # segments that hold negatives: 2g lies above score g (below g - 1), 2g + 1 ties with it
    starts: Ints  # where each of these begins in `negative`
    groups: int

    @classmethod
    def of(cls, score: Floats, label: Flags, cluster: Ints) -> "Ranking":
        order = np.argsort(-score, kind="stable")
        falling, flag, codes = -score[order], label[order], cluster[order]
        levels, group = np.unique(falling[flag], return_inverse=True)
        below = np.searchsorted(levels, falling[~flag], side="right")
        tied = np.searchsorted(levels, falling[~flag], side="left") < below
        segment, starts = np.unique(np.where(tied, 2 * below - 1, 2 * below), return_index=True)
        return cls(codes[flag], group, codes[~flag], segment, starts, levels.size)

    def measure(self, weights: Ints) -> tuple[float, float]:
        """(ROC AUC, average precision); NaN when one class has no weight."""
        hits = np.bincount(self.group, weights[self.positive], minlength=self.groups)
        misses = np.zeros(2 * self.groups + 1)
        if self.segment.size:
            misses[self.segment] = np.add.reduceat(weights[self.negative], self.starts)
        positives, negatives = hits.sum(), misses.sum()
        if not positives or not negatives:
            return float("nan"), float("nan")
        passed = np.cumsum(misses)[1::2]  # negatives that score at least as high as each group
        caught = np.cumsum(hits)
        beaten = negatives - passed + misses[1::2] / 2
        precision = np.divide(caught, caught + passed, out=np.zeros_like(caught), where=caught + passed > 0)
        area = (hits * beaten).sum() / (positives * negatives)
        return float(area), float((hits * precision).sum() / positives)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error over bins of equal size by predicted probability."""

    cluster: Ints
    gap: Floats  # probability less outcome, by rising probability
    starts: Ints

    @classmethod
    def of(cls, probability: Floats, label: Flags, cluster: Ints, bins: int = CALIBRATION_BINS) -> "Calibration":
        order = np.argsort(probability, kind="stable")
        starts = np.unique(np.arange(bins) * order.size // bins)
        return cls(cluster[order], (probability - label)[order], starts)

    def measure(self, weights: Ints) -> float:
        weight = weights[self.cluster]
        gaps = np.add.reduceat(weight * self.gap, self.starts)
        return float(np.abs(gaps).sum() / weight.sum())


@dataclass(frozen=True, slots=True)
class CardDays:
    """Card Precision@k as the Fraud Detection Handbook defines it: each day, cards ranked by their highest score;
    the share of defrauded cards among the first k; cards that were found leave the days that follow; the mean."""

    days: tuple[tuple[Ints, Flags], ...]  # a day's cards by falling score, and which of them were defrauded
    cards: int
    k: int

    @classmethod
    def of(cls, score: Floats, label: Flags, time: Ints, card: Ints, k: int = CARDS) -> "CardDays":
        """`card`: codes from 0; `time`: microseconds, days are UTC."""
        day = time // DAY
        order = np.lexsort((card, day))
        new = np.flatnonzero(np.diff(day[order], prepend=-1) | np.diff(card[order], prepend=-1))
        highest = np.maximum.reduceat(score[order], new)
        defrauded = np.logical_or.reduceat(label[order], new)
        codes, days = card[order][new], day[order][new]
        ranked = np.lexsort((codes, -highest, days))
        cuts = np.flatnonzero(np.diff(days)) + 1
        pairs = zip(np.split(codes[ranked], cuts), np.split(defrauded[ranked], cuts), strict=True)
        return cls(tuple(pairs), int(card.max(initial=-1)) + 1, k)

    def measure(self, weights: Ints) -> float:
        """A card of weight w counts as w cards."""
        left = weights.copy()
        found = [self._day(left, cards, defrauded) for cards, defrauded in self.days]
        return float(np.mean(found) / self.k)

    def _day(self, left: Ints, cards: Ints, defrauded: Flags) -> float:
        weight = left[cards]
        last = int(np.searchsorted(np.cumsum(weight), self.k)) + 1
        first, hit = weight[:last].copy(), defrauded[:last]
        first[-1] -= max(int(first.sum()) - self.k, 0)
        left[cards[:last][hit & (first > 0)]] = 0
        return float(first[hit].sum())


def rates(true_alarms: float, false_alarms: float, missed: float) -> tuple[float, float, float]:
    """(precision, recall, F1) of alarms; NaN where nothing was raised or nothing was there."""
    raised, there = true_alarms + false_alarms, true_alarms + missed
    precision = true_alarms / raised if raised else float("nan")
    recall = true_alarms / there if there else float("nan")
    f1 = 2 * true_alarms / (raised + there) if raised + there else float("nan")
    return precision, recall, f1
