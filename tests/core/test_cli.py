"""The command line: help that teaches, one line and exit code 2 for wrong input."""

import subprocess
import sys
from pathlib import Path

import pytest

from fradect.cli import COMMANDS

FRADECT = str(Path(sys.executable).parent / "fradect")


def _run(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "FRADECT_HOME": str(home or "/nonexistent/home"), "COLUMNS": "200", "HOME": "/tmp"}
    return subprocess.run([FRADECT, *words], capture_output=True, text=True, timeout=120, env=env, check=False)


def test_help_lists_every_command_with_a_line() -> None:
    shown = _run("--help")
    assert shown.returncode == 0
    for name, command in COMMANDS.items():
        assert name in shown.stdout
        assert command.help.split(":")[0].split(",")[0] in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    shown = _run(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage: fradect" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["simulate", "--days", "many"],
        ["simulate", "--days", "-3"],
        ["import", "--mapping", "nowhere.yaml", "also-nowhere.csv"],
        ["import", "--mapping", "simulator", "nowhere.parquet"],
        ["promote", "rel_0000000000000000"],
        ["release", "show", "rel_0000000000000000"],
        ["release", "show", "../../etc/passwd"],
        ["train", "--module", "nonsense"],
        ["train", "--tenant", "../elsewhere"],
        ["drift", "--tenant", "nobody"],
        ["ingest", "--stream", "file://nosuch", "--mapping", "simulator"],
        ["ingest", "--stream", "kafka://127.0.0.1:abc/t", "--mapping", "simulator"],
        ["replay", "--state", "foo", "--tenant", "nobody"],
    ],
    ids=" ".join,
)
def test_wrong_input_is_one_line_that_says_what_to_do(words: list[str], tmp_path: Path) -> None:
    ran = _run(*words, home=tmp_path / "home")
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert ran.stderr.startswith("fradect: ")
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ran.stderr
