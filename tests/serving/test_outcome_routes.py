"""A decision over HTTP, and what it turned out to be: who may ask, what is refused, what reaches windows and labels."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import decision_outcomes, outcomes
from tests.factories_decision import body
from tests.serving.conftest import Client, promote

DECISIONS = "/api/v1/decisions"


def _decided(client: Client, transaction_id: str = "tx1") -> str:
    return str(client.post(body(transaction_id)).json()["decision_id"])


def _get(client: Client, decision_id: str) -> httpx.Response:
    return client.request("GET", f"{DECISIONS}/{decision_id}", headers={"X-API-Key": client.key})


def _tell(client: Client, decision_id: str, **told: Any) -> httpx.Response:
    return client.post({"outcome": "confirmed_fraud"} | told, path=f"{DECISIONS}/{decision_id}/outcome")


def _count(home: Path, table: sa.Table, name: str = "ledger") -> int:
    engine = open_database(f"sqlite:///{home}/{name}.db")
    with engine.connect() as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    engine.dispose()
    return int(found)


@pytest.fixture
def reader(client: Client) -> Client:
    """With a key that may read decisions as well."""
    client.key = client.service._keys.issue("demo", ["write:transactions", "read:risk_decisions"], 1)
    return client


def test_a_decision_is_shown_as_it_was_answered(reader: Client) -> None:
    answered = reader.post(body()).json()
    response = _get(reader, answered["decision_id"])
    assert response.status_code == 200
    shown = response.json()
    assert shown["answer"] == answered
    assert (shown["module"], shown["entity_id"]) == ("ecommerce", "tx1")
    assert (shown["outcome"], shown["outcome_updated_at"], shown["outcomes"]) == (None, None, [])
    assert shown["created_at"].endswith("Z")


def test_what_was_told_is_answered_and_shown_with_its_history(reader: Client) -> None:
    decision_id = _decided(reader)
    first = _tell(reader, decision_id, note="a chargeback")
    assert first.status_code == 200
    assert first.json()["outcome"] == "confirmed_fraud"
    corrected = _tell(reader, decision_id, outcome="false_positive").json()
    assert [one["outcome"] for one in corrected["outcomes"]] == ["confirmed_fraud", "false_positive"]
    shown = _get(reader, decision_id).json()
    assert shown["outcome"] == "false_positive"
    assert shown["outcomes"] == corrected["outcomes"]
    assert shown["outcomes"][0]["note"] == "a chargeback"


def test_told_again_it_is_the_same(client: Client, tmp_path: Path) -> None:
    decision_id = _decided(client)
    assert _tell(client, decision_id).content == _tell(client, decision_id).content
    assert _count(tmp_path, decision_outcomes) == 1
    text = client.get("/metrics").text
    assert 'fradect_outcomes_total{outcome="confirmed_fraud"} 1.0' in text


def test_times_are_kept_to_the_microsecond(client: Client) -> None:
    transaction = body("old", event_time="2024-02-29T12:30:00Z")
    decision_id = str(client.post(transaction).json()["decision_id"])
    (told,) = _tell(client, decision_id, known_at="2024-03-01T03:00:00.123456+03:00").json()["outcomes"]
    assert told["known_at"] == "2024-03-01T00:00:00.123456Z"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"outcome": "fraud"}, "outcome"),
    ({"outcome": None}, "outcome"),
    ({"outcome": True}, "outcome"),
    ({"known_at": "yesterday"}, "known_at"),
    ({"known_at": 1700000000}, "known_at"),
    ({"known_at": "2001-01-01T00:00:00Z"}, "known_at"),
    ({"known_at": "2999-01-01T00:00:00Z"}, "known_at"),
    ({"note": 5}, "note"),
    ({"note": "4111 1111 1111 1111"}, "note"),
    ({"note": "one\ntwo"}, "note"),
    ({"note": "x" * 1025}, "note"),
    ({"tenant_id": "other"}, "tenant_id"),
    ({"score": 1}, "score"),
]


def test_what_is_not_right_is_refused_with_its_field_and_nothing_is_stored(client: Client, tmp_path: Path) -> None:
    decision_id = _decided(client)
    for told, field in WRONG:
        response = _tell(client, decision_id, **told)
        problem = response.json()
        assert (response.status_code, problem["type"]) == (422, "urn:fradect:problem:invalid-input"), told
        assert problem.get("field") == field, told
    for raw in (b"", b"{", b"[]", b'{"outcome":"unknown","outcome":"unknown"}', b'{"outcome":NaN}'):
        response = client.post(path=f"{DECISIONS}/{decision_id}/outcome", content=raw)
        assert response.status_code in (400, 422), raw
        assert response.headers["content-type"] == "application/problem+json"
    assert _count(tmp_path, decision_outcomes) == 0


def test_what_is_not_there_is_not_found(reader: Client) -> None:
    for decision_id in ("dec_" + "0" * 22, "nothing", "dec_", "dec_%00", "dec_" + "a" * 500, "..%2f..", "dec_1'--"):
        for response in (_get(reader, decision_id), _tell(reader, decision_id)):
            assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


def test_another_tenants_decision_is_not_found(reader: Client, tmp_path: Path) -> None:
    decision_id = _decided(reader)
    promote(tmp_path, tenant="other")
    reader.service._follow()
    reader.key = reader.service._keys.issue("other", ["*"], 1)
    assert _get(reader, decision_id).status_code == 404
    assert _tell(reader, decision_id).status_code == 404
    assert _count(tmp_path, decision_outcomes) == 0


def test_each_route_has_its_permission(client: Client) -> None:
    decision_id = _decided(client)
    for permissions, read, write in (
        ([], 403, 403),
        (["read:risk_decisions"], 200, 403),
        (["write:transactions"], 403, 200),
        (["read:customers", "read:transactions"], 403, 403),
        (["*"], 200, 200),
    ):
        client.key = client.service._keys.issue("demo", permissions, 1)
        assert (_get(client, decision_id).status_code, _tell(client, decision_id).status_code) == (read, write)


def test_without_a_key_nobody_learns_what_is_there(client: Client) -> None:
    decision_id = _decided(client)
    client.key = "nonsense"
    for path in (decision_id, "dec_00"):
        assert _get(client, path).status_code == 401
        assert _tell(client, path).status_code == 401


def test_what_was_told_reaches_the_live_state_and_the_table_of_outcomes(client: Client, tmp_path: Path) -> None:
    _tell(client, _decided(client))
    client.service._hand_on()
    client.service._hand_on()
    assert _count(tmp_path, outcomes, "shared") == 1


def test_the_description_has_both_routes_and_every_status(client: Client) -> None:
    paths = json.loads(client.get("/openapi.json").content)["paths"]
    assert set(paths[f"{DECISIONS}/{{decision_id}}"]["get"]["responses"]) >= {"200", "401", "403", "404", "503"}
    told = paths[f"{DECISIONS}/{{decision_id}}/outcome"]["post"]
    assert set(told["responses"]) >= {"200", "400", "401", "403", "404", "408", "413", "415", "422", "503"}
    assert told["parameters"][0]["name"] == "decision_id"
