"""What a training set looks like, beside the one that the champion was made of: figures for the gate on data.

Pure functions of matrices. docs/concepts/promotion.md says what each is for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract, Feature
from training.dataset import Dataset

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PURE = 0.9  # a value is a giveaway where so many of the events that have it are fraud
_FINE, _COARSE = 200, 20  # bins: where few values may tell all, and of a whole population
_MOST_ROWS = 100_000
_TOLD = 3  # features, of each kind of finding
_CERTAIN = 10  # frauds in a row that are no chance
_LEAST = 200  # events, before two populations are compared


@dataclass(frozen=True, slots=True)
class Then:
    """The champion's own data: the events it was made of, and, where it is known, what DataFacts said of them."""

    events: int
    frauds: int
    strays: int | None = None
    strays_of: int = 0
    giveaway: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """What a candidate was made of: events it learnt from, the later ones it is tested on with its probability for
    each, which of both came since the champion's data ended, and the newest feature values (a sample of matrix rows).

    `reference`: by feature, a sample as it was when the champion was made.
    """

    train: Dataset
    test: Dataset
    probability: Floats
    news: Flags
    recent: Floats
    reference: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Figures of a training set. Of features those that stand out most; shares lie between 0 and 1.

    `duplicates`: events that repeat another's customer, time and amount. `telling`: ROC AUC of one feature alone, and
    `giveaway`: share of frauds found by values of it that only fraud has, where these are highest, in training or test.
    `news` and `news_frauds`: labelled events since the champion's data ended. `strays`: frauds among the test events
    that the candidate thinks safer than most, of `strays_of` frauds. `shift`: stability index of a feature against the
    champion's sample; `unknown`: how much oftener its value is unknown.
    """

    events: int
    duplicates: float
    telling: Mapping[str, float]
    giveaway: Mapping[str, float]
    news: int
    news_frauds: int
    strays: int
    strays_of: int
    shift: Mapping[str, float]
    unknown: Mapping[str, float]
    then: Then


def data_facts(taught: Taught, contract: Contract, then: Then) -> DataFacts:
    """Everything the gate on data asks."""
    parts = [_thin(part) for part in (taught.train, taught.test)]
    alone = {feature.name: _alone(parts, i, feature) for i, feature in enumerate(contract.features)}
    test = taught.test
    label = np.concatenate([taught.train.label, test.label])
    news = taught.news if taught.news.sum() >= _LEAST else np.ones(label.size, np.bool_)
    return DataFacts(
        events=label.size,
        duplicates=_duplicates(taught.train, test),
        telling=_most({name: auc for name, (auc, _) in alone.items()}),
        giveaway=_most({name: share for name, (_, share) in alone.items()}),
        news=int(news.sum()),
        news_frauds=int(label[news].sum()),
        strays=_strays(taught.probability, test.label),
        strays_of=int(test.label.sum()),
        shift=_most(dict(_shifts(taught.recent, contract, taught.reference))),
        unknown=_most(dict(_unknowns(taught.recent, contract, taught.reference))),
        then=then,
    )


def _strays(probability: Floats, label: Flags) -> int:
    """Frauds in the safer half; of events that are alike, as many as belong to it on the mean."""
    middle = np.median(probability)
    below, tied = probability < middle, probability == middle
    share = (label.size / 2 - below.sum()) / max(tied.sum(), 1)
    return round(float(label[below].sum() + share * label[tied].sum()))


def _thin(dataset: Dataset) -> Dataset:
    step = -(-len(dataset) // _MOST_ROWS)
    return dataset.rows(np.arange(0, len(dataset), step)) if step > 1 else dataset


def _most(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items(), key=lambda pair: -pair[1])[:_TOLD])


def _duplicates(*parts: Dataset) -> float:
    """Without a customer nothing tells a copy from another who did the same."""
    keys = np.concatenate([np.column_stack([part.customer, part.time, part.amount]) for part in parts])
    known = keys[keys[:, 0] >= 0]
    return 1 - np.unique(known, axis=0).shape[0] / known.shape[0] if known.size else 0.0


def _alone(parts: Sequence[Dataset], column: int, feature: Feature) -> tuple[float, float]:
    """What a feature tells of fraud by itself, at most, in any of the parts: see DataFacts."""
    found = [_tells(part.matrix[:, column], part.label, feature) for part in parts]
    return max(auc for auc, _ in found), max(share for _, share in found)


def _tells(values: Floats, label: Flags, feature: Feature) -> tuple[float, float]:
    """Each bin of values, and having none, is as risky as it is in the other half of the events."""
    codes, size = _binned(values, feature, _FINE)
    even = np.arange(label.size) % 2 == 0
    caught, passed = (
        np.array([np.bincount(codes[half & flag], minlength=size) for half in (even, ~even)])
        for flag in (label, ~label)
    )
    rate = (caught + label.mean()) / (caught + passed + 1)
    pure = (rate[::-1] >= PURE) & (caught >= PURE * (caught + passed))
    aucs = [_auc(rate[1 - half], caught[half], passed[half]) for half in (0, 1)]
    inside = float(caught[pure].sum() / max(caught.sum(), 1))
    return sum(aucs) / 2, max(inside, *(_tail(sign * values, label) for sign in (1, -1)))


def _tail(values: Floats, label: Flags) -> float:
    """The largest share of frauds above any one value, where PURE of what lies there is fraud."""
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known], kind="stable")]
    frauds, events = np.cumsum(label[order]), 1 + np.arange(order.size)
    last = np.append(np.diff(values[order]) != 0, True)[: order.size]
    pure = last & (frauds >= PURE * events) & (frauds >= _CERTAIN)
    return float(frauds[pure].max(initial=0) / max(label.sum(), 1))


def _auc(rate: Floats, caught: Ints, passed: Ints) -> float:
    """Of bins by falling rate; equal rates count half, as a bin's events do among themselves."""
    _, group = np.unique(-rate, return_inverse=True)
    hits, misses = np.bincount(group, caught), np.bincount(group, passed)
    if not hits.sum() or not misses.sum():
        return 0.5
    below = misses.sum() - np.cumsum(misses)
    return float((hits * (below + misses / 2)).sum() / (hits.sum() * misses.sum()))


