"""Feast's online data without Feast: held to its own API, on SQLite and on a real Redis."""

import contextlib
import io
import json
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.sqlite import adapt_datetime_epoch
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fradect.adapters.customer_holdings import Holdings
from fradect.adapters.feast_format import customer_of, entity_key, field_name, local_moment, number, proto_moment
from fradect.adapters.feast_online import open_online
from fradect.adapters.feast_store import FeastStore
from fradect.adapters.online_snapshots import OnlineSnapshots
from fradect.adapters.places import Places
from fradect.errors import NotFound, Refused, Unavailable
from fradect.features.live import Snapshot
from fradect.features.snapshots import TTL
from fradect.modules import contract_of
from fradect.settings import PROJECT
from fradect.types import DAY, SECOND, Event
from tests.adapters.factories_snapshots import BATCH, END, MODULE, MOMENT, STANDARD, append_snapshots, called, written
from tests.features.factories_log import START, events_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DAY_0 = START // DAY * DAY


@given(TEXT, st.sampled_from(["ecommerce_default", "x"]))
def test_a_key_has_feasts_bytes_and_gives_the_customer_back(customer: str, project: str) -> None:
    key = entity_key(customer)
    theirs = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer)])
    assert key == serialize_entity_key(theirs, entity_key_serialization_version=3)
    assert customer_of(key + project.encode(), project.encode()) == customer
    assert customer_of(key + b"e" + project.encode(), project.encode()) is None
    assert customer_of(key[:-1], b"") is None


def test_keys_of_other_entities_are_nobodys() -> None:
    other = EntityKey(join_keys=["merchant_id"], entity_values=[Value(string_val="m")])
    assert customer_of(serialize_entity_key(other, entity_key_serialization_version=3), b"") is None


@given(st.floats())
def test_a_value_is_feasts_double(value: float) -> None:
    assert repr(number(Value(double_val=value).SerializeToString())) == repr(value)


def test_a_value_that_is_absent_or_no_double() -> None:
    assert number(Value().SerializeToString()) is None
    for wrong in (Value(int64_val=3), Value(string_val="12345678"), Value(float_val=1)):
        with pytest.raises(Unavailable, match="materialise"):
            number(wrong.SerializeToString())


@given(st.text("abcdefghij_0123456789", min_size=1))
def test_a_field_has_feasts_name(name: str) -> None:
    assert field_name(name) == _mmh3(f"customer_features:{name}")


