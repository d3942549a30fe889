"""The report: Evidently's figures are the verdict's, and the page needs nothing but itself."""

import json
import re
from collections.abc import Callable

import pandas as pd
import pytest

from fradect.features.contract import Contract
from monitoring.drift import DriftReport, drift
from monitoring.verdict import Answer

Traffic = Callable[[int, int], pd.DataFrame]


@pytest.fixture(scope="module")
def report(reference: pd.DataFrame, traffic: Traffic, contract: Contract) -> DriftReport:
    current = traffic(200, 11)
    return drift(reference, current.assign(amount=current["amount"] * 3), contract)


def test_the_page_says_the_answer_and_shows_every_column(report: DriftReport, contract: Contract) -> None:
    page = report.html.decode()
    assert "Drift report: <span" in page
    assert report.verdict.reason in page
    assert all(name in page for name in contract.names)
    assert "Dataset Drift is detected" in page


def test_evidently_computes_what_the_verdict_says(report: DriftReport) -> None:
    page = report.html.decode()
    for column in report.verdict.columns:
        assert str(round(column.value, 6)) in page
    assert page.count('"Detected"') == len(report.verdict.drifted)


def test_the_page_loads_nothing(report: DriftReport) -> None:
    page = report.html.decode()
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page)
    assert "default-src 'none'" in page


def test_the_verdict_as_json_names_statistic_limits_and_answer(report: DriftReport) -> None:
    read = json.loads(report.verdict.to_json())
    assert read["answer"] == "drift"
    assert read["statistic"] == "population stability index"
    assert read["drifted"][0] == "amount"
    assert read["columns"][0]["value"] >= read["columns"][0]["threshold"]
    assert 0 < read["money_affected"] <= 1
    assert 0 < read["share_drifted"] < 1


@pytest.mark.parametrize(("then", "now"), [(5_000, 99), (50, 5_000), (5_000, 0)])
def test_too_few_rows_are_no_answer(
    reference: pd.DataFrame, traffic: Traffic, contract: Contract, then: int, now: int
) -> None:
    report = drift(reference.iloc[:then], traffic(5_000, 12).iloc[:now], contract)
    assert report.verdict.answer is Answer.NOT_ENOUGH_DATA
    assert f"{now:,} current" in report.verdict.reason
    assert b"not enough data" in report.html
