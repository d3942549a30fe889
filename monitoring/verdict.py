"""What a comparison of live traffic with the training reference came to, in values and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import msgspec

LISTED = 5
"""Drifted columns that the reason names; the rest it counts."""


class Answer(StrEnum):
    NO_DRIFT = "no drift"
    DRIFT = "drift"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What counts as drift.

    A column's limit is `moderate`, the shift that is nothing to worry about, and what chance adds to it in a sample
    of this size: no more than with probability `false_alarms`, over all columns together. That is set below the 5 %
    promised, because live events are not independent. `clock_days`: features of the clock alone count from that
    many days of traffic on.
    Larger samples than `most_rows` are thinned evenly.
    """

    least_rows: int = 100
    false_alarms: float = 0.03
    moderate: float = 0.1
    clock_days: float = 6.5
    most_rows: int = 50_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column: its index (`value`), the limit it had to reach, and what else a person wants to know.

    `money_moved`: the share of current money that lies where the reference's money did not; None without amounts.
    """

    name: str
    kind: str  # "feature" or "prediction"
    value: float
    threshold: float
    drifted: bool
    missing_reference: float
    missing_current: float
    money_moved: float | None


@dataclass(frozen=True, slots=True)
class DriftVerdict:
    """The answer with its evidence, columns furthest beyond their limit first. As JSON: `to_json`."""

    answer: Answer
    reason: str
    rows_reference: int
    rows_current: int
    share_drifted: float
    money_affected: float | None
    columns: tuple[ColumnDrift, ...]
    not_compared: Mapping[str, str]
    settings: DriftSettings
    statistic: str = "population stability index"

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.drifted)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode({**asdict(self), "drifted": self.drifted}))


def too_little(reference_rows: int, current_rows: int, settings: DriftSettings) -> DriftVerdict:
    """The third answer: neither drift nor its absence was shown."""
    reason = (
        f"{current_rows:,} current and {reference_rows:,} reference rows; an answer needs {settings.least_rows} of each"
    )
    return DriftVerdict(Answer.NOT_ENOUGH_DATA, reason, reference_rows, current_rows, 0.0, None, (), {}, settings)


def reason_of(columns: Sequence[ColumnDrift]) -> str:
    """In one line, of columns in the order of the verdict."""
    shown = [f"{c.name} ({c.value:.2f}, limit {c.threshold:.2f})" for c in columns]
    drifted = sum(column.drifted for column in columns)  # they come first
    if not drifted:
        return f"none of {len(columns)} columns is beyond its limit; nearest: {shown[0]}"
    more = f" and {drifted - LISTED} more" if drifted > LISTED else ""
    return f"{drifted} of {len(columns)} columns drifted: {', '.join(shown[: min(drifted, LISTED)])}{more}"
