"""Customers' own keys: what is sealed opens in its place, until the key is destroyed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from fradect.adapters.erasures import Erasures, Stores
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.tables import data_keys, erasures
from fradect.adapters.vault import HomeVault
from fradect.customers import Erasing
from fradect.errors import Refused
from tests.factories_decision import record

ERASE = """
import sys
from pathlib import Path
from tests.adapters.test_data_keys import World
print(World(Path(sys.argv[1])).erase().decode())
"""


class World:
    """A home with a ledger; keys are written as the service writes them."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.home = home
        url = url or f"sqlite:///{home}/ledger.db"
        self.ledger, self.shared = SqlLedger(url), open_shared(url)
        self.keys = SqlKeys(self.ledger.engine, self.shared)
        self.vault = HomeVault(home, self.keys)

    def numbers(self, _tenant_id: str) -> dict[str, int]:
        return {"ecommerce": 7}

    def forget(self, _tenant_id: str, _customer_id: str) -> dict[str, int]:
        return {"live_state_keys": 1, "online_features": 4}

    def decide(self, event_id: str, customer: str = "c1") -> str:
        key = self.vault.key_of("demo", customer)
        cipher = key.seal("email", event_id, "ada@example.org")
        made = record(event_id)
        event = msgspec.structs.replace(made.event, fields={**made.event.fields, "customer_id": customer})
        self.ledger.commit(msgspec.structs.replace(made, event=event, data_key=key))
        return cipher

    def erase(self, customer: str = "c1", now: int = 1 << 51) -> bytes:
        stores = Stores(self.ledger.engine, self.shared, self.keys, self.vault, self)
        return Erasures(stores).erase(Erasing("demo", customer, "test", now))

    def close(self) -> None:
        self.shared.dispose()
        self.ledger.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_on_postgresql_too_a_key_comes_with_its_row_and_is_destroyed(tmp_path: Path, postgres: Any) -> None:
    world = World(tmp_path, postgres.new_database())
    ciphers = [world.decide(f"tx{i}") for i in range(3)]
    elsewhere = HomeVault(tmp_path, world.keys)
    assert elsewhere.open("demo", "email", "tx2", ciphers[2]) == "ada@example.org"
    receipt = msgspec.json.decode(world.erase())
    assert receipt["destroyed"]["data_keys"] == 1
    with pytest.raises(Refused, match="erased"):
        HomeVault(tmp_path, world.keys).open("demo", "email", "tx1", ciphers[1])
    assert msgspec.json.decode(world.erase(now=1 << 52)) == receipt
    world.close()


def test_the_key_is_stored_once_with_the_first_row_sealed_under_it(world: World) -> None:
    ciphers = [world.decide(f"tx{i}") for i in range(3)]
    with world.ledger.engine.connect() as connection:
        (row,) = connection.execute(sa.select(data_keys)).all()
    assert {cipher.split(":")[1] for cipher in ciphers} == {row.id}
    elsewhere = HomeVault(world.home, world.keys)
    assert elsewhere.open("demo", "email", "tx1", ciphers[1]) == "ada@example.org"
    for moved in (("demo", "email", "tx2"), ("demo", "phone", "tx1"), ("other", "email", "tx1")):
        with pytest.raises(Refused):
            elsewhere.open(*moved, ciphers[1])
    with pytest.raises(Refused):
        elsewhere.open("demo", "email", "tx1", ciphers[1], "customers")
    world.close()


def test_two_workers_that_meet_a_customer_at_once_are_both_read_by_everybody(world: World) -> None:
    other = HomeVault(world.home, world.keys)
    mine, theirs = world.vault.key_of("demo", "c1"), other.key_of("demo", "c1")
    assert mine.id != theirs.id
    world.ledger.commit_many(
        [
            msgspec.structs.replace(record("tx1"), data_key=mine),
            msgspec.structs.replace(record("tx2"), data_key=theirs),
        ]
    )
    assert mine.is_stored
    assert theirs.is_stored
    assert other.open("demo", "email", "tx1", mine.seal("email", "tx1", "a")) == "a"
    assert world.keys.destroy("demo", mine.owner, 1 << 60, 1) == 2
    world.close()


def test_one_whose_first_decision_was_not_stored_comes_with_the_next(world: World) -> None:
    world.ledger.commit(record("tx1"))
    key = world.vault.key_of("demo", "c1")
    world.ledger.commit(msgspec.structs.replace(record("tx1"), data_key=key))
    assert not key.is_stored, "the event was decided before: nothing of this record is in the ledger"
    cipher = world.decide("tx2")
    assert key.is_stored
    assert HomeVault(world.home, world.keys).open("demo", "email", "tx2", cipher) == "ada@example.org"
    world.close()


def test_a_destroyed_key_is_in_no_file_and_opens_nothing(world: World) -> None:
    cipher = world.decide("tx1")
    key = world.vault.key_of("demo", "c1")
    wrapped = key.row()["wrapped"]
    assert any(wrapped in path.read_bytes() for path in world.home.glob("ledger.db*"))
    receipt = msgspec.json.decode(world.erase())
    assert receipt["destroyed"]["data_keys"] == 1
    for vault in (world.vault, HomeVault(world.home, world.keys)):
        with pytest.raises(Refused, match="erased"):
            vault.open("demo", "email", "tx1", cipher)
    assert world.vault.key_of("demo", "c1") is not key
    assert not [path for path in world.home.glob("*.db*") if wrapped in path.read_bytes()]
    assert msgspec.json.decode(world.erase(now=1 << 52)) == receipt
    world.close()


def test_one_who_comes_back_can_be_erased_again(world: World) -> None:
    world.decide("tx1")
    first = world.erase()
    world.decide("tx2")
    second = world.erase(now=1 << 52)
    assert msgspec.json.decode(first)["id"] != msgspec.json.decode(second)["id"]
    world.close()


@pytest.mark.parametrize("point", ["erasure-begun:1", *(f"erasure-step:{n}" for n in range(1, 5))])
def test_an_erasure_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, point: str, request: pytest.FixtureRequest
) -> None:
    world = World(tmp_path)
    cipher = world.decide("tx1")
    world.close()
    environment = {**os.environ, "PYTHONPATH": str(request.config.rootpath), "FRADECT_CRASH_AT": point}
    killed = subprocess.run(
        [sys.executable, "-c", ERASE, str(tmp_path)], env=environment, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    world = World(tmp_path)
    stores = Stores(world.ledger.engine, world.shared, world.keys, world.vault, world)
    assert Erasures(stores).settle(1 << 52) == 1
    with world.shared.connect() as connection:
        (row,) = connection.execute(sa.select(erasures)).all()
    assert row.completed_at == 1 << 52
    assert world.erase(now=1 << 53) == bytes(row.receipt)
    with pytest.raises(Refused):
        world.vault.open("demo", "email", "tx1", cipher)
    world.close()


def test_the_key_can_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kek").write_text("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=\n")
    monkeypatch.setenv("FRADECT_VAULT_KEY_FILE", str(tmp_path / "kek"))
    by_file = HomeVault(tmp_path / "one")
    monkeypatch.delenv("FRADECT_VAULT_KEY_FILE")
    monkeypatch.setenv("FRADECT_VAULT_KEY", (tmp_path / "kek").read_text().strip())
    assert HomeVault(tmp_path / "two").key_id == by_file.key_id
    assert not (tmp_path / "one" / "keys").exists()
    monkeypatch.setenv("FRADECT_VAULT_KEY", "c2hvcnQ=")
    with pytest.raises(Refused, match="FRADECT_VAULT_KEY"):
        HomeVault(tmp_path / "three")
