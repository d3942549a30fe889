"""What people get to see: one readable error, pages that load nothing, and no private value anywhere."""

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from expectations import events as event_suite
from expectations import labels as label_suite
from expectations import rules
from expectations.check import check
from expectations.report import BadData, require
from expectations.rules import Suite
from expectations.tables import SAMPLE
from fradect.errors import Refused
from fradect.features.contract import Contract
from fradect.modules.declaration import Module

ORDERED = Suite("ordered", "id", (rules.between("value", 0, 10, "is outside 0 to 10"), rules.known("value").warn()))


def test_the_error_says_what_where_how_many_and_what_to_do() -> None:
    frame = pd.DataFrame({"id": [f"row{i}" for i in range(1000)], "value": 5})
    frame.loc[[17, 25], "value"] = 11
    with pytest.raises(Refused) as raised:
        require(check(frame, ORDERED))
    text = str(raised.value)
    assert "ordered: 1 of 2 expectations failed" in text
    assert "value is outside 0 to 10 in 2 of 1,000 rows (0.20%), such as id row17, row25" in text
    assert "run again" in text
    assert "\n" not in text


def test_warnings_stop_nothing() -> None:
    report = check(pd.DataFrame({"id": ["a", "b"], "value": [1.0, None]}), ORDERED)
    assert report.warnings
    require(report)


def test_reports_are_refused_together() -> None:
    good, bad = (check(pd.DataFrame({"id": ["a"], "value": [v]}), ORDERED) for v in (1, 99))
    require(good)
    with pytest.raises(BadData):
        require(good, bad)


def test_rows_are_found_by_id_whatever_the_index_of_the_frame() -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "value": [1, 2, 99]}, index=[7, 7, 7])
    assert check(frame, ORDERED).critical[0].examples == ("c",)


def test_rows_of_a_table_without_ids_are_numbered() -> None:
    assert check(pd.DataFrame({"value": [1, 2, 99]}), ORDERED).critical[0].examples == ("row 2",)


def test_an_arrow_table_is_judged_like_the_frame(
    module: Module, contract: Contract, events: pd.DataFrame, labels: pd.DataFrame
) -> None:
    events.loc[3, "amount"] = -1
    events.loc[4, "customer_id"] = ""
    labels.loc[5, "known_at"] = pd.NaT
    for frame, suite in ((events, event_suite.suite(module, contract)), (labels, label_suite.suite())):
        assert check(pa.Table.from_pandas(frame), suite) == check(frame, suite)


def test_sampled_rules_look_at_rows_spread_over_the_table() -> None:
    suite = Suite("sampled", "id", (rules.between("value", 0, 10, "is outside").sample(),))
    rows = 2 * SAMPLE + 10
    frame = pd.DataFrame({"id": range(rows), "value": 5})
    frame.loc[rows - 9 :, "value"] = 11
    (failure,) = check(frame, suite).critical
    assert failure.rows <= SAMPLE
    assert failure.count == 3


def test_pages_load_nothing_and_are_indexed(
    tmp_path: Path, module: Module, contract: Contract, events: pd.DataFrame, labels: pd.DataFrame
) -> None:
    events.loc[3, "amount"] = -1
    check(events, event_suite.suite(module, contract), tmp_path)
    report = check(labels, label_suite.suite(), tmp_path)
    assert report.page == str(tmp_path / "labels.html")
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert set(pages) == {"events.html", "labels.html", "index.html"}
    for text in pages.values():
        assert "default-src 'none'" in text
        assert not re.search(r"<script|<link|<img|https?://|@import", text)
        assert "exception" not in text.lower()
    assert "stopped" in pages["events.html"]
    assert "amount is below 0" in pages["events.html"]
    assert "events.html" in pages["index.html"]
    assert json.loads((tmp_path / "events.json").read_text())["success"] is False


def test_markup_in_data_stays_text_and_private_values_are_not_repeated(
    tmp_path: Path, module: Module, contract: Contract, events: pd.DataFrame
) -> None:
    events.loc[[3, 4], "event_id"] = "<script>alert(1)</script>"
    events.loc[5, "email_token"] = "ada@example.org"
    report = check(events, event_suite.suite(module, contract), tmp_path)
    written = "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if path.suffix == ".html")
    assert "<script" not in written
    assert "ada@example.org" not in written + report.to_json().decode()
    assert any(failure.column == "email_token" for failure in report.critical)
