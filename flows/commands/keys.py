"""`fradect keys`: who may call the service, and for how long; a service follows within seconds."""

import getpass
import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from flows import screen
from flows.commands.options import JSON
from flows.fitting import counted
from flows.moments import moment
from flows.wiring.keys import KeyShown, NewKey, api_keys
from fradect.errors import InvalidInput
from fradect.permissions import PERMISSIONS, ROLES

WHOSE = typer.Option(help="Whose key: it sees and changes nothing of any other tenant.")
ROLE = typer.Option(help=f"What it may do: {', '.join(ROLES)}.")
SCOPE = typer.Option(help=f"A single permission instead of a role, as often as needed: {', '.join(PERMISSIONS)}.")
NAME = typer.Option(help="What it is for, for whoever reads the list later.")
EXPIRES = typer.Option(help="When it ends: 90d, 12h or 2027-01-01; without it, when it is revoked.")
OVERLAP = typer.Option(help="For how long the old one is valid beside the new one: 24h, 7d; 0h ends it at once.")
BY = typer.Option(help="Who does it; by default whoever is logged in.")
ID = typer.Argument(help="The twelve letters after fdk_live_ or fdk_test_.")
ALL = typer.Option("--all", help="Also what was revoked or has expired.")
SECRET_JSON = typer.Option("--json", help="Write the key to this file as well, for its owner alone to read.")

_UNITS = {"m": 60, "h": 3600, "d": 86_400}

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, rotate, revoke.")


@app.command()
def create(  # noqa: PLR0913, PLR0917  each is an option of the command line
    tenant: Annotated[str, WHOSE] = "demo",
    role: Annotated[str | None, ROLE] = None,
    scope: Annotated[list[str] | None, SCOPE] = None,
    name: Annotated[str, NAME] = "",
    expires: Annotated[str | None, EXPIRES] = None,
    by: Annotated[str | None, BY] = None,
    json: Annotated[Path | None, SECRET_JSON] = None,
) -> None:
    """Make a key and show it, this once. It is a test key where FRADECT_TEST_TENANTS names the tenant."""
    now = _now()
    new = NewKey(_tenant(tenant), _permissions(role, scope), name[:128], _who(by), _end(expires, now))
    with api_keys() as keys:
        clear = keys.make(new, now)
    _tell(clear, json, {"tenant_id": tenant, "permissions": sorted(new.permissions), "expires_at": new.expires_at})


@app.command(name="list")
def list_(
    tenant: Annotated[str | None, WHOSE] = None,
    all_: Annotated[bool, ALL] = False,
    json: Annotated[Path | None, JSON] = None,
) -> None:
    """Which keys there are, what they may do, and when they were last used."""
    now = _now()
    with api_keys() as keys:
        shown = [key for key in keys.shown(tenant) if all_ or key.state(now) == "valid"]
    screen.leave_json(json, {"keys": [{**asdict(key), "state": key.state(now)} for key in shown]})
    columns = ("id", "tenant", "kind", "name", "may", "since (UTC)", "until (UTC)", "last used (UTC)", "")
    Console().print(screen.table(counted(len(shown), "key"), columns, [_line(key, now) for key in shown]))


@app.command()
def rotate(
    key_id: Annotated[str, ID],
    overlap: Annotated[str, OVERLAP] = "24h",
    by: Annotated[str | None, BY] = None,
    json: Annotated[Path | None, SECRET_JSON] = None,
) -> None:
    """Make a key in the place of another, which stays valid for the overlap and no longer."""
    seconds = _seconds("overlap", overlap)
    with api_keys() as keys:
        clear = keys.rotate(key_id, seconds * 1_000_000, _who(by))
    _tell(clear, json, {"replaces": key_id, "overlap_seconds": seconds})


@app.command()
def revoke(key_id: Annotated[str, ID], by: Annotated[str | None, BY] = None) -> None:
    """End a key at once. That it was there, and who ended it, stays on record."""
    with api_keys() as keys:
        keys.revoke(key_id, _who(by))
    Console().print(f"{key_id} is revoked; services notice within two seconds")


def _tell(clear: str, json: Path | None, facts: Mapping[str, Any]) -> None:
    Console(soft_wrap=True).print(clear, highlight=False)
    Console(stderr=True).print("Shown this once: keep it where secrets are kept.", style="dim")
    if json is not None:
        _leave_secret(json, {"key": clear, "id": clear.split("_")[2], **facts})


def _leave_secret(path: Path, figures: Mapping[str, Any]) -> None:
    """No moment in which others could read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}): the key is shown above", "json") from error


def _permissions(role: str | None, scopes: list[str] | None) -> frozenset[str]:
    if role is not None and scopes:
        raise InvalidInput("--role and --scope: give one of them", field="role")
    if scopes:
        return frozenset(scopes)
    name = role or "api_user"
    if name not in ROLES:
        raise InvalidInput(f"--role {name!r}: give one of {', '.join(ROLES)}", field="role")
    return ROLES[name]


def _tenant(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,64}", text):
        raise InvalidInput(f"--tenant {text!r}: give 1 to 64 visible ASCII characters", field="tenant")
    return text


def _end(text: str | None, now: int) -> int | None:
    if text is None:
        return None
    end = now + _seconds("expires", text) * 1_000_000 if text[-1:] in _UNITS else moment("expires", text)
    if end is None or end <= now:
        raise InvalidInput(f"--expires {text!r} is past: give a later moment", field="expires")
    return end


def _seconds(option: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if match is None:
        raise InvalidInput(f"--{option} {text!r}: give minutes, hours or days, such as 30m, 24h or 7d", field=option)
    return int(match[1]) * _UNITS[match[2]]


def _who(by: str | None) -> str:
    return (by or getpass.getuser())[:256]


def _now() -> int:
    return time.time_ns() // 1000


def _line(key: KeyShown, now: int) -> tuple[str, ...]:
    may = next((name for name, held in ROLES.items() if held == set(key.permissions)), ", ".join(key.permissions))
    state = key.state(now)
    told = f"revoked by {key.revoked_by}" if state == "revoked" else "" if state == "valid" else state
    days = (_day(key.created_at), _day(key.expires_at), _day(key.last_used_at))
    return key.id, key.tenant_id, key.kind, key.name, may, *days, told


def _day(micros: int | None) -> str:
    return "" if micros is None else f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d %H:%M}"
