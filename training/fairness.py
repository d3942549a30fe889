"""Are people of one group bothered more often than those of another, for nothing? The only door to fairlearn."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise, permutations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

from fradect.policy import Limits
from fradect.types import Verdict
from training.bootstrap import LEVEL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

UNKNOWN = "unknown"
AGES = (25, 35, 45, 55, 65)


@dataclass(frozen=True, slots=True)
class Group:
    """How often a group is flagged (reviewed or declined): at all, when honest, when fraudulent.

    A rate of nobody is None. `independent`: how many honest events drawn one by one would tell as much about the
    false-positive rate; less than there are, since a customer's events resemble each other.
    """

    attribute: str
    name: str
    events: int
    honest: int
    independent: float
    selection_rate: float
    false_positive_rate: float | None
    true_positive_rate: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """An attribute's groups compared, those that are large enough: lowest over highest selection and false-positive
    rate, and highest less lowest true-positive rate (equal opportunity)."""

    attribute: str
    selection_ratio: float | None
    false_positive_ratio: float | None
    opportunity_gap: float | None


@dataclass(frozen=True, slots=True)
class FairnessTable:
    groups: tuple[Group, ...]
    spreads: tuple[Spread, ...]


def audit(
    flagged: Flags, label: Flags, customer: Ints, protected: Mapping[str, Texts], limits: Limits
) -> tuple[FairnessTable, Verdict]:
    """Rates by group of each protected attribute, and whether the policy's limits are certainly broken.

    Numbers are taken as years and put in bands. Who gave no answer forms the group "unknown", which is shown but
    not compared; an attribute that nobody answered is left out. `customer`: codes, -1 for none.
    """
    named = {attribute: _named(column) for attribute, column in protected.items()}
    tables = {
        attribute: _groups(attribute, flagged, label, customer, names)
        for attribute, names in named.items()
        if (names != UNKNOWN).any()
    }
    large = {name: [g for g in groups if _counts(g, limits)] for name, groups in tables.items()}
    table = FairnessTable(
        groups=tuple(group for groups in tables.values() for group in groups),
        spreads=tuple(_spread(name, groups) for name, groups in large.items()),
    )
    return table, _verdict(large, table, limits)


def _named(column: Texts) -> Texts:
    known = [value for value in column if value is not None]
    if not known or isinstance(known[0], str):
        return np.array([UNKNOWN if value is None else str(value) for value in column], object)
    years = np.array([np.nan if value is None else float(value) for value in column])
    bands = [f"under {AGES[0]}", *(f"{a} to {b - 1}" for a, b in pairwise(AGES)), f"{AGES[-1]} up"]
    names = np.array([*bands, UNKNOWN], object)
    return np.asarray(names[np.where(np.isnan(years), len(bands), np.searchsorted(AGES, years, "right"))], object)


def _groups(attribute: str, flagged: Flags, label: Flags, customer: Ints, names: Texts) -> list[Group]:
    """fairlearn's rates, over one weighted row for each combination: it takes seconds on every event's own row."""
    groups, code = np.unique(names.astype(str), return_inverse=True)
    counts = np.bincount(code * 4 + label * 2 + flagged, minlength=4 * groups.size)
    cells = np.arange(counts.size)
    weight = {"sample_weight": counts}
    frame = MetricFrame(
        metrics={"selection": selection_rate, "false": false_positive_rate, "true": true_positive_rate},
        y_true=cells // 2 % 2,
        y_pred=cells % 2,
        sensitive_features=groups[cells // 4],
        sample_params={"selection": weight, "false": weight, "true": weight},
    ).by_group
    return [
        Group(
            attribute=attribute,
            name=str(name),
            events=int(four.sum()),
            honest=int(four[:2].sum()),
            independent=_independent(flagged[code == i], label[code == i], customer[code == i]),
            selection_rate=float(frame["selection"][name]),
            false_positive_rate=float(frame["false"][name]) if four[:2].sum() else None,
            true_positive_rate=float(frame["true"][name]) if four[2:].sum() else None,
        )
        for i, (name, four) in enumerate(zip(groups, counts.reshape(-1, 4), strict=True))
    ]


def _independent(flagged: Flags, label: Flags, customer: Ints) -> float:
    """Honest events, less what their sharing customers takes away from the certainty of their rate."""
    honest = ~label
    size = int(honest.sum())
    rate = float(flagged[honest].mean()) if size else 0.0
    if not 0 < rate < 1:
        return float(size)
    own = np.where(customer < 0, customer.max(initial=0) + 1 + np.arange(customer.size), customer)[honest]
    surplus = np.bincount(np.unique(own, return_inverse=True)[1], flagged[honest] - rate)
    return min(float(size), rate * (1 - rate) * size**2 / float((surplus**2).sum()))


def _counts(group: Group, limits: Limits) -> bool:
    return group.name != UNKNOWN and group.honest >= limits.fairness_min_group


def _spread(attribute: str, groups: list[Group]) -> Spread:
    false = [g.false_positive_rate for g in groups if g.false_positive_rate is not None]
    true = [g.true_positive_rate for g in groups if g.true_positive_rate is not None]
    chosen = [g.selection_rate for g in groups]
    return Spread(
        attribute=attribute,
        selection_ratio=_ratio(chosen),
        false_positive_ratio=_ratio(false),
        opportunity_gap=max(true) - min(true) if len(true) > 1 else None,
    )


def _ratio(rates: list[float]) -> float | None:
    return min(rates) / max(rates) if len(rates) > 1 and max(rates) > 0 else None


def _verdict(large: Mapping[str, list[Group]], table: FairnessTable, limits: Limits) -> Verdict:
    compared = [name for name, groups in large.items() if len(groups) > 1]
    evidence = {"compared": compared, "limits": asdict(limits), "spreads": [asdict(s) for s in table.spreads]}
    if not compared:
        reason = f"no protected attribute has two groups of {limits.fairness_min_group} honest events"
        return Verdict("fairness", "not enough data", reason, evidence)
    broken = [text for groups in large.values() for text in _broken(groups, limits)]
    if broken:
        return Verdict("fairness", "fail", "; ".join(broken), {**evidence, "broken": broken})
    reason = f"no group of {', '.join(compared)} is certainly flagged beyond the limits when honest"
    return Verdict("fairness", "pass", reason, evidence)


def _broken(groups: list[Group], limits: Limits) -> Iterator[str]:
    """Pairs whose honest people are certainly treated too differently, allowing for having looked at every pair."""
    pairs = list(permutations(groups, 2))
    level = 1 - (1 - LEVEL) / max(len(pairs), 1)
    for low, high in pairs:
        gap = _bounds(high, low, 1.0, level)[0]
        excess = _bounds(low, high, limits.fairness_fpr_ratio, level)[1]
        if gap > limits.fairness_fpr_gap and excess < 0:
            yield (
                f"{high.attribute} {high.name}: {high.false_positive_rate:.1%} of honest events flagged, "
                f"{low.name}: {low.false_positive_rate:.1%}"
            )


def _bounds(one: Group, other: Group, factor: float, level: float) -> tuple[float, float]:
    """The interval of one group's false-positive rate less `factor` times another's, from their Wilson intervals."""
    p, low, high = _wilson(one, level)
    q, other_low, other_high = _wilson(other, level)
    gap = p - factor * q
    below = float(np.hypot(p - low, factor * (other_high - q)))
    above = float(np.hypot(high - p, factor * (q - other_low)))
    return gap - below, gap + above


def _wilson(group: Group, level: float) -> tuple[float, float, float]:
    p, n = group.false_positive_rate or 0.0, group.independent
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return p, middle - reach, middle + reach
