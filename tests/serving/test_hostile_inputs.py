"""Hostile bodies: each is refused with a problem that fits, nothing is stored, the service goes on."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import events
from serving import body as bodies
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body
from tests.serving.conftest import Client, promote, settings_of


def _count(home: Path) -> int:
    engine = open_database(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        count: int = connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()
    engine.dispose()
    return count


def _amount(literal: str) -> bytes:
    return json.dumps(body()).replace('"amount": 1500', f'"amount": {literal}').encode()


def _with(path: str, value: Any) -> bytes:
    asked: dict[str, Any] = body()
    *parents, last = path.split(".")
    place = asked
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return json.dumps(asked).encode()


TEXT = "transaction.device.browser"

HOSTILE: dict[str, tuple[bytes, int, str | None]] = {
    "NaN": (_amount("NaN"), 422, "transaction.amount"),
    "Infinity": (_amount("-Infinity"), 422, "transaction.amount"),
    "1e400": (_amount("1e400"), 422, "transaction.amount"),
    "negative zero": (_amount("-0"), 422, "transaction.amount"),
    "negative zero, with a point": (_amount("-0.0"), 422, "transaction.amount"),
    "the smallest below zero": (_amount("-0.01"), 422, "transaction.amount"),
    "more than money holds": (_amount("99999999999999999999"), 422, "transaction.amount"),
    "an exponent that fits": (_amount("1e30"), 422, "transaction.amount"),
    "1e-400": (_amount("1e-400"), 422, "transaction.amount"),
    "an exponent without end": (_amount("1e99999999999999999999"), 422, "transaction.amount"),
    "10**5000": (_amount("1" + "0" * 5000), 422, None),
    "negative": (_amount("-1"), 422, "transaction.amount"),
    "too many decimals": (_amount("1.001"), 422, "transaction.amount"),
    "true": (_amount("true"), 422, "transaction.amount"),
    "text": (_amount('"12"'), 422, "transaction.amount"),
    "null": (_amount("null"), 422, "transaction.amount"),
    "a list": (_amount("[1]"), 422, "transaction.amount"),
    "leading zeros": (_amount("007"), 400, None),
    "hexadecimal": (_amount("0x10"), 400, None),
    "a plus": (_amount("+1"), 400, None),
    "unknown field": (_with("transaction.colour", "red"), 422, "transaction.colour"),
    "score in the body": (_with("score", 1), 422, "score"),
    "tenant in the body": (_with("transaction.tenant_id", "other"), 422, "transaction.tenant_id"),
    "score of one's own": (_with("transaction.score", 1), 422, "transaction.score"),
    "decision of one's own": (_with("decision", "APPROVE"), 422, "decision"),
    "a stored field's name": (_with("transaction.amount_base", 1), 422, "transaction.amount_base"),
    "a personal field's token": (
        _with("transaction.customer.email_token", "x"),
        422,
        "transaction.customer.email_token",
    ),
    "__proto__": (_with("transaction.__proto__", {"admin": True}), 422, "transaction.__proto__"),
    "role in the body": (_with("context.role", "admin"), 422, "context.role"),
    "number as id": (_with("transaction.customer_id", 5), 422, "transaction.customer_id"),
    "null as customer": (_with("transaction.customer_id", None), 422, "transaction.customer_id"),
    "list as device": (_with("transaction.device", []), 422, "transaction.device"),
    "text as option": (_with("options.include_factors", "yes"), 422, "options.include_factors"),
    "text as async": (_with("options.async", "true"), 422, "options.async"),
    "blank id": (_with("transaction.transaction_id", "  "), 422, "transaction.transaction_id"),
    "empty id": (_with("transaction.transaction_id", ""), 422, "transaction.transaction_id"),
    "blank customer": (_with("transaction.customer_id", " \u3000"), 422, "transaction.customer_id"),
    "long id": (_with("transaction.transaction_id", "x" * 129), 422, "transaction.transaction_id"),
    "long text": (_with(TEXT, "x" * 1025), 422, TEXT),
    "NUL": (_with(TEXT, "a\x00b"), 422, TEXT),
    "line break": (_with("transaction.customer_id", "a\nb"), 422, "transaction.customer_id"),
    "ANSI": (_with("transaction.customer_id", "\x1b[31mred"), 422, "transaction.customer_id"),
    "lone surrogate": (_with(TEXT, "\ud800"), 422, TEXT),
    "lone surrogate as id": (_with("transaction.transaction_id", "\udfff"), 422, "transaction.transaction_id"),
    "lone surrogate as a part": (_with("transaction.device", "\ud800"), 422, None),
    "lone surrogate as option": (_with("options.include_factors", "\ud800"), 422, None),
    "lone surrogate as a name": (_with("transaction.\ud800", 1), 422, None),
    "card number as token": (_with("transaction.card.token", "4111 1111 1111 1111"), 422, "transaction.card.token"),
    "card number in a text": (
        _with("transaction.shipping_address.text", "pay 4111111111111111 please"),
        422,
        "transaction.shipping_address.text",
    ),
    "card number as id": (
        _with("transaction.transaction_id", "4111-1111-1111-1111"),
        422,
        "transaction.transaction_id",
    ),
    "unknown currency": (_with("transaction.currency", "ZZZ"), 422, "transaction.currency"),
    "currency without a rate": (_with("transaction.currency", "EUR"), 422, "transaction.currency"),
    "unknown country": (_with("transaction.card.country", "QQ"), 422, "transaction.card.country"),
    "not an address": (_with("transaction.device.ip", "300.1.1.1"), 422, "transaction.device.ip"),
    "time without a zone": (_with("transaction.event_time", "2024-01-01T00:00:00"), 422, "transaction.event_time"),
    "impossible time": (_with("transaction.event_time", "2024-02-30T00:00:00Z"), 422, "transaction.event_time"),
    "leap second": (_with("transaction.event_time", "2016-12-31T23:59:60Z"), 422, "transaction.event_time"),
    "future": (_with("transaction.event_time", "2999-01-01T00:00:00Z"), 422, "transaction.event_time"),
    "before 1970": (_with("transaction.event_time", "1960-01-01T00:00:00Z"), 422, "transaction.event_time"),
    "number as time": (_with("transaction.event_time", 1700000000), 422, "transaction.event_time"),
    "nothing asked": (b"{}", 422, "transaction"),
    "no amount": (b'{"transaction": {"transaction_id": "t"}}', 422, "transaction.amount"),
    "NaN before the body breaks off": (b'{"transaction": NaN, ', 422, None),
    "key twice": (b'{"transaction": {}, "transaction": {}}', 400, None),
    "key twice, deep": (json.dumps(body()).replace('"id": "d1"', '"id": "d1", "id": "d2"').encode(), 400, None),
    "nothing": (b"", 400, None),
    "null body": (b"null", 422, ""),
    "list body": (b"[]", 422, ""),
    "half": (b'{"transaction": {', 400, None),
    "two values": (b"{} {}", 400, None),
    "UTF-16": ('{"transaction": 1}'.encode("utf-16"), 400, None),
    "overlong UTF-8": (b'{"a": "\xc0\xaf"}', 400, None),
    "UTF-16 without a mark": ('{"transaction": 1}'.encode("utf-16-le"), 400, None),
    "UTF-32": ('{"transaction": 1}'.encode("utf-32"), 400, None),
    "Latin-1": ('{"a": "caf\u00e9"}'.encode("latin-1"), 400, None),
    "surrogates in UTF-8": (b'{"a": "\xed\xa0\x80"}', 400, None),
    "cut off within a character": (b'{"a": "\xe2\x82"}', 400, None),
    "beyond Unicode": (b'{"a": "\xf4\x90\x80\x80"}', 400, None),
    "single quotes": (b"{'a': 1}", 400, None),
    "a comment": (b'{"a": 1} // x', 400, None),
    "a comma too many": (b'{"a": 1,}', 400, None),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, None),
    "depth": (b"[" * 60_000, 400, None),
    "depth, balanced": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, None),
    "many keys": (b"{" + b",".join(b'"%d":1' % i for i in range(6_000)) + b"}", 422, None),
    "too large": (b'{"a":"' + b"x" * 70_000 + b'"}', 413, None),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def standing(home: Path) -> Iterator[Client]:
    """One service for all that must leave nothing behind; that it goes on afterwards is part of the test."""
    promote(home)
    service = Service(settings_of(home))
    app = create(service.start())
    yield Client(app, (home / "keys" / "api-key").read_text().strip(), service)
    service.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_and_leave_nothing(standing: Client, home: Path, name: str) -> None:
    raw, status, field = HOSTILE[name]
    response = standing.post(content=raw)
    _is_problem(response, status)
    if field is not None:
        assert response.json().get("field", "") == field, response.text
    assert _count(home) == 0


def test_the_service_goes_on_after_all_of_them(standing: Client, home: Path) -> None:
    assert standing.post(body()).status_code == 200
    assert _count(home) == 1


def _is_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) >= {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert len(response.content) < 2_000
    assert "4111" not in response.text


@pytest.mark.parametrize("number", ["1763895042112345678", "2026112300000017", "0000000000000000", "1234567890128"])
def test_long_order_numbers_are_ids_though_one_in_ten_passes_the_luhn_check(standing: Client, number: str) -> None:
    assert standing.post(body(number)).status_code == 200


def test_two_spellings_of_one_character_are_one_customer(client: Client) -> None:
    client.post(body("tx1", customer_id="caf\u00e9"))
    answer = client.post(body("tx2", customer_id="cafe\u0301")).json()
    counted = next(f for f in answer["factors"] if f["name"] == "customer_count_1d")
    assert counted["value"] == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json-seq"}, 415),
        ({"Content-Type": "application/json, text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Length": "99999999"}, 413),
        ({"Content-Length": "9" * 30}, 413),
    ],
)
def test_headers_that_do_not_fit_are_refused(standing: Client, headers: dict[str, str], status: int) -> None:
    _is_problem(standing.post(content=json.dumps(body()).encode(), headers=headers), status)


def test_a_body_that_trickles_in_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.05)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"x-api-key", client.key.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/ecommerce/score",
        "headers": headers,
        "query_string": b"",
    }
    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == 408


def test_an_error_never_repeats_a_value(client: Client) -> None:
    response = client.post(body(customer={"email": "a" * 2000 + "@example.org"}))
    assert response.status_code == 422
    assert "aaaa" not in response.text
