"""`fradect keys`: what is shown once is shown once, and a service in the same home knows the keys."""

import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from flows.commands.keys import app
from flows.wiring.keys import api_keys
from fradect.errors import InvalidInput, NotFound
from fradect.permissions import ROLES


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False, standalone_mode=False)


def _made(*arguments: str) -> str:
    ended = _run("create", *arguments)
    assert ended.exit_code == 0
    return ended.stdout.strip()


def _id(key: str) -> str:
    return key.split("_")[2]


def test_a_key_that_was_made_opens_what_its_role_does(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    key = _made("--tenant", "acme", "--role", "analyst", "--name", "reader", "--json", str(file), "--by", "ada")
    with api_keys() as keys:
        caller = keys.find(key)
    assert caller is not None
    assert (caller.tenant_id, caller.permissions) == ("acme", ROLES["analyst"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["key"] == key


def test_single_permissions_instead_of_a_role(home: Path) -> None:
    key = _made("--scope", "read:customers", "--scope", "read:webhooks")
    with api_keys() as keys:
        caller = keys.find(key)
    assert caller is not None
    assert caller.permissions == {"read:customers", "read:webhooks"}


def test_a_tenant_declared_for_tests_gets_test_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_TEST_TENANTS", "sandbox, beta")
    assert _made("--tenant", "beta").startswith("fdk_test_")
    assert _made("--tenant", "acme").startswith("fdk_live_")


def test_the_list_says_everything_but_the_secret(home: Path, tmp_path: Path) -> None:
    key = _made("--name", "shop", "--expires", "90d", "--by", "ada")
    gone = _made("--tenant", "acme")
    assert _run("revoke", _id(gone), "--by", "bob").exit_code == 0
    file = tmp_path / "keys.json"
    shown = _run("list", "--json", str(file))
    (one,) = json.loads(file.read_text())["keys"]
    assert (one["id"], one["name"], one["created_by"], one["state"]) == (_id(key), "shop", "ada", "valid")
    assert one["expires_at"] - one["created_at"] == pytest.approx(90 * 86_400e6, abs=1e6)
    assert key not in shown.stdout + file.read_text()
    _run("list", "--all", "--json", str(file))
    assert {one["state"]: one["revoked_by"] for one in json.loads(file.read_text())["keys"]} == {
        "valid": None,
        "revoked": "bob",
    }
    _run("list", "--tenant", "nobody", "--json", str(file))
    assert json.loads(file.read_text())["keys"] == []


def test_rotation_shows_a_new_key_and_the_old_ends_after_the_overlap(home: Path) -> None:
    old = _made()
    new = _run("rotate", _id(old), "--overlap", "7d").stdout.strip()
    with api_keys() as keys:
        assert keys.find(old) is not None
        before, after = keys.shown()
        assert keys.find(new) is not None
    assert after.replaces == before.id == _id(old)
    assert before.expires_at is not None
    newest = _run("rotate", _id(new), "--overlap", "0h").stdout.strip()
    with api_keys() as keys:
        assert keys.find(new) is None
        assert keys.find(newest) is not None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--role", "root"), "admin, analyst, api_user"),
        (("--role", "admin", "--scope", "*"), "one of them"),
        (("--scope", "read:everything"), "read:customers"),
        (("--expires", "soon"), "expires"),
        (("--expires", "0d"), "later moment"),
        (("--expires", "2001-01-01"), "later moment"),
        (("--tenant", ""), "visible ASCII"),
        (("--tenant", "a b"), "visible ASCII"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_no_key_is_made(home: Path, arguments: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        _run("create", *arguments)
    with api_keys() as keys:
        assert keys.shown() == []


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_not_found(home: Path, command: str) -> None:
    with pytest.raises(NotFound, match="keys list"):
        _run(command, "nosuchkey")


def test_a_file_that_cannot_be_written_does_not_swallow_the_key(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="shown above"):
        typer.main.get_command(app).main(["create", "--json", str(tmp_path / "file" / "x")], standalone_mode=False)
    key = capsys.readouterr().out.strip()
    with api_keys() as keys:
        assert keys.find(key) is not None
