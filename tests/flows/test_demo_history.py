"""The demo's history: alone in its home, and long enough."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands import demo
from fradect.cli import build
from fradect.errors import InvalidInput, Refused
from training.dataset import TooShort


def test_another_trade_wants_a_home_of_its_own(filled_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_PORT", "1")
    with pytest.raises(Refused, match=r"holds another history of tenant 'demo' .*make demo FRADECT_HOME=PATH DEMO="):
        demo.demo(events=1_000, days=7, seed=3)
    assert len(list((filled_home / "log" / "ecommerce" / "demo" / "events").iterdir())) == 1


def test_the_same_trade_again_is_a_repeat(filled_home: Path) -> None:
    demo._check_alone(filled_home / "raw" / "simulated", "simulator")


def test_too_little_to_learn_from_is_a_matter_of_options() -> None:
    with pytest.raises(InvalidInput, match="5 of them fraud: simulate more, with --events or --days"), demo._enough():
        raise TooShort("the test part holds 5 of them fraud")
    ran = CliRunner().invoke(build("demo"), ["demo", "--events", "20000", "--days", "60"])
    assert ran.exit_code == 2
    assert "40000" in ran.output
