"""What a suite is made of: rules as plain values, each naming the expectation of Great Expectations it becomes.

Nothing here imports that package, so that suites can be read, counted and tested without its start-up time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pandas as pd

LARGEST = 1e18
"""Beyond any sum the kernel forms of real money; what lies beyond it, or is infinite, is a defect."""


EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Times outside are units or formats misread: seconds taken for microseconds fall into January 1970."""


class Severity(StrEnum):
    """A critical failure stops the flow, a warning is reported."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation. `fault` is what a row that breaks it suffers from, in words that follow the column's name.

    `tolerated`: the share of rows that may break it. `sampled`: checked on a sample (see `check.SAMPLE`),
    because looking at every row costs more than it finds. `private`: the values that broke it are shown nowhere.
    """

    columns: tuple[str, ...]
    expect: str
    fault: str
    arguments: Mapping[str, Any]
    severity: Severity = Severity.CRITICAL
    tolerated: float = 0.0
    sampled: bool = False
    private: bool = False

    @property
    def name(self) -> str:
        return " and ".join(self.columns)

    def warn(self, tolerated: float = 0.0) -> "Rule":
        """The same rule as a warning that tolerates a share of rows."""
        return replace(self, severity=Severity.WARNING, tolerated=tolerated)

    def sample(self) -> "Rule":
        return replace(self, sampled=True)

    def hide(self) -> "Rule":
        return replace(self, private=True)


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that only the checks know, computed from the columns it needs."""

    name: str
    needs: tuple[str, ...]
    compute: Callable[[pd.DataFrame], "pd.Series[Any]"]


@dataclass(frozen=True, slots=True)
class Suite:
    """Rules over one kind of table. `row_id` names the column by which a person finds a row."""

    name: str
    row_id: str
    rules: tuple[Rule, ...]
    derived: tuple[Derived, ...] = ()


def exists(column: str) -> Rule:
    return _of_column(column, "ExpectColumnToExist", "column is missing from the table")


def not_empty(column: str) -> Rule:
    return Rule((column,), "ExpectTableRowCountToBeBetween", "is a column without rows", {"min_value": 1})


def is_type(column: str, *types: str) -> Rule:
    """By the names of numpy types, such as int64."""
    fault = f"column is not of type {' or '.join(types)}"
    return _of_column(column, "ExpectColumnValuesToBeInTypeList", fault, type_list=list(types))


def known(column: str, tolerated: float = 0.0) -> Rule:
    """Not null, beside a tolerated share."""
    return replace(_of_column(column, "ExpectColumnValuesToNotBeNull", "has no value"), tolerated=tolerated)


def unique(column: str) -> Rule:
    return _of_column(column, "ExpectColumnValuesToBeUnique", "is used more than once")


def unique_together(*columns: str) -> Rule:
    fault = "are used together more than once"
    return Rule(columns, "ExpectCompoundColumnsToBeUnique", fault, {"column_list": list(columns)})


def between(column: str, low: Any, high: Any, fault: str) -> Rule:
    return _of_column(column, "ExpectColumnValuesToBeBetween", fault, min_value=low, max_value=high)


def moment(column: str) -> Rule:
    """A time with a zone, in our century or so; a column that is no such time cannot be compared, and fails."""
    fault = f"is not between {EARLIEST.year} and {LATEST.year}: check the unit and the format"
    return between(column, EARLIEST, LATEST, fault)


def one_of(column: str, values: Iterable[Any], fault: str) -> Rule:
    return _of_column(column, "ExpectColumnValuesToBeInSet", fault, value_set=sorted(values))


def looks_like(column: str, pattern: str, fault: str) -> Rule:
    return _of_column(column, "ExpectColumnValuesToMatchRegex", fault, regex=pattern)


def looks_unlike(column: str, pattern: str, fault: str) -> Rule:
    return _of_column(column, "ExpectColumnValuesToNotMatchRegex", fault, regex=pattern)


def rising(column: str, fault: str, *, strictly: bool = False) -> Rule:
    """In the order of the rows."""
    return _of_column(column, "ExpectColumnValuesToBeIncreasing", fault, strictly=strictly)


def at_least(larger: str, smaller: str, fault: str) -> Rule:
    """`larger` >= `smaller` in every row that has both."""
    pair = {"column_A": larger, "column_B": smaller, "or_equal": True, "ignore_row_if": "either_value_is_missing"}
    return Rule((larger, smaller), "ExpectColumnPairValuesAToBeGreaterThanB", fault, pair)


def mean_between(column: str, low: float, high: float, fault: str) -> Rule:
    return _of_column(column, "ExpectColumnMeanToBeBetween", fault, min_value=low, max_value=high)


def _of_column(column: str, expect: str, fault: str, **arguments: Any) -> Rule:
    return Rule((column,), expect, fault, {"column": column, **arguments})
