"""The commands that analysts use: told on one line each, with exit codes that machines can go by."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.commands import lists, rules
from fradect.errors import FradectError, InvalidInput, NotFound
from fradect.settings import PROJECT

BROKEN = PROJECT / "tests" / "golden" / "rules" / "types.json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path / "home"))
    return tmp_path


def _rules(*words: str) -> Result:
    return CliRunner().invoke(rules.app, list(words))


def _lists(*words: str) -> Result:
    ran = CliRunner().invoke(lists.app, list(words))
    if isinstance(ran.exception, FradectError):
        raise ran.exception
    return ran


def test_the_shipped_rulebook_is_sound() -> None:
    ran = _rules("check")
    assert ran.exit_code == 0, ran.output
    assert "nothing wrong" in ran.output


def test_everything_wrong_is_a_line_and_the_exit_code_is_2(tmp_path: Path) -> None:
    ran = _rules("check", str(BROKEN), "--json", str(tmp_path / "found.json"))
    assert ran.exit_code == 2
    expected = BROKEN.with_suffix(".txt").read_text().splitlines()
    assert ran.stderr.splitlines() == [f"types.json: {line}" for line in expected]
    found = json.loads((tmp_path / "found.json").read_text())
    assert [problem["row"] for problem in found["problems"]] == list(range(1, 9))
    assert found["problems"][0]["table"] == "Types"


def test_examples_that_hold_are_a_table_and_those_that_do_not_are_exit_code_1(tmp_path: Path) -> None:
    ran = _rules("test", "--json", str(tmp_path / "tried.json"))
    assert ran.exit_code == 0, ran.output
    tried = json.loads((tmp_path / "tried.json").read_text())
    assert tried["passed"]
    assert _of(tried, "amount_extreme")["hit"] == 1
    examples = (PROJECT / "rulebooks" / "ecommerce.examples.yaml").read_text()
    (tmp_path / "few.yaml").write_text(examples.split("examples:\n")[0] + "examples: [{name: only, points: 5}]\n")
    ran = _rules("test", "--examples", str(tmp_path / "few.yaml"))
    assert ran.exit_code == 1
    assert "only: points is 0, not 5" in ran.output
    assert "no example hits it" in ran.output


def _of(tried: dict[str, list[dict[str, object]]], rule: str) -> dict[str, object]:
    return next(coverage for coverage in tried["coverage"] if coverage["rule"] == rule)


def test_a_rulebook_that_is_not_there_is_named() -> None:
    ran = _rules("check", "nowhere.json")
    assert isinstance(ran.exception, InvalidInput)
    assert "nowhere.json cannot be read" in str(ran.exception)


def test_what_is_added_is_shown_and_what_is_removed_is_remembered(home: Path) -> None:
    assert (
        _lists("add", "deny", "device", "d1", "--until", "2090-01-01", "--note", "ring", "--by", "ann").exit_code == 0
    )
    assert "d1" in _lists("show").output
    assert "d1" not in _lists("show", "--tenant", "other").output
    _lists("remove", "deny", "device", "d1", "--by", "bob")
    assert "d1" not in _lists("show").output
    _lists("show", "--all", "--json", str(home / "all.json"))
    (entry,) = json.loads((home / "all.json").read_text())["entries"]
    assert (entry["value"], entry["note"], entry["added_by"], entry["removed_by"]) == ("d1", "ring", "ann", "bob")
    assert entry["in_force"] is False


def test_a_file_is_added_whole_or_not_at_all(home: Path) -> None:
    file = home / "ranges.csv"
    file.write_text('# from the bank\n192.0.2.0/24,2090-01-01,"a, b"\n\n2001:db8::/32\n192.0.2.0/33\n,\nx\n')
    with pytest.raises(InvalidInput, match=r"nothing was added: line 5: ip '192.0.2.0/33'.*; line 7: ip 'x'"):
        _lists("add", "deny", "ip", "--file", str(file))
    assert "0 entries" in _lists("show").output
    file.write_text('192.0.2.0/24,2090-01-01,"a, b"\n2001:db8::/32\n192.0.2.0/24\n')
    assert "2 on the deny list" in _lists("add", "deny", "ip", "--file", str(file), "--note", "all").output
    _lists("show", "--json", str(home / "shown.json"))
    shown = json.loads((home / "shown.json").read_text())["entries"]
    assert {(entry["value"], entry["note"]) for entry in shown} == {("192.0.2.0/24", "all"), ("2001:db8::/32", "all")}


@pytest.mark.parametrize(
    ("words", "error", "remedy"),
    [
        (["add", "deny", "device"], InvalidInput, "give a value, or --file"),
        (["add", "deny", "device", "d1", "--until", "2001-01-01"], InvalidInput, "give a later day"),
        (["add", "deny", "device", "d1", "--until", "soon"], InvalidInput, "give a moment"),
        (["add", "deny", "hat", "d1"], InvalidInput, "choose from"),
        (["add", "deny", "card", "4111111111111111"], InvalidInput, "token"),
        (["add", "deny", "device", "d1", "--note", "card 4111111111111111"], InvalidInput, "note: card number"),
        (["add", "deny", "device", "d1", "--module", "tea"], InvalidInput, "unknown"),
        (["add", "deny", "device", "--file", "nowhere.csv"], InvalidInput, "cannot be read"),
        (["remove", "allow", "device", "d1"], NotFound, "fradect lists show"),
    ],
)
def test_wrong_input_says_what_to_do(home: Path, words: list[str], error: type[FradectError], remedy: str) -> None:
    with pytest.raises(error, match=remedy):
        _lists(*words)
