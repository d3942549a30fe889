"""What a suite found, in values and in words."""

from dataclasses import asdict, dataclass

import msgspec

from expectations.rules import Severity
from fradect.errors import Refused

LISTED = 8
"""Failures that an error names; the rest it counts."""


class BadData(Refused):
    """Critical expectations failed: whatever was about to use the table must not."""

    type = "bad-data"


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that failed: `count` of the `rows` looked at broke it, `examples` names a few by row id.

    Of an expectation about the table as a whole, `count` is 0 and `wording` says everything.
    """

    column: str
    wording: str
    severity: Severity
    count: int
    rows: int
    share: float
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Failures, worst first. `page`: the Data Docs page, where one was asked for."""

    suite: str
    row_id: str
    rows: int
    expectations: int
    failures: tuple[Failure, ...]
    page: str | None = None

    @property
    def success(self) -> bool:
        """Nothing critical failed; there may be warnings."""
        return not self.critical

    @property
    def critical(self) -> tuple[Failure, ...]:
        return tuple(f for f in self.failures if f.severity is Severity.CRITICAL)

    @property
    def warnings(self) -> tuple[Failure, ...]:
        return tuple(f for f in self.failures if f.severity is Severity.WARNING)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode({"success": self.success, **asdict(self)}))


def require(*reports: QualityReport) -> None:
    """Raise BadData with the critical failures of all reports in one message; warnings pass."""
    broken = [report for report in reports if not report.success]
    if broken:
        raise BadData("; ".join(map(summary, broken)) + "; correct the source or its mapping and run again")


def summary(report: QualityReport) -> str:
    """What failed critically, in one line."""
    faults = [in_words(failure, report.row_id) for failure in report.critical]
    more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
    where = f" (pages: {report.page})" if report.page else ""
    count = f"{len(faults)} of {report.expectations} expectations failed"
    return f"{report.suite}: {count}: {'; '.join(faults[:LISTED])}{more}{where}"


def in_words(failure: Failure, row_id: str) -> str:
    """Such as: amount is below 0 in 3 of 1,000 rows (0.30%), such as event_id 17, 25."""
    if not failure.count:
        return f"{failure.column} {failure.wording}"
    found = f"{failure.column} {failure.wording} in {failure.count:,} of {failure.rows:,} rows"
    return f"{found} ({failure.share:.2%}), such as {row_id} {', '.join(failure.examples)}"
