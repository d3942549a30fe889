"""The table of customers from log and ledger, and erased customers in what is made of the log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from flows.commands.state import app as state_app
from flows.customers import customers as bring_up
from flows.materialise import materialise
from flows.wiring import workshop
from fradect.adapters.customer_export import CustomerExports
from fradect.adapters.erasures import Erasures, Stores
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.states import open_state
from fradect.adapters.tables import customers
from fradect.adapters.vault import HomeVault
from fradect.customers import Erasing
from fradect.errors import NotFound
from fradect.features.layout import layout_of

_ALL = 1 << 40


class _Nothing:
    """Neither features online nor a live state: a rebuild is what must not bring anything back."""

    def __init__(self, last: int) -> None:
        self.last = last

    def numbers(self, _tenant_id: str) -> dict[str, int]:
        return {"ecommerce": self.last}

    def forget(self, _tenant_id: str, _customer_id: str) -> dict[str, int]:
        return {"live_state_keys": 0, "online_features": 0}


def _rows(home: Path) -> dict[str, Any]:
    engine = open_shared(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        rows = {row.id: row for row in connection.execute(sa.select(customers))}
    engine.dispose()
    return rows


def _erase(home: Path, customer: str, last: int = _ALL) -> dict[str, Any]:
    ledger, shared = SqlLedger(f"sqlite:///{home}/ledger.db"), open_shared(f"sqlite:///{home}/ledger.db")
    keys = SqlKeys(ledger.engine, shared)
    vault = HomeVault(home, keys)
    try:
        told: dict[str, Any] = msgspec.json.decode(
            Erasures(Stores(ledger.engine, shared, keys, vault, _Nothing(last))).erase(
                Erasing("demo", customer, "test", 1 << 51)
            )
        )
        exports = CustomerExports(home, ledger.engine, shared, vault)
        if last == _ALL:
            with pytest.raises(NotFound):
                exports.page("demo", customer, 1)
        told["exported"], _ = exports.page("demo", customer, 500) if last < _ALL else (None, None)
    finally:
        shared.dispose()
        ledger.close()
    return told


def test_every_customer_has_a_row_and_the_same_again_changes_none(
    filled_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = int(datetime(2025, 3, 15, tzinfo=UTC).timestamp()) * 10**9
    monkeypatch.setattr("flows.wiring.customers.time.time_ns", lambda: soon)
    bring_up("ecommerce", "demo")
    rows = _rows(filled_home)
    log = f"{filled_home}/log/ecommerce/demo/events/*.parquet"
    (counted,) = duckdb.sql(f"SELECT count(DISTINCT customer_id) FROM '{log}'").fetchall()[0]  # noqa: S608
    assert len(rows) == counted > 100
    assert {row.risk_tier for row in rows.values()} >= {"LOW", "HIGH"}
    assert all(row.fraud_score == 0 or '"frauds":0' not in row.metadata for row in rows.values())
    monkeypatch.setattr("flows.wiring.customers.time.time_ns", lambda: soon + 10**9)
    bring_up("ecommerce", "demo")
    again = _rows(filled_home)
    unchanged = [one for one in rows if again[one].fraud_score == rows[one].fraud_score]
    assert len(unchanged) > 100
    assert [one for one in unchanged if again[one].updated_at != rows[one].updated_at] == []


def test_who_was_erased_is_a_pseudonym_in_log_and_rebuilt_state(filled_home: Path) -> None:
    bring_up("ecommerce", "demo")
    chosen = max(_rows(filled_home).values(), key=lambda row: msgspec.json.decode(row.metadata)["purchases"]).id
    receipt = _erase(filled_home, chosen)
    assert receipt["destroyed"]["customer_rows"] == 1
    assert _rows(filled_home)[chosen].risk_tier == "ERASED"
    assert CliRunner().invoke(state_app, ["rebuild"]).exit_code == 0
    shop = workshop("ecommerce", "demo")
    state = open_state(f"sqlite:///{filled_home}/state.db")
    assert state.adopt("demo", layout_of(shop.module, shop.contract))
    held = {key for entity, key, _ in state.dump("demo", "ecommerce") if entity == "customer"}
    state.close()
    assert chosen not in held
    log = f"{filled_home}/log/ecommerce/demo/events/*.parquet"
    named = duckdb.sql(f"SELECT * FROM '{log}' WHERE customer_id = '{chosen}'").fetchall()  # noqa: S608
    assert named == []
    refiled = duckdb.sql(f"SELECT email_cipher FROM '{log}' WHERE starts_with(customer_id, 'erased_')").fetchall()  # noqa: S608
    assert len(refiled) > 5
    assert {cipher for (cipher,) in refiled} == {None}
    bring_up("ecommerce", "demo")
    assert _rows(filled_home)[chosen].risk_tier == "ERASED"
    assert not [one for one in _rows(filled_home) if one.startswith("erased_")]


def test_what_comes_after_an_erasure_is_the_customers_own(filled_home: Path) -> None:
    log = f"{filled_home}/log/ecommerce/demo/events/*.parquet"
    bring_up("ecommerce", "demo")
    chosen = max(_rows(filled_home).values(), key=lambda row: msgspec.json.decode(row.metadata)["purchases"]).id
    asked = f"SELECT seq, event_id FROM '{log}' WHERE customer_id = '{chosen}' ORDER BY seq"  # noqa: S608
    before = duckdb.sql(asked).fetchall()
    receipt = _erase(filled_home, chosen, last=before[len(before) // 2][0])
    after = before[len(before) // 2 + 1 :]
    assert [one["transaction_id"] for one in receipt["exported"].events] == [event_id for _, event_id in after]
    bring_up("ecommerce", "demo")
    assert duckdb.sql(asked).fetchall() == after


def _texts(path: Path) -> set[str]:
    table = pq.read_table(path)
    texts = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    return {text for name in texts for text in table[name].unique().to_pylist() if text is not None}


def test_what_analysts_read_holds_pseudonyms_and_who_was_erased_is_not_derived_anew(filled_home: Path) -> None:
    materialise("ecommerce", "demo")
    log = f"{filled_home}/log/ecommerce/demo/events/*.parquet"
    counted = duckdb.sql(f"SELECT customer_id, count(*) AS n FROM '{log}' GROUP BY ALL ORDER BY n DESC").fetchall()  # noqa: S608
    ids = {customer for customer, _ in counted}
    named = Pseudonyms(workshop("ecommerce", "demo").places)
    files = [path for name in ("features", "offline", "feast", "reports") for path in (filled_home / name).rglob("*")]
    for path in [path for path in files if path.is_file()]:
        if path.suffix == ".parquet":
            assert not ids & _texts(path), path
        else:
            assert not [one for one in ids if one.encode() in path.read_bytes()], path
    (snapshots,) = (filled_home / "offline").rglob("customer_features.parquet")
    assert {named.of(one) for one in ids} == _texts(snapshots)
    chosen = counted[0][0]
    _erase(filled_home, chosen)
    materialise("ecommerce", "demo")
    assert named.of(chosen) not in _texts(snapshots)
    assert len(_texts(snapshots)) == len(ids)
