"""A correct log passes, and each planted defect is named with its column and its rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from expectations import events as suites
from expectations.check import check
from expectations.report import BadData, QualityReport, require
from fradect.features.contract import Contract
from fradect.modules.declaration import Module

DERIVED = {"observed_at": "ahead_of_observation"}
Look = Callable[..., QualityReport]


@pytest.fixture
def look(module: Module, contract: Contract) -> Look:
    """Hold a table against the rules that read these columns alone, or against all."""
    suite = suites.suite(module, contract)

    def judge(frame: pd.DataFrame, *columns: str) -> QualityReport:
        rules = tuple(rule for rule in suite.rules if not columns or set(rule.columns) <= set(columns))
        return check(frame, replace(suite, rules=rules))

    return judge


def test_a_correct_log_passes_without_a_warning(look: Look, events: pd.DataFrame) -> None:
    report = look(events)
    assert report.success
    assert not report.failures
    assert report.rows == len(events)


def test_unmapped_optional_fields_pass(look: Look, events: pd.DataFrame) -> None:
    never = pd.Series(pd.NaT, events.index, dtype="datetime64[us, UTC]")
    assert not look(events.assign(ip=None, age=float("nan"), signup_at=never, email_token=None)).failures


DEFECTS: list[tuple[str, int, Any, str]] = [
    ("amount", 3, -1, "below 0"),
    ("amount_base", 4, 10**17, "above"),
    ("event_id", 6, "e5", "more than once"),
    ("event_id", 7, None, "no value"),
    ("currency", 8, "XXX", "ISO 4217"),  # kept there for "no currency"
    ("shipping_country", 9, "ZZ", "ISO 3166"),
    ("age", 10, float("inf"), "infinite"),
    ("ip", 11, "not an address", "IP address"),
    ("seq", 12, 1, "out of order"),
    ("module", 13, "financial", "'ecommerce'"),
    ("event_time", 14, pd.Timestamp("1970-01-20", tz="UTC"), "check the unit"),
    ("event_time", 15, pd.NaT, "no value"),
    ("observed_at", 16, pd.Timestamp("2025-12-31", tz="UTC"), "after observed_at"),
    ("customer_id", 17, "", "empty"),
    ("phone_token", 18, "+4915112345678", "clear text"),
    ("full_name_cipher", 19, "Ada Lovelace", "clear text"),
]


@pytest.fixture(scope="module")
def broken(module: Module, contract: Contract, pristine: pd.DataFrame) -> tuple[pd.DataFrame, QualityReport]:
    frame = pristine.copy()
    for column, row, value, _ in DEFECTS:
        frame.loc[row, column] = value
    return frame, check(frame, suites.suite(module, contract))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d[0]}={d[2]}")
def test_each_planted_defect_is_named_with_its_row(
    broken: tuple[pd.DataFrame, QualityReport], defect: tuple[str, int, Any, str]
) -> None:
    frame, report = broken
    column, row, _, words = defect
    (named,) = (f for f in report.critical if words in f.wording and f.column in (column, DERIVED.get(column)))
    assert str(frame["event_id"][row]) in named.examples
    assert named.count == (2 if words == "more than once" else 1)


def test_nothing_but_the_planted_defects_is_critical(broken: tuple[pd.DataFrame, QualityReport]) -> None:
    assert len(broken[1].critical) == len(DEFECTS)


def test_a_missing_column_is_named_and_nothing_else_is_said_about_it(look: Look, events: pd.DataFrame) -> None:
    report = look(events.drop(columns=["amount_base", "event_time"]))
    assert {f.column for f in report.failures} == {"amount_base", "event_time"}
    with pytest.raises(BadData, match="amount_base column is missing"):
        require(report)


def test_times_that_are_no_times_fail_and_do_not_crash(look: Look, events: pd.DataFrame) -> None:
    numbers = events.assign(event_time=events["event_time"].astype("int64"))
    report = look(numbers, "event_time", "ahead_of_observation")
    assert "could not be checked" in {f.column: f.wording for f in report.critical}["event_time"]


def test_an_empty_log_is_refused(look: Look, events: pd.DataFrame) -> None:
    with pytest.raises(BadData, match="without rows"):
        require(look(events.iloc[:0], "event_id"))


def test_a_few_missing_values_of_a_required_field_pass_more_warn_and_many_stop(
    look: Look, events: pd.DataFrame
) -> None:
    events.loc[:1, "device_id"] = None
    assert not look(events, "device_id").failures
    events.loc[:20, "device_id"] = None
    report = look(events, "device_id")
    assert report.success
    assert [f.column for f in report.warnings] == ["device_id"]
    events.loc[:150, "device_id"] = None
    assert not look(events, "device_id").success


def test_late_arrivals_warn_when_they_are_many(look: Look, events: pd.DataFrame) -> None:
    late = events.assign(event_time=events["event_time"] - pd.to_timedelta((events["seq"] % 3 == 0) * 600, unit="s"))
    report = look(late, "event_time", "observed_at", "ahead_of_observation")
    assert report.success
    assert [f.column for f in report.warnings] == ["event_time"]


def test_masked_integers_are_checked_like_others(look: Look, events: pd.DataFrame) -> None:
    masked = events.assign(amount=events["amount"].astype("Int64"))
    assert look(masked, "amount").success
    masked.loc[4, "amount"] = -7
    assert [f.examples for f in look(masked, "amount").critical] == [("e4",)]
