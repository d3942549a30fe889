"""Skew: the vectors that decisions were made with, against what history says of the same events.

A value is a mismatch where both have one and the bits differ, missing where the service had none though history has,
extra the other way round. What a decision declared itself made without is excused, and counted as such. So is what it
could not know because it overtook an import: such a decision has a higher number, and was made before the live state
had taken the import in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import msgspec

from fradect.features.contract import Contract, Kind
from fradect.features.logged import Logged
from fradect.features.past_snapshots import NOBODY
from fradect.features.replay import same
from fradect.sight import BATCH_FEATURES, LIVE_STATE

EXAMPLES = 20
_UNSAID = frozenset({"no value", NOBODY})
"""Reasons for a missing value that declare nothing: history knows such values likewise."""


@dataclass(frozen=True, slots=True)
class Expected:
    """History's row of an event. `values`: each vector that the service may rightly have had, in contract order.

    There are several where the batch was putting new snapshots online while it was asked. `overtook`: the live state
    was still without an import of a lower number.
    """

    seq: int
    values: Sequence[tuple[float, ...]]
    overtook: bool = False


@dataclass(frozen=True, slots=True)
class Differing:
    """One value, for people. NaN is a missing one."""

    event_id: str
    feature: str
    logged: float
    history: float


@dataclass
class FeatureSkew:
    """Of one feature: values compared, and how many were which."""

    checked: int = 0
    mismatch: int = 0
    missing: int = 0
    extra: int = 0
    excused: int = 0


@dataclass
class SkewReport:
    """`decisions` were compared; `degraded` of them had declared something, and why is in `declared`.

    `unmatched`: decisions whose event history has not; `renumbered`: those that were made under another number than
    history's; `overtook`: those that differ as they overtook an import. `not_compared`: features that nothing is known
    of, and why.
    """

    decisions: int = 0
    degraded: int = 0
    unmatched: int = 0
    renumbered: int = 0
    overtook: int = 0
    by_feature: dict[str, FeatureSkew] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)
    not_compared: dict[str, str] = field(default_factory=dict)
    examples: list[Differing] = field(default_factory=list)

    def total(self, what: str) -> int:
        """Over all features: checked, mismatch, missing, extra or excused."""
        return sum(getattr(feature, what) for feature in self.by_feature.values())

    @property
    def figures(self) -> dict[str, int]:
        """What is measured: an event that history lacks counts as extra, one under another number as a mismatch."""
        return {
            "checked": self.total("checked"),
            "mismatches": self.total("mismatch") + self.renumbered,
            "missing": self.total("missing"),
            "extra": self.total("extra") + self.unmatched,
        }

    @property
    def equal(self) -> bool:
        figures = self.figures
        return not (figures["mismatches"] or figures["missing"] or figures["extra"])

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode({**self.figures, **asdict(self)}), indent=1)


def skew(
    contract: Contract,
    logged: Iterable[Logged],
    history: Mapping[str, Expected],
    not_compared: Mapping[str, str] | None = None,
) -> SkewReport:
    """`history` by event id. `not_compared`: features to leave out, with the reason."""
    left_out = dict(not_compared or {})
    report = SkewReport(not_compared=left_out)
    report.by_feature = {name: FeatureSkew() for name in contract.names if name not in left_out}
    for one in logged:
        expected = history.get(one.event_id)
        if expected is None:
            report.unmatched += 1
            continue
        report.decisions += 1
        report.renumbered += one.seq is not None and one.seq != expected.seq
        nearest = min(expected.values, key=lambda values: _apart(one.values, values))
        report.overtook += _compare(report, contract, one, replace(expected, values=[nearest]))
    return report


def _apart(values: Sequence[float], others: Sequence[float]) -> int:
    return sum(not same(a, b) for a, b in zip(values, others, strict=True))


def _compare(report: SkewReport, contract: Contract, one: Logged, expected: Expected) -> bool:
    """Whether a value differs that an import which was overtaken accounts for."""
    declared = _declared(one)
    report.degraded += bool(declared)
    for reason in declared:
        report.declared[reason] = report.declared.get(reason, 0) + 1
    overtook = False
    for feature, mine, theirs in zip(contract, one.values, expected.values[0], strict=True):
        counted = report.by_feature.get(feature.name)
        if counted is None:
            continue
        counted.checked += 1
        if same(mine, theirs):
            continue
        if _is_excused(feature.kind, one, feature.name, mine):
            counted.excused += 1
            continue
        if expected.overtook and feature.kind in {Kind.LIVE, Kind.DERIVED}:
            counted.excused, overtook = counted.excused + 1, True
            continue
        _count(counted, mine, theirs)
        if len(report.examples) < EXAMPLES:
            report.examples.append(Differing(one.event_id, feature.name, mine, theirs))
    return overtook


def _declared(one: Logged) -> list[str]:
    """What the decision says it was made without."""
    parts = {*one.degraded, *((LIVE_STATE,) if one.seq is None else ())}
    reasons = {reason for reason in one.missing.values() if reason.startswith("customer snapshots ")}
    return sorted(parts & {LIVE_STATE, BATCH_FEATURES}) + sorted(reasons)


def _is_excused(kind: Kind, one: Logged, feature: str, value: float) -> bool:
    """Windows without the live state; what is derived from them, whatever it came to; snapshots that were away."""
    blind = one.seq is None or LIVE_STATE in one.degraded
    if kind is Kind.DERIVED:
        return blind
    absent = value != value  # noqa: PLR0124  NaN
    if kind is Kind.LIVE:
        return blind and absent
    return kind is Kind.BATCH and absent and one.missing.get(feature, "no value") not in _UNSAID


def _count(counted: FeatureSkew, mine: float, theirs: float) -> None:
    if mine != mine:  # noqa: PLR0124
        counted.missing += 1
    elif theirs != theirs:  # noqa: PLR0124
        counted.extra += 1
    else:
        counted.mismatch += 1
