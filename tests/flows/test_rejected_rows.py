"""What was kept out is told of where people look last: how many, why, and where it lies."""

import json
import logging
import re
import time
from pathlib import Path

import pytest

from flows.commands.import_ import import_
from flows.commands.ingest import ingest
from flows.progress import counted
from flows.wiring.streams import Asked, refused_at
from tests.adapters.factories_import import MAPPING, row, write_csv
from tests.stream.factories_stream import verdict


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


def test_a_stream_ends_with_reasons_the_place_and_what_still_waits(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fradect")
    (tmp_path / "shop.yaml").write_text(MAPPING)
    inbox = tmp_path / "inbox"
    (inbox / "outcomes").mkdir(parents=True)
    write_csv(inbox / "a.csv", [row(0, amount="-1"), row(1), row(2)])
    (inbox / "outcomes" / "late.jsonl").write_bytes(b"\n".join([verdict(1, kind="return"), verdict(77), verdict(78)]))
    time.sleep(1.1)  # a file is taken once it has been quiet for a second
    took = tmp_path / "took.json"
    ingest(str(inbox), str(tmp_path / "shop.yaml"), once=True, json=took)
    quarantine = home / "quarantine" / "ecommerce" / "shop"
    shown = capsys.readouterr().out
    assert f"reason: {quarantine}" in shown
    for words, count in (("refused: negative amount", 1), ("outcomes that wait for their event", 2)):
        assert re.search(rf"{words} +{count}\n", shown), shown
    closing = caplog.records[-1].getMessage()
    assert "2 outcomes wait for their event, 1 refused (negative amount 1)" in closing
    assert closing.endswith(f"; see {quarantine}")
    assert json.loads(took.read_bytes())["waiting"] == 2


def test_of_a_kafka_stream_the_dead_topics_are_named(tmp_path: Path, home: Path) -> None:
    (tmp_path / "shop.yaml").write_text(MAPPING)
    asked = Asked("kafka://host:1/buys?outcomes=told", str(tmp_path / "shop.yaml"))
    assert refused_at(asked) == "topic buys.dead and topic told.dead"
