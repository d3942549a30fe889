"""Decisions of a real service, made again by `fradect decisions` from ledger and releases alone."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from flows.commands.decisions import app
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import InvalidInput, NotFound, Unavailable
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client

STANDARD, OTHER = "ecommerce/handbook", 301


def _run(*words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _figures(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    file = home / "figures.json"
    result = _run("replay", *words, "--json", str(file))
    return result.exit_code, msgspec.json.decode(file.read_bytes())


def _away(*_: object) -> None:
    raise Unavailable("away")


@pytest.fixture
def decided(served: Callable[[], Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of decisions by two releases: with and without factors, and some without the live state; all is stopped."""
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    client = served()
    ids = []
    for i in range(12):
        sent = body(f"tx{i}", customer_id=f"c{i % 5}", amount=10 + 7919 * i % 5000)
        ids.append(client.post(sent | {"options": {"include_factors": i % 2 == 0}}).json()["decision_id"])
    other = toy_release(STANDARD, OTHER)
    store = ReleasesFolder(tmp_path)
    store.save(other)
    store.promote("ecommerce", "demo", other.id)
    client.service._follow()
    with monkeypatch.context() as patch:
        patch.setattr(client.service._state, "arrive", _away)
        answers = [client.post(body(f"late{i}", customer_id="c1")).json() for i in range(3)]
    assert answers[0]["degraded"] == ["live_state"]
    client.service.close()
    return [*ids, *(answer["decision_id"] for answer in answers)]


def test_all_of_them_come_out_the_same(decided: list[str], tmp_path: Path) -> None:
    code, found = _figures(tmp_path, "--all")
    assert (code, found["decisions"], found["matched"], found["erased"]) == (0, 15, 15, 0)
    assert set(found["other_engines"]) == {toy_release(STANDARD).id, toy_release(STANDARD, OTHER).id}
    assert _figures(tmp_path, decided[3])[1]["matched"] == 1
    assert _figures(tmp_path, "--sample", "5")[1]["matched"] == 5
    assert _figures(tmp_path, "--all", "--tenant", "other")[1]["decisions"] == 0
    assert _figures(tmp_path, "--all", "--since", "2999-01-01")[1]["decisions"] == 0


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("score = score + 1", "score"),
        ("decision = 'DECLINE'", "decision"),
        ("probability = probability * (1.0 + 3e-16)", "probability"),
        ("factors = replace(factors, 'baseline', 'Baseline')", "factors"),
        ("vector = zeroblob(length(vector))", "factors"),
        ("answer = CAST(replace(CAST(answer AS TEXT), 'baseline', 'Baseline') AS BLOB)", "answer"),
    ],
)
def test_what_was_changed_is_found_and_named(decided: list[str], tmp_path: Path, change: str, column: str) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute(f"UPDATE risk_decisions SET {change} WHERE id = ?", [decided[4]])  # noqa: S608  our own
    code, found = _figures(tmp_path, "--all")
    assert (code, found["matched"], found["differing"]) == (1, 14, 1)
    assert found["examples"][0]["decision_id"] == decided[4]
    assert column in [part["column"] for part in found["examples"][0]["parts"]]


def test_a_release_that_is_gone_or_changed_costs_its_own_decisions_only(decided: list[str], tmp_path: Path) -> None:
    release = toy_release(STANDARD).id
    policy = tmp_path / "releases" / release / "policy.json"
    policy.write_bytes(policy.read_bytes().replace(b"300", b"299"))
    code, found = _figures(tmp_path, "--all")
    assert (code, found["matched"]) == (1, 3)
    assert found["gone"][release]["decisions"] == 12
    assert "do not match" in found["gone"][release]["reason"]


def test_erased_customers_are_reported_and_made_again_all_the_same(decided: list[str], tmp_path: Path) -> None:
    (tmp_path / "keys" / "vault.json").unlink()
    code, found = _figures(tmp_path, "--all")
    assert (code, found["matched"], found["erased"]) == (0, 15, 15)
    assert not (tmp_path / "keys" / "vault.json").exists(), "looking back makes no key"


def test_an_event_that_was_taken_away_is_no_match(decided: list[str], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        ledger.execute("DELETE FROM events WHERE event_id = 'tx4'")
    code, found = _figures(tmp_path, "--all")
    assert (code, found["matched"], found["unread"]) == (1, 14, 1)


def test_decisions_are_shown_and_listed(decided: list[str], tmp_path: Path) -> None:
    shown = _run("show", decided[0]).stdout
    assert decided[0] in shown
    assert "Why" in shown
    listed = tmp_path / "listed.json"
    assert _run("list", "--limit", "4", "--json", str(listed)).exit_code == 0
    rows = msgspec.json.decode(listed.read_bytes())["decisions"]
    assert [row["decision"] for row in rows] == decided[:-5:-1]
    with pytest.raises(NotFound):
        _run("show", "dec_nothing")


@pytest.mark.parametrize("words", [["replay"], ["replay", "--all", "--sample", "3"], ["list", "--action", "NO"]])
def test_wrong_options_are_told(decided: list[str], words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        _run(*words)


def test_without_a_ledger_the_remedy_is_told(home: Path) -> None:
    with pytest.raises(NotFound, match="start the service"):
        _run("replay", "--all")
