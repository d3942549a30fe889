"""Idempotency-Key: the same request again gets the same answer, another one is refused, a running one waited for."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import idempotency_keys, outbox, risk_decisions
from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client, promote

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def _score(client: Client, sent: Any = None, key: str | None = KEY) -> httpx.Response:
    return client.post(body() if sent is None else sent, headers={} if key is None else {"Idempotency-Key": key})


def _rows(home: Path, table: sa.Table) -> list[Any]:
    engine = open_database(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        rows = list(connection.execute(sa.select(table)))
    engine.dispose()
    return rows


def test_the_same_request_under_the_same_key_is_answered_with_the_same_bytes(client: Client, tmp_path: Path) -> None:
    first, second = _score(client), _score(client)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert [len(_rows(tmp_path, table)) for table in (risk_decisions, idempotency_keys, outbox)] == [1, 1, 1]


def test_another_request_under_the_same_key_is_refused(client: Client, tmp_path: Path) -> None:
    _score(client)
    for other in (body(amount=7), body("tx2"), body() | {"options": {"include_factors": False}}):
        response = _score(client, other)
        assert (response.status_code, response.json()["type"]) == (422, "urn:fradect:problem:different-body")
    assert len(_rows(tmp_path, risk_decisions)) == 1


def test_the_key_is_kept_by_its_digest_and_survives_a_restart(served: Callable[[], Client], tmp_path: Path) -> None:
    client = served()
    first = _score(client)
    client.service.close()
    (row,) = _rows(tmp_path, idempotency_keys)
    assert KEY not in str(row)
    again = served()
    assert _score(again).content == first.content
    assert _score(again, body("tx2")).status_code == 422


def test_a_key_belongs_to_its_tenant(client: Client, tmp_path: Path) -> None:
    first = _score(client)
    promote(tmp_path, tenant="other")
    client.service._follow()
    client.key = (tmp_path / "keys" / "api-key-other").read_text().strip()
    second = _score(client, body("tx2"))
    assert second.status_code == 200
    assert second.json()["decision_id"] != first.json()["decision_id"]


def test_without_a_key_or_under_another_the_transaction_id_still_decides(client: Client) -> None:
    first = _score(client)
    assert _score(client, key=None).content == first.content
    assert _score(client, key="another").content == first.content
    assert _score(client, body(amount=7), key=None).status_code == 422


def test_a_key_that_cannot_be_one_is_refused(client: Client, tmp_path: Path) -> None:
    keys: list[Any] = ["", " ", "a b", "a\tb", "ключ".encode(), "x" * 256, b"\x80"]
    for key in keys:
        response = _score(client, key=key)
        assert (response.status_code, response.json()["type"]) == (400, "urn:fradect:problem:invalid-idempotency-key")
    headers = [("X-API-Key", client.key), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert client.request("POST", SCORE, json=body(), headers=headers).status_code == 400
    assert _rows(tmp_path, risk_decisions) == []


def test_any_visible_characters_are_a_key(client: Client) -> None:
    assert [_score(client, key=key).status_code for key in ("x", "x" * 255, '"8e03978e"', "!~")] == [200] * 4


def test_while_the_first_is_running_the_second_is_told_to_wait(client: Client, tmp_path: Path) -> None:
    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=client.app, raise_app_exceptions=False)
        headers = {"X-API-Key": client.key, "Idempotency-Key": KEY}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await asyncio.gather(*(http.post(SCORE, json=body(f"tx{i}"), headers=headers) for i in range(5)))

    answers = asyncio.run(both())
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["type"] == "urn:fradect:problem:request-running"
    assert len(_rows(tmp_path, risk_decisions)) == 1


def test_a_key_whose_request_failed_may_be_used_again(client: Client) -> None:
    assert _score(client, {"transaction": {}}).status_code == 422
    assert _score(client, {"transaction": {}}).status_code == 422
    assert _score(client).status_code == 200


def test_the_description_names_the_header(client: Client) -> None:
    paths = json.loads(client.get("/openapi.json").content)["paths"]
    score = paths[SCORE]["post"]
    assert [parameter["name"] for parameter in score["parameters"]] == ["Idempotency-Key"]
    assert {"400", "409", "422"} <= set(score["responses"])
