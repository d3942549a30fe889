"""`GET /api/v1/decisions`: filters and cursors as callers send them, good and bad."""

from typing import Any

import pytest

from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client

DECISIONS = "/api/v1/decisions"


def _get(client: Client, **params: Any) -> Any:
    return client.request("GET", DECISIONS, headers={"X-API-Key": client.key}, params=params)


def test_decisions_are_listed_newest_first_a_page_at_a_time(client: Client) -> None:
    made = [client.post(body(f"tx{n}", customer_id=f"c{n % 2}")).json() for n in range(5)]
    newest = [one["decision_id"] for one in reversed(made)]
    page = _get(client, limit=2).json()
    (first, _), cursor = page["decisions"], page["next"]
    shown = client.request("GET", f"{DECISIONS}/{first['decision_id']}", headers={"X-API-Key": client.key}).json()
    assert (first["entity_id"], first["score"]) == ("tx4", shown["answer"]["score"])
    assert (first["created_at"], first["release"]) == (shown["created_at"], shown["answer"]["release"])
    client.post(body("late"))
    rest = _get(client, limit=200, cursor=cursor).json()
    assert [one["decision_id"] for one in [*page["decisions"], *rest["decisions"]]] == newest
    assert rest["next"] is None
    assert [one["entity_id"] for one in _get(client, customer_id="c1").json()["decisions"]] == ["late", "tx3", "tx1"]


def test_an_outcome_moves_a_decision_from_one_list_to_the_other(client: Client) -> None:
    ids = [client.post(body(f"tx{n}")).json()["decision_id"] for n in range(3)]
    client.post({"outcome": "confirmed_fraud"}, path=f"{DECISIONS}/{ids[1]}/outcome")
    (told,) = _get(client, outcome="confirmed_fraud", module="ecommerce").json()["decisions"]
    assert (told["decision_id"], told["outcome"]) == (ids[1], "confirmed_fraud")
    assert told["outcome_updated_at"].endswith("Z")
    assert [one["decision_id"] for one in _get(client, outcome="none").json()["decisions"]] == [ids[2], ids[0]]
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    assert _get(client, **past).json() == {"decisions": [], "next": None}
    assert len(_get(client, to="2999-01-01T00:00:00Z", min_score=0, max_score=1000).json()["decisions"]) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cursor", "x"),
        ("cursor", "'; DROP TABLE risk_decisions; --"),
        ("cursor", "MS5kZWM"),
        ("cursor", "OTk5OTk5OTk5OTk5OTk5OTk5OTkuZGVjXzE"),
        ("cursor", "a" * 300),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "-1"),
        ("limit", "1e2"),
        ("limit", "\u0661"),
        ("from", "yesterday"),
        ("to", "2020-13-01T00:00:00Z"),
        ("decision", "approve"),
        ("outcome", "fraud"),
        ("min_score", "1001"),
        ("max_score", "x"),
        ("degraded", "1"),
        ("customer_id", ""),
        ("customer_id", "a\x00b"),
        ("tenant_id", "other"),
        ("module", "x" * 300),
    ],
)
def test_a_bad_parameter_is_named(client: Client, name: str, value: str) -> None:
    answer = _get(client, **{name: value})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == name


def test_a_parameter_stands_there_once(client: Client) -> None:
    twice = client.request("GET", f"{DECISIONS}?limit=1&limit=2", headers={"X-API-Key": client.key})
    assert twice.status_code == 422


def test_a_cursor_is_no_key(client: Client) -> None:
    client.post(body("tx1"))
    assert client.request("GET", DECISIONS).status_code == 401
    assert client.post({}, path=SCORE).status_code == 422


def test_a_bare_day_is_its_midnight(client: Client) -> None:
    client.post(body("tx1"))
    made = _get(client).json()["decisions"][0]["created_at"][:10]
    assert len(_get(client, **{"from": made}).json()["decisions"]) == 1
    assert _get(client, to=made).json()["decisions"] == []
    assert _get(client, **{"from": "2026-02-30"}).json()["field"] == "from"


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("min_score", {"min_score": "700", "max_score": "300"}),
        ("from", {"from": "2026-11-24", "to": "2026-11-23T23:59:59Z"}),
    ],
)
def test_bounds_between_which_nothing_lies_are_refused(client: Client, field: str, asked: dict[str, str]) -> None:
    answer = _get(client, **asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert _get(client, min_score="300", max_score="300").status_code == 200
