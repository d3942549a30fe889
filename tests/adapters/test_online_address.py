"""FRADECT_ONLINE_URL, taken apart."""

import json
from pathlib import Path

import pytest

from fradect.adapters.online_address import FolderAddress, RedisAddress, address_of
from fradect.errors import InvalidInput
from fradect.settings import Settings


def test_a_folder_is_taken_as_it_is_written() -> None:
    assert address_of("sqlite:////home/a%20b#c?d") == FolderAddress(Path("/home/a%20b#c?d"))
    assert address_of("sqlite:///here") == FolderAddress(Path("here"))


def test_a_redis_with_everything() -> None:
    address = address_of("rediss://me:p%40ss%2C1@cache.example:6380/3?ssl_ca_certs=/etc/ca.pem")
    assert isinstance(address, RedisAddress)
    assert address.options == {
        "host": "cache.example",
        "port": 6380,
        "db": 3,
        "username": "me",
        "password": "p@ss,1",
        "ssl": True,
        "ssl_ca_certs": "/etc/ca.pem",
    }
    assert str(address) == "rediss://cache.example:6380/3"
    assert "p@ss" not in repr(address) + address.feast(secret=False)
    node, *options = address.feast(secret=True).split(",")
    told = {name: json.loads(value) for name, value in (option.split("=", 1) for option in options)}
    assert node == "cache.example:6380"
    assert told == {name: value for name, value in address.options.items() if name not in ("host", "port")}


def test_a_plain_redis() -> None:
    address = address_of("redis://localhost")
    assert isinstance(address, RedisAddress)
    assert address.options == {"host": "localhost", "port": 6379, "db": 0}
    assert address.feast(secret=False) == address.feast(secret=True) == "localhost:6379,db=0"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///",
        "sqlite://host/x",
        "postgresql://me:hush@host/x",
        "redis://:hush@",
        "redis://:hush@[::1]:6379/0",
        "redis://:hush@host:port/0",
        "redis://:hush@host:6379/name",
        "rediss://:hush@host/0?verify=no",
    ],
)
def test_anything_else_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="FRADECT_ONLINE_URL") as refused:
        address_of(url)
    assert "hush" not in str(refused.value)


def test_snapshots_follow_the_live_state_to_its_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    monkeypatch.delenv("FRADECT_ONLINE_URL", raising=False)
    monkeypatch.delenv("FRADECT_STATE_URL", raising=False)
    assert Settings.from_env().online_url == f"sqlite:///{tmp_path}"
    monkeypatch.setenv("FRADECT_STATE_URL", f"sqlite:///{tmp_path}/state.db")
    assert Settings.from_env().online_url == f"sqlite:///{tmp_path}"
    monkeypatch.setenv("FRADECT_STATE_URL", "redis://host/1")
    assert Settings.from_env().online_url == "redis://host/1"
    monkeypatch.setenv("FRADECT_ONLINE_URL", "redis://other/2")
    assert Settings.from_env().online_url == "redis://other/2"
