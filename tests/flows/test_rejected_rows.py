"""What was kept out is told of where people look last: how many, why, and where it lies."""

import logging
from pathlib import Path

import pytest

from flows.commands.import_ import import_
from flows.progress import counted
from tests.adapters.factories_import import MAPPING, row, write_csv


def test_an_import_ends_with_reasons_and_the_quarantines_path(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fradect")
    (tmp_path / "shop.yaml").write_text(MAPPING)
    made = [row(0, amount="-1"), row(1, amount="-2"), row(2, currency="XXQ"), row(3)]
    import_(str(write_csv(tmp_path / "a.csv", made)), str(tmp_path / "shop.yaml"), max_rejected=1.0)
    quarantine = home / "quarantine" / "ecommerce" / "shop"
    assert quarantine.is_dir()
    said = [record.getMessage() for record in caplog.records]
    assert any(f"3 rejected (negative amount 2, unknown currency 1; see {quarantine})" in words for words in said)
    shown = capsys.readouterr().out
    assert "rejected: negative amount" in shown
    assert str(quarantine) in shown, "in one piece, to be copied"


def test_of_many_reasons_the_most_frequent_are_told() -> None:
    assert counted({}) == ""
    assert counted({"a": 1, "b": 1_200, "c": 3}, most=2) == "b 1,200, c 3, others 1"
