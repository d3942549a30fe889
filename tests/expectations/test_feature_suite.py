"""Features: what the contract declares holds in the table."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expectations import features as suites
from expectations.check import check
from expectations.report import QualityReport
from fradect.features.contract import Contract
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import Module

Look = Callable[..., QualityReport]


@pytest.fixture
def look(module: Module, contract: Contract) -> Look:
    """Hold a table against the rules that read these columns alone, or against all."""
    suite = suites.suite(module, contract)

    def judge(frame: pd.DataFrame, *columns: str) -> QualityReport:
        rules = tuple(rule for rule in suite.rules if not columns or set(rule.columns) <= set(columns))
        return check(frame, replace(suite, rules=rules))

    return judge


def test_lawful_features_pass(look: Look, table: pd.DataFrame) -> None:
    assert not look(table).failures


def test_unknown_values_pass_where_something_explains_them(look: Look, table: pd.DataFrame) -> None:
    unknown = ["account_age", "customer_since_last", "customer_amount_mean_30d_before"]
    table.loc[: len(table) // 2, unknown] = np.nan
    assert not look(table).failures


DEFECTS: list[tuple[str, int, Any, str]] = [
    ("merchant_fraud_share_7d", 1, 1.2, "share outside 0 to 1"),
    ("return_rate", 2, -0.1, "share outside 0 to 1"),
    ("payment_method", 3, 4.0, "0 card"),
    ("channel", 4, 0.5, "2 call_centre"),
    ("weekend", 5, 2.0, "neither 0 nor 1"),
    ("amount", 6, np.inf, "infinite"),
    ("amount_to_merchant_mean", 7, -np.inf, "infinite"),
    ("customer_count_1h", 8, 0.0, "counts itself"),
    ("merchant_amount_mean_1d", 9, -5.0, "below 0"),
    ("customer_distinct_device_30d", 10, -1.0, "below 0"),
    ("device_distinct_customer_30d", 11, 0.5, "longer window sees less"),
    ("event_id", 12, "e13", "more than once"),
]


@pytest.fixture(scope="module")
def broken(module: Module, contract: Contract, lawful: pd.DataFrame) -> QualityReport:
    frame = lawful.copy()
    for column, row, value, _ in DEFECTS:
        frame.loc[row, column] = value
    return check(frame, suites.suite(module, contract))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d[0]}={d[2]}")
def test_each_planted_defect_is_named_with_its_row(broken: QualityReport, defect: tuple[str, int, Any, str]) -> None:
    column, row, value, words = defect
    (named,) = (f for f in broken.critical if words in f.wording and column in f.column.split(" and "))
    assert (value if column == "event_id" else f"e{row}") in named.examples


def test_nothing_but_the_planted_defects_is_critical(broken: QualityReport) -> None:
    assert len(broken.critical) == len(DEFECTS)


def test_a_value_that_cannot_be_unknown_warns_and_stops_when_half_are(look: Look, table: pd.DataFrame) -> None:
    table.loc[:9, "customer_count_1d"] = np.nan
    report = look(table, "customer_count_1d")
    assert report.success
    assert [f.column for f in report.warnings] == ["customer_count_1d"]
    never = look(table.assign(customer_count_1d=np.nan), "customer_count_1d")
    assert [f.column for f in never.critical] == ["customer_count_1d"]


def test_a_feature_that_is_missing_everywhere_warns(look: Look, table: pd.DataFrame) -> None:
    report = look(table.assign(card_count_1h=np.nan), "card_count_1h")
    assert report.success
    assert "is it mapped?" in report.warnings[0].wording


def test_a_feature_without_a_column_stops(look: Look, table: pd.DataFrame) -> None:
    assert [f.column for f in look(table.drop(columns=["hour"]), "hour").critical] == ["hour"]


@pytest.mark.parametrize("name", [c.name for c in module_of("ecommerce").contracts])
def test_every_feature_of_every_contract_has_a_range(name: str, module: Module) -> None:
    contract: Contract = contract_of(name)
    ranges = ("ExpectColumnValuesToBeBetween", "ExpectColumnValuesToBeInSet")
    ranged = {rule.columns[0] for rule in suites.suite(module, contract).rules if rule.expect in ranges}
    assert ranged == set(contract.names)