@given(st.datetimes(datetime(1905, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001
def test_moments_are_feasts(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1)) // (datetime(1970, 1, 1, 0, 0, 0, 1) - datetime(1970, 1, 1))  # noqa: DTZ001
    stamp = Timestamp()
    stamp.FromDatetime(moment.replace(tzinfo=UTC))
    assert proto_moment(stamp.SerializeToString()) == micros


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati"])
def test_midnights_survive_feasts_local_seconds(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in range(400):
            midnight = datetime.fromtimestamp(1_700_006_400 + day * 86_400, UTC)
            assert local_moment(adapt_datetime_epoch(midnight.replace(tzinfo=None))) == midnight.timestamp() * SECOND
    finally:
        monkeypatch.undo()
        time.tzset()


@dataclass(frozen=True)
class Stores:
    """A home and what is put online from it."""

    places: Places
    url: str
    feast: FeastStore
    reader: OnlineSnapshots


def _stores(home: Path, url: str) -> Stores:
    places = Places(home, "ecommerce", "default")
    feast = FeastStore(places, STANDARD, url)
    feast.apply()
    return Stores(places, url, feast, OnlineSnapshots(url, places, MODULE, STANDARD))


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("redis_db")) if request.param == "redis" else f"sqlite:///{tmp_path}"


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    places = written(tmp_path_factory.mktemp("home"), 600)
    new: Callable[[], str] = (
        request.getfixturevalue("new_redis_db") if request.param == "redis" else lambda: f"sqlite:///{places.home}"
    )
    stores = _stores(places.home, new())
    assert stores.feast.materialise(END)
    yield stores
    stores.reader.close()


def _event(customer: str | None, at: int = END, tenant: str = "default") -> Event:
    (event,) = events_of({"event_time": [at], "customer_id": [customer]})
    return structs.replace(event, tenant_id=tenant)


def _newest(places: Places) -> dict[str, dict[str, float]]:
    """By the merchant's id, which the log alone has."""
    rows = pq.read_table(places.snapshots(STANDARD)).to_pandas().sort_values(["event_timestamp", "created"])
    newest = rows.groupby("customer_id").tail(1).set_index("customer_id")[BATCH]
    customers = set(pq.read_table(places.log / "events", columns=["customer_id"])["customer_id"].to_pylist()) - {None}
    assert {called(places, customer) for customer in customers} == set(newest.index)
    return {customer: newest.loc[called(places, customer)].to_dict() for customer in sorted(customers)}


def _asked_of_feast(places: Places, customers: Sequence[str]) -> dict[str, list[Any]]:
    """Feast's own answer, through the feature_store.yaml that lies beside its registry."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        store = FeatureStore(repo_path=str(places.feast))
        references = [f"customer_features:{name}" for name in BATCH]
        answer = store.get_online_features(references, [{"customer_id": called(places, one)} for one in customers])
    cells: dict[str, list[Any]] = answer.to_dict(include_event_timestamps=True)
    return cells


def _write(places: Places, rows: dict[tuple[str, int], Sequence[float | None]]) -> None:
    """Exactly these snapshots, by customer and day."""
    midnights = pa.array([DAY_0 + day * DAY for _, day in rows], pa.int64()).cast(MOMENT)
    columns = {name: pa.array([values[i] for values in rows.values()], pa.float64()) for i, name in enumerate(BATCH)}
    table = pa.table(
        {
            "customer_id": pa.array([called(places, customer) for customer, _ in rows], pa.string()),
            "event_timestamp": midnights,
            "created": midnights,
            **columns,
        }
    )
    path = places.snapshots(STANDARD)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _drawn(rng: np.random.Generator, customers: Sequence[str]) -> dict[tuple[str, int], Sequence[float | None]]:
    values = [None, float("nan"), 0.0, -0.0, 1.5, float("inf"), 1e308, 5e-324]

    def one() -> float | None:
        return values[rng.integers(len(values))] if rng.random() < 0.5 else float(rng.normal())

    days = {customer: sorted(set(rng.integers(0, 30, rng.integers(1, 5)).tolist())) for customer in customers}
    return {(customer, day): [one() for _ in BATCH] for customer in customers for day in days[customer]}


def _compare(stores: Stores, customers: Sequence[str], at: int) -> int:
    """Reader and Feast's API side by side; how many values there were."""
    feast = _asked_of_feast(stores.places, customers)
    online = open_online(stores.url, stores.places, BATCH)
    found = 0
    for i, customer in enumerate(customers):
        snapshot = stores.reader.read(_event(customer, at))
        assert not snapshot.missing
        _, cells = online.read(called(stores.places, customer))
        for name in BATCH:
            theirs, ours = feast[name][i], snapshot.values.get(name)
            assert repr(theirs) == repr(ours), (customer, name)  # the same bits, NaN and the sign of zero included
            if name in cells:
                assert cells[name][1] == feast[f"{name}__ts"][i] * SECOND
            found += theirs is not None
    online.close()
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_materialised_reads_as_feast_answers(url: str, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    customers = ["", " ", "c1", "C1", "c1 ", "ünï", "顧客", "🙂*?[a]", "a'b\"c;--", "x" * 300, "\x00", "1"]
    customers += [f"u{i}" for i in range(60)]
    stores = _stores(tmp_path, url)
    rows = _drawn(rng, customers[::2])
    _write(stores.places, rows)
    for day in (10, 20, 40):
        assert stores.feast.materialise(DAY_0 + day * DAY)
        assert _compare(stores, customers, DAY_0 + day * DAY) > 20
    _write(stores.places, rows | _drawn(rng, customers[::3]))
    assert stores.feast.materialise(DAY_0 + 40 * DAY)
    assert _compare(stores, customers, DAY_0 + 40 * DAY) > 60


def test_online_every_customer_has_the_newest_snapshot(filled: Stores) -> None:
    newest = _newest(filled.places)
    assert len(newest) > 20
    for customer, values in newest.items():
        snapshot = filled.reader.read(_event(customer))
        assert snapshot.values == values
        assert not snapshot.missing


def test_a_customer_never_seen_has_no_values_and_nothing_missing(filled: Stores) -> None:
    assert filled.reader.read(_event("nobody")) == Snapshot({}, {})


def test_an_event_without_a_customer_says_so(filled: Stores) -> None:
    assert filled.reader.read(_event(None)).missing == dict.fromkeys(BATCH, "the event names no customer")


def test_a_store_left_behind_is_stale_and_one_just_fresh_is_not(filled: Stores) -> None:
    assert not filled.reader.read(_event("c1", END + 7 * DAY)).missing
    missing = filled.reader.read(_event("c1", END + 7 * DAY + 1)).missing
    assert set(missing) == set(BATCH)
    assert "7 days old" in missing["total_orders"]


def test_another_tenants_event_is_refused(filled: Stores) -> None:
    with pytest.raises(Refused, match="another tenant"):
        filled.reader.read(_event("c1", tenant="rival"))


def test_another_tenant_of_the_same_store_sees_nothing_of_it(filled: Stores) -> None:
    places = Places(filled.places.home, "ecommerce", "rival")
    reader = OnlineSnapshots(filled.url, places, MODULE, STANDARD)
    missing = reader.read(_event("c1", tenant="rival")).missing
    assert missing == dict.fromkeys(BATCH, "customer snapshots were never materialised")


def test_many_threads_read_the_same_store(filled: Stores) -> None:
    newest = _newest(filled.places)
    asked = [customer for customer in newest for _ in range(5)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda customer: filled.reader.read(_event(customer)).values, asked))
    assert read == [newest[customer] for customer in asked]


def test_features_that_the_store_does_not_hold_are_missing_by_name(filled: Stores) -> None:
    renamed = tuple(replace(f, name="orders_ever") if f.name == "total_orders" else f for f in STANDARD)
    contract = replace(STANDARD, features=renamed)
    reader = OnlineSnapshots(filled.url, filled.places, MODULE, contract)
    snapshot = reader.read(_event("c1"))
    assert snapshot.missing == {"orders_ever": "the feature store does not hold it"}
    assert set(snapshot.values) == set(BATCH) - {"total_orders"}
    plain = OnlineSnapshots(filled.url, filled.places, MODULE, contract_of("ecommerce/handbook"))
    assert plain.read(_event("c1")) == Snapshot({}, {})


def test_a_customer_who_last_bought_long_ago_has_the_snapshot_that_history_has(url: str, tmp_path: Path) -> None:
    stores = _stores(tmp_path, url)
    until = DAY_0 + 401 * DAY
    _write(stores.places, {("weeks", 380): [1, 1, 1, 1], ("just", 1): [2, 2, 2, 2], ("over", 0): [3, 3, 3, 3]})
    for day in (2, 390, 401):
        assert stores.feast.materialise(DAY_0 + day * DAY)
    assert stores.reader.read(_event("weeks", until)).values["total_orders"] == 1
    assert stores.reader.read(_event("just", DAY_0 + DAY + TTL)).values["total_orders"] == 2
    for customer, late in (("just", DAY_0 + DAY + TTL + 1), ("over", until)):
        assert stores.reader.read(_event(customer, late)) == Snapshot({}, {})


def test_materialisation_is_incremental_until_the_past_is_rewritten(url: str, tmp_path: Path) -> None:
    places = written(tmp_path, 300)
    feast = FeastStore(places, STANDARD, url)
    with pytest.raises(NotFound, match="apply"):
        feast.materialise(END)
    reader = OnlineSnapshots(url, places, MODULE, STANDARD)
    never = dict.fromkeys(BATCH, "customer snapshots were never materialised")
    assert reader.read(_event("c1")).missing == never
    feast.apply()
    assert reader.read(_event("c1")).missing == never
    assert feast.materialise(START + 10 * DAY)
    early = reader.read(_event("c1", START + 10 * DAY)).values["total_orders"]
    assert feast.materialise(END)
    assert reader.read(_event("c1")).values["total_orders"] > early
    feast.apply()
    assert not feast.materialise(END)
    assert not feast.materialise(START + 10 * DAY)
    append_snapshots(
        places, [{"customer": called(places, "late"), "midnight": DAY_0 + DAY, "created": DAY_0 + DAY, "value": 9}]
    )
    assert feast.materialise(START + 10 * DAY)
    assert reader.read(_event("late")).values["total_orders"] == 9
    assert reader.read(_event("c1")).values["total_orders"] > early
    lines = [json.loads(line) for line in (places.feast / "materialised.jsonl").read_text().splitlines()]
    assert [line["until"] for line in lines] == [START + 10 * DAY, END, END]
    assert lines[0]["at"] <= lines[1]["at"] <= lines[2]["at"]


def test_a_corrected_snapshot_replaces_one_of_the_same_time_and_the_vanished_go(url: str, tmp_path: Path) -> None:
    stores = _stores(tmp_path, url)
    _write(stores.places, {("a", 1): [1, 1, 1, 1], ("b", 1): [2, 2, 2, 2]})
    assert stores.feast.materialise(DAY_0 + 2 * DAY)
    _write(stores.places, {("a", 1): [7, None, 7, 7]})
    assert stores.feast.materialise(DAY_0 + 2 * DAY)
    at = DAY_0 + 3 * DAY
    assert stores.reader.read(_event("a", at)).values == {"total_orders": 7, "return_rate": 7, "fraud_history": 7}
    assert stores.reader.read(_event("b", at)).values == {}


def test_an_erased_customer_is_out_of_a_filled_store_and_does_not_come_back(url: str, tmp_path: Path) -> None:
    stores, held = _stores(tmp_path, url), Holdings(None, url, tmp_path, set)
    _write(stores.places, {("a", 1): [1, 1, 1, 1], ("b", 1): [2, 2, 2, 2]})
    assert stores.feast.materialise(END)
    assert held.forget("rival", "a") == {"live_state_keys": 0, "online_features": 0}
    assert held.forget("default", "a") == {"live_state_keys": 0, "online_features": 4}
    assert held.forget("default", "a")["online_features"] == 0
    assert _asked_of_feast(stores.places, ["a", "b"])["total_orders"] == [None, 2]
    assert stores.reader.read(_event("a")) == Snapshot({}, {})
    _write(stores.places, {("erased_1", 1): [1, 1, 1, 1], ("b", 1): [2, 2, 2, 2]})
    assert stores.feast.materialise(END)
    assert stores.reader.read(_event("a")) == Snapshot({}, {})
    assert stores.reader.read(_event("b")).values["total_orders"] == 2


def test_another_online_store_is_filled_from_the_beginning(redis_db: str, tmp_path: Path) -> None:
    before = _stores(tmp_path, f"sqlite:///{tmp_path}")
    _write(before.places, {("a", 1): [1, 1, 1, 1]})
    assert before.feast.materialise(END)
    after = _stores(tmp_path, redis_db)
    assert "never" in after.reader.read(_event("a")).missing["total_orders"]
    assert after.feast.materialise(END)
    assert after.reader.read(_event("a")).values["total_orders"] == 1


def test_an_emptied_redis_says_so_and_is_filled_again(redis_db: str, tmp_path: Path) -> None:
    stores = _stores(tmp_path, redis_db)
    _write(stores.places, {("a", 1): [1, 1, 1, 1]})
    stores.feast.materialise(END)
    with redis.Redis.from_url(redis_db) as client:
        assert 400 * 86_400 < client.ttl(entity_key(called(stores.places, "a")) + b"ecommerce_default") <= 408 * 86_400
        client.client_kill_filter(_type="normal", skipme=True)
        assert stores.reader.read(_event("a")).values["total_orders"] == 1
        client.flushdb()
    assert "never" in stores.reader.read(_event("a")).missing["total_orders"]
    assert stores.feast.materialise(END)
    assert stores.reader.read(_event("a")).values["total_orders"] == 1


def test_a_password_is_used_and_left_nowhere(
    redis_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    password, spelt = 'se,cr=et"1', "se%2Ccr%3Det%221"
    with redis.Redis.from_url(redis_db) as client:
        client.acl_setuser("feast", enabled=True, passwords=[f"+{password}"], categories=["+@all"], keys=["*"])
    stores = _stores(tmp_path, redis_db.replace("redis://", f"redis://feast:{spelt}@"))
    _write(stores.places, {("a", 1): [1, 1, 1, 1]})
    assert stores.feast.materialise(END)
    assert stores.reader.read(_event("a")).values["total_orders"] == 1
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or (password.encode() not in (raw := file.read_bytes()) and spelt.encode() not in raw)
    assert "cr=et" not in caplog.text
    monkeypatch.setenv("FRADECT_ONLINE_PASSWORD", json.dumps(password).replace(",", "\\u002c"))
    assert _asked_of_feast(stores.places, ["a"])["total_orders"] == [1]
    wrong = OnlineSnapshots(redis_db.replace("redis://", "redis://feast:hush@"), stores.places, MODULE, STANDARD)
    with pytest.raises(Unavailable) as refused:
        wrong.read(_event("a"))
    assert "hush" not in str(refused.value)


def test_a_store_that_is_away_or_damaged_is_unavailable(tmp_path: Path) -> None:
    places = Places(tmp_path, "ecommerce", "default")
    with pytest.raises(Unavailable, match=r"redis://127\.0\.0\.1:1/0 does not answer"):
        OnlineSnapshots("redis://127.0.0.1:1/0", places, MODULE, STANDARD).read(_event("a"))
    stores = _stores(tmp_path, f"sqlite:///{tmp_path}")
    _write(places, {("a", 1): [1, 1, 1, 1]})
    stores.feast.materialise(END)
    assert stores.reader.read(_event("a")).values
    stores.reader.close()
    file = places.feast / "online.db"
    for name in ("online.db-wal", "online.db-shm"):
        (places.feast / name).unlink(missing_ok=True)
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=r"online\.db cannot be read"):
        stores.reader.read(_event("a"))


def test_a_cell_that_cannot_be_read_costs_its_own_event_alone(tmp_path: Path) -> None:
    stores = _stores(tmp_path, f"sqlite:///{tmp_path}")
    _write(stores.places, {("a", 1): [1, 1, 1, 1]})
    stores.feast.materialise(END)
    with contextlib.closing(sqlite3.connect(stores.places.feast / "online.db")) as file, file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (table,) = (name for name in tables if "customer" in name)
        file.execute(f"UPDATE \"{table}\" SET event_ts = 'never'")  # noqa: S608
    errand = stores.reader.errand(_event("a"))
    assert errand is not None
    errand.bring(())  # in the group, where others' arrivals hang on it
    with pytest.raises(TypeError):
        errand.snapshot()


def test_a_service_reads_without_importing_feast() -> None:
    told = "import sys, serving.wiring; print('feast' in sys.modules, 'fradect.adapters.feast_online' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_snapshot_that_is_newer_than_the_event_is_not_what_it_could_have_seen(filled: Stores) -> None:
    customer = next(iter(_newest(filled.places)))
    seen = filled.reader.read(_event(customer, at=DAY_0))
    assert not seen.values
    assert set(seen.missing.values()) == {"the customer's snapshot is newer than the event"}
