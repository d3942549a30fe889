"""Outcomes: known after their events, believable in number."""

from typing import Any

import pandas as pd
import pytest

from expectations import labels as suites
from expectations.check import check
from expectations.report import QualityReport


def _look(frame: pd.DataFrame) -> QualityReport:
    return check(frame, suites.suite())


def test_correct_labels_pass(labels: pd.DataFrame) -> None:
    returns = labels.assign(kind="return")
    assert not _look(pd.concat([labels, returns])).failures


def test_a_label_known_before_its_event_is_named(labels: pd.DataFrame) -> None:
    a_moment_early = labels["event_time"] - pd.Timedelta(microseconds=1)
    known = labels["known_at"].mask(labels["event_id"] == "e3", a_moment_early)
    (failure,) = _look(labels.assign(known_at=known)).critical
    assert failure.column == "known_at and event_time"
    assert "known before the event" in failure.wording
    assert failure.examples == ("e3",)


def test_a_label_known_at_its_event_passes(labels: pd.DataFrame) -> None:
    assert _look(labels.assign(known_at=labels["event_time"])).success


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [("kind", "gossip", "kind of outcome"), ("known_at", pd.NaT, "no value"), ("event_id", "e4", "used together")],
)
def test_a_planted_defect_is_named(labels: pd.DataFrame, column: str, value: Any, words: str) -> None:
    labels.loc[5, column] = value
    if column == "event_id":
        labels.loc[5, "known_at"] = labels.loc[4, "known_at"]
    assert any(words in failure.wording and column in failure.column for failure in _look(labels).critical)


def test_a_later_correction_of_a_label_is_no_duplicate(labels: pd.DataFrame) -> None:
    corrected = labels.iloc[[7]].assign(known_at=labels["known_at"][7] + pd.Timedelta(days=1), value=True)
    assert not _look(pd.concat([labels, corrected])).failures


@pytest.mark.parametrize("value", [True, False])
def test_labels_that_nothing_can_be_learnt_from_stop(labels: pd.DataFrame, value: bool) -> None:
    assert any(f.column == "fraud" for f in _look(labels.assign(value=value)).critical)


def test_an_unusual_share_of_fraud_is_a_warning(labels: pd.DataFrame) -> None:
    report = _look(labels.assign(value=labels["seq"] % 3 == 0))
    assert report.success
    assert [f.column for f in report.warnings] == ["fraud"]
    assert "0.335" in report.warnings[0].wording


def test_values_that_are_not_true_or_false_stop(labels: pd.DataFrame) -> None:
    assert any(f.column == "value" for f in _look(labels.assign(value="yes")).critical)