def _binned(values: Floats, feature: Feature, bins: int) -> tuple[Ints, int]:
    edges = _edges(values, feature, bins)
    return _codes(values, edges), edges.size + 2


def _edges(values: Floats, feature: Feature, bins: int) -> Floats:
    if feature.categories:
        return np.arange(len(feature.categories), dtype=np.float64) + 0.5
    known = values[~np.isnan(values)]
    return np.unique(np.quantile(known, np.linspace(0, 1, bins + 1))) if known.size else np.empty(0)


def _codes(values: Floats, edges: Floats) -> Ints:
    """The bin of each value; the last one is of those that are unknown."""
    return np.asarray(np.where(np.isnan(values), edges.size + 1, np.searchsorted(edges, values)), np.int64)


def _shifts(recent: Floats, contract: Contract, reference: Mapping[str, Floats]) -> Iterator[tuple[str, float]]:
    """The population stability index, over the bins of the reference; of what is known in both."""
    for i, feature in enumerate(contract.features):
        now, was = (_known(values, len(feature.categories)) for values in (recent[:, i], _of(reference, feature.name)))
        if min(now.size, was.size) >= _LEAST:
            edges = _edges(was, feature, _COARSE)
            size = edges.size + 2
            then, later = (np.bincount(_codes(one, edges), minlength=size) + 0.5 for one in (was, now))
            p, q = then / then.sum(), later / later.sum()
            yield feature.name, float(((q - p) * np.log(q / p)).sum())


def _unknowns(recent: Floats, contract: Contract, reference: Mapping[str, Floats]) -> Iterator[tuple[str, float]]:
    for i, feature in enumerate(contract.features):
        sides = (recent[:, i], _of(reference, feature.name))
        if min(side.size for side in sides) >= _LEAST:
            now, was = (1 - _known(side, len(feature.categories)).size / side.size for side in sides)
            yield feature.name, now - was


def _of(reference: Mapping[str, Floats], name: str) -> Floats:
    return reference.get(name, np.empty(0))


def _known(values: Floats, categories: int) -> Floats:
    """A category that the contract does not have is unknown."""
    known = values[~np.isnan(values)]
    return known[(known >= 0) & (known < categories)] if categories else known
