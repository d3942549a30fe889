"""`fradect ledger verify`: exit code, figures and the first wrong row."""

import sys
from pathlib import Path

import msgspec
import pytest

from fradect.adapters.ledger_sql import SqlLedger
from fradect.cli import main
from tests.factories_decision import record


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqlLedger(url)
    ledger.commit_many([record(f"tx{n}") for n in range(5)])
    ledger.close()
    return url


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fradect", "ledger", "verify", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def _do(url: str, statement: str) -> None:
    ledger = SqlLedger(url)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    ledger.close()


def test_what_is_whole_is_said_to_be_and_its_end_kept(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "ends.json"
    assert _run(monkeypatch, "--url", url, "--json", str(kept)) == 0
    assert "5 decisions in 1 chain " in " ".join(capsys.readouterr().out.split())
    figures = msgspec.json.decode(kept.read_bytes())
    assert (figures["decisions"], figures["broken"], figures["ends"][0]["chain_seq"]) == (5, None, 5)
    _do(url, "DELETE FROM risk_decisions WHERE chain_seq = 5")
    _do(url, "DELETE FROM events WHERE event_id = 'tx4'")
    assert _run(monkeypatch, "--url", url) == 0
    assert _run(monkeypatch, "--url", url, "--kept", str(kept)) == 1


def test_the_first_wrong_row_is_named(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _do(url, "UPDATE risk_decisions SET score = score + 1 WHERE chain_seq IN (2, 4)")
    assert _run(monkeypatch, "--url", url, "--json", str(tmp_path / "found.json")) == 1
    assert "main, number 2, decision dec_tx1: a value of the decision" in capsys.readouterr().out
    assert msgspec.json.decode((tmp_path / "found.json").read_bytes())["broken"]["chain_seq"] == 2


@pytest.mark.parametrize("text", ["", "[]", '{"ends": [{"writer": "w", "chain_seq": 1, "row_hash": "zz"}]}'])
def test_ends_that_cannot_be_read_are_one_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "kept.json").write_text(text)
    assert _run(monkeypatch, "--url", url, "--kept", str(tmp_path / "kept.json")) == 2
    assert "give a file that an earlier --json wrote" in capsys.readouterr().err
