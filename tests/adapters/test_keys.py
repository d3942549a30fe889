"""API keys: the clear text exists once, the database alone opens nothing, a wrong key says nothing."""

import hmac
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fradect.adapters.keys import ApiKeys, NewKey
from fradect.adapters.shared_sql import SqlMeasurements, open_shared, shared_url
from fradect.adapters.tables import api_keys
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable
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


def _at(engine: sa.Engine, folder: Path, now: int, *test_tenants: str) -> ApiKeys:
    return ApiKeys(engine, folder / "keys", frozenset(test_tenants), lambda: now)


def test_tenants_declared_as_test_have_test_keys_alone(engine: sa.Engine, tmp_path: Path) -> None:
    keys = _at(engine, tmp_path, 1, "sandbox")
    test, live = keys.issue("sandbox", API_USER, 1), keys.issue("demo", API_USER, 1)
    assert test.startswith("fdk_test_")
    assert live.startswith("fdk_live_")
    assert keys.find(test) is not None
    assert keys.find(live) is not None
    assert keys.find(test.replace("test", "live")) is None
    moved = _at(engine, tmp_path, 1, "demo")  # what is a test tenant was changed: keys of the other kind end with it
    assert moved.find(test) is None
    assert moved.find(live) is None


def test_a_key_ends_on_time_without_a_look_at_the_table(engine: sa.Engine, tmp_path: Path) -> None:
    now = [1]
    keys = ApiKeys(engine, tmp_path / "keys", now=lambda: now[0])
    key = keys.make(NewKey("demo", API_USER, expires_at=10), 1)
    assert keys.find(key) is not None
    now[0] = 10
    assert keys.find(key) is None
    keys.reload()
    assert keys.find(key) is None


def test_rotation_leaves_both_valid_for_the_overlap_alone(engine: sa.Engine, tmp_path: Path) -> None:
    now = [1]
    keys = ApiKeys(engine, tmp_path / "keys", now=lambda: now[0])
    old = keys.make(NewKey("demo", ROLES["analyst"], "shop", "ada", 1_000), 0)
    new = keys.rotate(old[9:21], 50, "bob")
    assert keys.find(old) is not None
    assert keys.find(new) is not None
    now[0] = 51
    keys.reload()
    assert keys.find(old) is None
    assert keys.find(new) is not None
    before, after = keys.shown("demo")
    assert (before.expires_at, after.expires_at, after.replaces, after.created_by) == (51, 1_000, before.id, "bob")
    assert (after.name, after.permissions) == (before.name, before.permissions)
    with pytest.raises(NotFound, match="keys list"):
        keys.rotate(before.id, 50, "bob")  # it has expired


def test_rotation_never_makes_a_key_live_longer(engine: sa.Engine, tmp_path: Path) -> None:
    keys = _at(engine, tmp_path, 1)
    old = keys.make(NewKey("demo", API_USER, expires_at=10), 1)
    keys.rotate(old[9:21], 1_000, "ada")
    assert keys.shown()[0].expires_at == 10


def test_a_revoked_key_stays_on_record_with_who_did_it(engine: sa.Engine, tmp_path: Path) -> None:
    keys = _at(engine, tmp_path, 7)
    key = keys.issue("demo", API_USER, 1)
    keys.revoke(key[9:21], "ada")
    assert keys.find(key) is None
    (shown,) = keys.shown()
    assert (shown.state(7), shown.revoked_at, shown.revoked_by) == ("revoked", 7, "ada")
    with pytest.raises(NotFound):
        keys.revoke(key[9:21], "ada")


def test_uses_are_written_in_batches_and_never_by_a_request(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = _at(engine, tmp_path, 5)
    given = [keys.issue("demo", API_USER, 1) for _ in range(3)]
    monkeypatch.setattr(keys, "_engine", None)  # who touched the table now would fail
    assert all(keys.find(key) for key in given[:2])
    assert keys.find(given[2][:-1] + "!") is None
    monkeypatch.undo()
    assert keys.note_uses() == 2
    assert sorted((key.last_used_at or 0) for key in keys.shown()) == [0, 5, 5]
    assert keys.note_uses() == 0


def test_uses_that_could_not_be_written_are_written_next_time(engine: sa.Engine, tmp_path: Path) -> None:
    keys = _at(engine, tmp_path, 5)
    keys.find(keys.issue("demo", API_USER, 1))
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO away")
    with pytest.raises(Unavailable):
        keys.note_uses()
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO api_keys")
    assert keys.note_uses() == 1


def test_a_comparison_in_constant_time_decides_also_for_ids_that_nobody_has(
    engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = _at(engine, tmp_path, 1)
    key = keys.issue("demo", API_USER, 1)
    stranger = f"fdk_live_{'a' * 12}_{'b' * 43}"
    compared: list[int] = []

    def decided(answer: bool) -> Callable[[bytes, bytes], bool]:
        def compare(one: bytes, other: bytes) -> bool:
            compared.append(len(one) + len(other))
            return answer

        return compare

    monkeypatch.setattr(hmac, "compare_digest", decided(False))
    assert keys.find(key) is None
    assert keys.find(stranger) is None
    monkeypatch.setattr(hmac, "compare_digest", decided(True))
    assert keys.find(key[:-43] + "b" * 43) is not None
    assert compared == [64, 64, 64]


@pytest.mark.parametrize("permissions", [["write:everything"], ["*", "root"]])
def test_permissions_that_there_are_not_are_refused(engine: sa.Engine, tmp_path: Path, permissions: list[str]) -> None:
    with pytest.raises(InvalidInput, match="read:risk_decisions"):
        _at(engine, tmp_path, 1).issue("demo", permissions, 1)


def test_the_newest_measurement_of_a_name_and_labels_counts(engine: sa.Engine) -> None:
    store = SqlMeasurements(engine)
    for value in (0.1, 0.2):
        store.record(Measurement("fradect_false_positive_rate", {"module": "ecommerce"}, value, int(value * 10)))
    store.record(Measurement("fradect_false_positive_rate", {"module": "project"}, 0.5, 1))
    assert [(m.labels["module"], m.value) for m in store.latest()] == [("ecommerce", 0.2), ("project", 0.5)]


def test_the_shared_tables_lie_beside_a_sqlite_ledger_and_in_any_other(tmp_path: Path) -> None:
    assert shared_url(f"sqlite:///{tmp_path}/ledger.db") == f"sqlite:///{tmp_path}/shared.db"
    assert shared_url("postgresql://u:p@h/db") == "postgresql://u:p@h/db"
