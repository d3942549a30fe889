"""Customers over HTTP: their profile, the export of what is held, and erasing them for good."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from flows.commands.decisions import app as decisions
from fradect.adapters.database import open_database
from fradect.adapters.ledger_verify import verify
from fradect.adapters.tables import events, transactions
from tests.factories_decision import body
from tests.serving.conftest import Client

ROOT = "/api/v1/customers"


def _admin(client: Client, tenant: str = "demo") -> dict[str, str]:
    return {"X-API-Key": client.service._keys.issue(tenant, frozenset(["*"]), 1)}


def _bought(client: Client, customer: str = "c1", count: int = 3, **transaction: Any) -> list[dict[str, Any]]:
    answers = [client.post(json=body(f"{customer}-{i}", customer_id=customer, **transaction)) for i in range(count)]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json() for answer in answers]


def _ask(client: Client, method: str, path: str, tenant: str = "demo") -> tuple[int, Any]:
    answer = client.request(method, f"{ROOT}/{path}", headers=_admin(client, tenant))
    return answer.status_code, answer.json()


def test_a_profile_says_what_is_known_and_what_to_do(client: Client) -> None:
    made = _bought(client)
    client.post(json={"outcome": "confirmed_fraud"}, path=f"/api/v1/decisions/{made[0]['decision_id']}/outcome")
    status, told = _ask(client, "GET", "c1/risk-profile")
    assert status == 200
    assert told["customer_id"] == "c1"
    assert told["overall_risk"] == told["ecommerce_risk"]["level"] == "HIGH"
    assert 990 <= told["ecommerce_risk"]["fraud_score"] <= 1000
    history = told["ecommerce_risk"]["history"]
    assert history["decisions"] == sum(history["by_decision"].values()) == 3
    assert history["outcomes"] == {"confirmed_fraud": 1}
    assert history["different"] == {"device": 1, "card": 1, "ip": 1, "address": 1}
    assert history["spent"] == [{"currency": "RUB", "total": "4500.00", "average": "1500.00", "highest": "1500.00"}]
    assert history["last"]["transaction_id"] == "c1-2"
    assert told["financial_risk"] == told["project_risk"] == {"level": "UNKNOWN", "fraud_score": None, "history": None}
    assert [one["code"] for one in told["recommendations"]] == ["PREPAYMENT_ONLY"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/risk-profile"), ("GET", "/export"), ("DELETE", "")])
def test_who_is_unknown_or_anothers_is_not_there(client: Client, method: str, path: str) -> None:
    _bought(client, count=1)
    assert _ask(client, method, f"c2{path}")[0] == 404
    assert _ask(client, method, f"c1{path}", tenant="other")[0] == 404
    assert _ask(client, method, f"%00{path}")[0] == 404
    assert _ask(client, method, f"{'x' * 300}{path}")[0] == 404
    assert _ask(client, "GET", "c1/risk-profile")[0] == 200


def test_an_export_holds_everything_in_clear(client: Client) -> None:
    _bought(client, count=2)
    status, told = _ask(client, "GET", "c1/export")
    assert status == 200
    assert [one["transaction_id"] for one in told["purchases"]] == ["c1-1", "c1-0"]
    fields = told["purchases"][0]["fields"]
    assert fields["email"] == "ada@example.org"
    assert (fields["full_name"], fields["shipping_address"]) == ("Ada Example", "1 Garden Street")
    assert fields["amount"] == 150_000
    assert not [name for name in fields if name.endswith(("_cipher", "_token")) and name != "card_token"]
    assert told["purchases"][0]["answer"]["decision_id"] == told["purchases"][0]["decision_id"]


def test_an_erased_customer_is_gone_and_the_chain_is_whole(client: Client, tmp_path: Path) -> None:
    _bought(client, "c1")
    _bought(client, "c2", 1)
    status, receipt = _ask(client, "DELETE", "c1")
    assert status == 200
    assert receipt["customer_id"] == "c1"
    assert receipt["destroyed"] == {
        "data_keys": 1,
        "customer_rows": 0,
        "transactions_refiled": 3,
        "live_state_keys": 1,
        "online_features": 0,
    }
    rest = {name: value for name, value in receipt.items() if name != "hash"}
    assert (
        receipt["hash"] == hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    )
    assert _ask(client, "GET", "c1/risk-profile")[0] == 404
    assert _ask(client, "GET", "c1/export")[0] == 404
    assert _ask(client, "DELETE", "c1") == (200, receipt)
    assert _ask(client, "GET", "c2/export")[1]["purchases"][0]["fields"]["email"] == "ada@example.org"
    assert verify(f"sqlite:///{tmp_path}/ledger.db").broken is None
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    with engine.connect() as connection:
        kept = [json.loads(row.fields) for row in connection.execute(sa.select(events.c.fields))]
        filed = {row.customer_id for row in connection.execute(sa.select(transactions.c.customer_id))}
    engine.dispose()
    assert all(fields["email_cipher"].startswith("v2:") for fields in kept)
    assert "c2" in filed
    assert "c1" not in filed
    assert len(filed) == 2


def test_decisions_about_an_erased_customer_are_made_again_and_counted(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bought(client, "c1")
    _bought(client, "c2", 2)
    assert _ask(client, "DELETE", "c1")[0] == 200
    client.service.close()
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    figures = tmp_path / "figures.json"
    assert CliRunner().invoke(decisions, ["replay", "--all", "--json", str(figures)]).exit_code == 0
    found = json.loads(figures.read_text())
    assert (found["decisions"], found["matched"], found["erased"]) == (5, 5, 3)
