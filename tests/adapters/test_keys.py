"""API keys: the clear text exists once, the database alone opens nothing, a wrong key says nothing."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fradect.adapters.keys import ApiKeys
from fradect.adapters.shared_sql import SqlMeasurements, open_shared, shared_url
from fradect.adapters.tables import api_keys
from fradect.errors import Refused
from fradect.permissions import ROLES
from fradect.ports import Measurement

API_USER = ROLES["api_user"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_shared(f"sqlite:///{tmp_path}/ledger.db")
    yield engine
    engine.dispose()


def test_an_issued_key_is_known_with_its_tenant_and_permissions(engine: sa.Engine, tmp_path: Path) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    key = keys.issue("demo", API_USER, 1)
    caller = keys.find(key)
    assert caller is not None
    assert caller.tenant_id == "demo"
    assert caller.may("write:transactions")
    assert not caller.may("read:customers")
    again = ApiKeys(engine, tmp_path / "keys")
    assert again.find(key) == caller


def test_the_star_permits_everything(engine: sa.Engine, tmp_path: Path) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    caller = keys.find(keys.issue("demo", ["*"], 1))
    assert caller is not None
    assert caller.may("read:customers")


@pytest.mark.parametrize("change", ["", "x", "fdk_live_", "last letter", "another id", "NUL\x00", "ключ"])
def test_any_other_text_is_nobody(engine: sa.Engine, tmp_path: Path, change: str) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    key = keys.issue("demo", API_USER, 1)
    wrong = {
        "last letter": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "another id": key[:9] + "a" * 12 + key[21:],
    }.get(change, change)
    assert keys.find(wrong) is None


def test_neither_database_nor_memory_of_the_class_holds_the_secret(engine: sa.Engine, tmp_path: Path) -> None:
    key = ApiKeys(engine, tmp_path / "keys").issue("demo", API_USER, 1)
    secret = key.split("_", 3)[3].encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


def test_a_revoked_key_is_nobody_after_the_next_look(engine: sa.Engine, tmp_path: Path) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    key = keys.issue("demo", API_USER, 1)
    with engine.begin() as connection:
        connection.execute(api_keys.update().values(revoked_at=2))
    keys.reload()
    assert keys.find(key) is None


def test_the_first_key_of_a_tenant_goes_to_a_private_file_once(engine: sa.Engine, tmp_path: Path) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    path = keys.first("demo", 1)
    assert path == tmp_path / "keys" / "api-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    caller = keys.find(path.read_text().strip())
    assert caller is not None
    assert caller.tenant_id == "demo"
    assert keys.first("demo", 2) is None
    assert keys.first("other", 3) == tmp_path / "keys" / "api-key-other"


def test_a_stale_key_file_is_replaced(engine: sa.Engine, tmp_path: Path) -> None:
    keys = ApiKeys(engine, tmp_path / "keys")
    (tmp_path / "keys" / "api-key").write_text("fdk_live_old")
    path = keys.first("demo", 1)
    assert path is not None
    assert keys.find(path.read_text().strip()) is not None


def test_another_pepper_opens_nothing_and_a_damaged_one_is_refused(engine: sa.Engine, tmp_path: Path) -> None:
    key = ApiKeys(engine, tmp_path / "keys").issue("demo", API_USER, 1)
    assert ApiKeys(engine, tmp_path / "elsewhere").find(key) is None
    assert stat.S_IMODE((tmp_path / "keys" / "pepper").stat().st_mode) == 0o600
    (tmp_path / "keys" / "pepper").write_bytes(b"short")
    with pytest.raises(Refused, match="restore it"):
        ApiKeys(engine, tmp_path / "keys")


def test_the_newest_measurement_of_a_name_and_labels_counts(engine: sa.Engine) -> None:
    store = SqlMeasurements(engine)
    for value in (0.1, 0.2):
        store.record(Measurement("fradect_false_positive_rate", {"module": "ecommerce"}, value, int(value * 10)))
    store.record(Measurement("fradect_false_positive_rate", {"module": "project"}, 0.5, 1))
    assert [(m.labels["module"], m.value) for m in store.latest()] == [("ecommerce", 0.2), ("project", 0.5)]


def test_the_shared_tables_lie_beside_a_sqlite_ledger_and_in_any_other(tmp_path: Path) -> None:
    assert shared_url(f"sqlite:///{tmp_path}/ledger.db") == f"sqlite:///{tmp_path}/shared.db"
    assert shared_url("postgresql://u:p@h/db") == "postgresql://u:p@h/db"
