"""The tour, small: what it tells has come about, and nothing it started or answered is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(420)  # whichever comes first takes the tour

FRADECT = str(Path(sys.executable).parent / "fradect")
# Large enough that each part of the split has its ten frauds, and trials their purchases.
SMALL = (
    "--events",
    "28000",
    "--fraud-rate",
    "0.05",
    "--shadow",
    "100",
    "--least",
    "10",
    "--trials",
    "1",
    "--seed",
    "5",
)


def _environment(working: Path) -> dict[str, str]:
    """Of somebody who works in a home, on a port, with settings of their own."""
    own = {"FRADECT_HOME": str(working), "FRADECT_LEDGER_URL": f"sqlite:///{working}/theirs.db", "FRADECT_PORT": "1"}
    return {**os.environ, **own, "COLUMNS": "100"}


def _services(home: Path) -> list[str]:
    """Processes whose service log lies there."""
    found = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False).stdout
    return found.split()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    """The home somebody works in, what was told, and the figures."""
    folder = tmp_path_factory.mktemp("tour")
    working, figures = folder / "working", folder / "figures.json"
    working.mkdir()
    words = [FRADECT, "tour", *SMALL, "--json", str(figures)]
    ended = subprocess.run(
        words, env=_environment(working), capture_output=True, text=True, timeout=400, check=False, cwd=folder
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return working, ended.stderr + ended.stdout, json.loads(figures.read_text())


def test_the_champion_decays_and_another_takes_over_by_the_gates(ran: tuple[Path, str, dict[str, Any]]) -> None:
    _, _, found = ran
    assert found["drift"]["calm"]["answer"] == "no drift"
    assert found["drift"]["after"]["answer"] == "drift"
    assert found["champion"] == found["backtest"]["release"] != found["first_champion"]
    assert found["champion_changed"]
    assert found["backtest"]["changed"] > 0
    before, after = (found["quality"][when]["metrics"] for when in ("before", "after"))
    for measure in ("recall", "precision", "average_precision"):
        assert after[measure]["value"] < before[measure]["value"]
    tried = found["backtest"]
    assert tried["candidate"]["recall"]["value"] > tried["champion"]["recall"]["value"]
    steps = found["trial"]
    assert [step["name"] for step in steps] == ["shadow", "canary 5 %", "canary 25 %", "canary 50 %"]
    assert [step["move"] for step in steps] == ["widen", "widen", "widen", "promote"]
    assert [step["by_challenger"] > 0 for step in steps] == [False, True, True, True]
    assert "cost" in steps[-1]["held"], "labels that were told speak for it"


def test_the_sabotaged_release_is_caught_by_itself_and_taken_back(ran: tuple[Path, str, dict[str, Any]]) -> None:
    _, _, found = ran
    bad = found["sabotage"]
    assert bad["rolled_back"]
    assert bad["after"] == bad["before"] == found["champion"]
    assert "declines" in bad["gate"]
    assert 0 < bad["customers"] <= bad["declined"] <= bad["decisions"]
    assert bad["declined_honest"] > 0
    assert found["requests"]["by_release"][bad["release_id"]] == [bad["decisions"]] * 2
    assert 0 <= bad["to_last"] < 2, "seconds from the verdict to its last decision"


def test_no_decision_is_lost_and_the_ledger_holds(ran: tuple[Path, str, dict[str, Any]]) -> None:
    _, _, found = ran
    asked = found["requests"]
    assert asked["sent"] > 2_000
    assert asked["lost"] == asked["unanswered"] == 0
    assert asked["stored"] == asked["sent"] == sum(answered for answered, _ in asked["by_release"].values())
    assert found["ledger_verified"]


def test_it_is_told_as_it_happens_and_touches_nothing_else(ran: tuple[Path, str, dict[str, Any]]) -> None:
    working, told, found = ran
    in_order = ("A champion", "The trade drifts", "Another release", "Shadow, canary", "in a hurry", "What is left")
    places = [told.index(words) for words in in_order]
    assert places == sorted(places)
    for said in (found["first_champion"], found["champion"], found["sabotage"]["release_id"], "latency p50, p99"):
        assert said in told
    beside = {path.name for path in working.iterdir()} - {"prefect"}  # which every command makes
    assert beside == {"tour"}
    assert not _services(working), "the tour left a process behind"
