"""Scoring over HTTP: the answer, the same answer again, who may ask, and what is stored."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import events, risk_decisions
from fradect.types import SECOND
from serving.problems import TITLES
from serving.wiring import now_micros
from tests.factories_decision import body
from tests.serving.conftest import Client, promote

PERSONAL = ("ada@example.org", "Ada Example", "900 000", "Garden Street")


def _stored(home: Path, table: sa.Table) -> list[dict[str, Any]]:
    engine = open_database(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(sa.select(table))]
    engine.dispose()
    return rows


def test_an_answer_has_everything_that_was_promised(client: Client) -> None:
    response = client.post(body())
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert set(answer) == {
        "decision_id", "score", "decision", "factors", "degraded", "release", "request_id", "processing_time_ms"
    }  # fmt: skip
    assert answer["decision"] in ("APPROVE", "REVIEW", "DECLINE")
    assert sum(factor["points"] for factor in answer["factors"]) == answer["score"]
    assert answer["request_id"] == response.headers["x-request-id"]
    assert answer["release"].startswith("rel_")
    assert answer["degraded"] == []


def test_the_decision_is_in_the_ledger_with_the_bytes_that_left(client: Client, tmp_path: Path) -> None:
    response = client.post(body())
    (row,) = _stored(tmp_path, risk_decisions)
    assert row["answer"] == response.content
    assert row["id"] == response.json()["decision_id"]


def test_the_same_body_twice_gets_the_same_bytes(client: Client, tmp_path: Path) -> None:
    first, second = client.post(body()), client.post(body())
    assert first.content == second.content
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(_stored(tmp_path, risk_decisions)) == 1


def test_the_same_request_written_otherwise_is_the_same_request(client: Client) -> None:
    first = client.post(body(amount=1500))
    written = body(amount=1500)
    written["transaction"] = dict(reversed(written["transaction"].items()))
    assert client.post(written).content == first.content


def test_the_same_id_with_another_body_is_refused(client: Client) -> None:
    client.post(body(amount=1500))
    response = client.post(body(amount=1501))
    assert response.status_code == 422
    assert response.json()["type"] == "urn:fradect:problem:different-body"


def test_a_repeat_after_a_restart_gets_the_same_bytes(served: Callable[[], Client]) -> None:
    client = served()
    first = client.post(body())
    client.service.close()
    assert served().post(body()).content == first.content


def test_velocity_counts_what_was_decided_before_also_after_a_restart(served: Callable[[], Client]) -> None:
    client = served()
    for i in range(3):
        client.post(body(f"tx{i}"))
    client.service.close()
    again = served()
    again.post(body("tx3"))
    decided = again.post(body("tx4"))
    counted = next(f for f in decided.json()["factors"] if f["name"] == "customer_count_1d")
    assert counted["value"] == 5


def test_no_personal_text_is_stored_in_clear(client: Client, tmp_path: Path) -> None:
    client.post(body())
    client.service.close()
    (event,) = _stored(tmp_path, events)
    fields = json.loads(event["fields"])
    assert fields["email_token"].startswith("v1_")
    assert fields["shipping_address_cipher"]
    for path in tmp_path.rglob("*"):
        raw = path.read_bytes() if path.is_file() else b""
        assert not [text for text in PERSONAL if text.encode() in raw], path


def test_without_its_own_time_an_event_happens_on_receipt(client: Client, tmp_path: Path) -> None:
    before = now_micros()
    client.post(body())
    client.post(body("tx2", event_time="2024-02-29T12:30:00.25+03:00"))
    first, second = sorted(_stored(tmp_path, events), key=lambda row: row["event_id"])
    assert before <= first["event_time"] == first["observed_at"] <= now_micros()
    assert second["event_time"] == 1_709_199_000_250_000
    assert second["observed_at"] >= before
    assert second["event_time"] % SECOND == 250_000


def test_factors_can_be_left_out(client: Client) -> None:
    answer = client.post(body() | {"options": {"include_factors": False}}).json()
    assert [factor["name"] for factor in answer["factors"]] == ["model"]


@pytest.mark.parametrize("key", [None, "", "nonsense", "fdk_live_aaaaaaaaaaaa_" + "b" * 43, "x" * 9_000])
def test_without_a_valid_key_nobody_is_told_why(client: Client, key: str | None) -> None:
    headers = {} if key is None else {"X-API-Key": key}
    response = client.request("POST", "/api/v1/ecommerce/score", json=body(), headers=headers)
    assert response.status_code == 401
    problem = response.json()
    assert problem.pop("request_id")
    assert problem == {
        "type": "urn:fradect:problem:unauthorised",
        "title": "No valid key or token",
        "status": 401,
        "detail": "send one valid key as X-API-Key, or one valid token as Authorization: Bearer",
    }


def test_a_key_without_the_permission_is_forbidden(client: Client) -> None:
    client.key = client.service._keys.issue("demo", ["read:customers"], 1)
    response = client.post(body())
    assert (response.status_code, response.json()["type"]) == (403, "urn:fradect:problem:forbidden")


def test_another_tenants_ids_are_their_own(client: Client, tmp_path: Path) -> None:
    first = client.post(body())
    promote(tmp_path, tenant="other")
    client.service._follow()
    client.key = (tmp_path / "keys" / "api-key-other").read_text().strip()
    second = client.post(body(amount=7))
    assert second.status_code == 200
    assert second.json()["decision_id"] != first.json()["decision_id"]


def test_a_tenant_without_a_release_is_told_to_promote_one(client: Client) -> None:
    client.key = client.service._keys.issue("newcomer", ["*"], 1)
    response = client.post(body())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "promote" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/api/v1/financial/score", "/api/v1/%00/score", "/nope", "/api/v1/ecommerce/score/"])
def test_what_is_not_there_is_a_problem_too(client: Client, path: str) -> None:
    response = client.post(body(), path=path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_a_problem_too(client: Client) -> None:
    response = client.get("/api/v1/ecommerce/score")
    assert response.status_code == 405
    assert response.json()["type"] == "urn:fradect:problem:method-not-allowed"


def test_an_unforeseen_error_tells_the_caller_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret ada@example.org")

    monkeypatch.setattr(client.service._champions, "deciding", fail)
    response = client.post(body())
    assert response.status_code == 500
    assert response.json()["type"] == "urn:fradect:problem:internal"
    assert "secret" not in response.text


def test_every_error_type_has_a_title() -> None:
    assert all(TITLES.values())
    assert len(set(TITLES.values())) == len(TITLES)


def test_who_looks_at_the_root_is_shown_where_the_description_is(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:fradect:problem:not-found")
    assert "/openapi.json" in answer.json()["detail"]
