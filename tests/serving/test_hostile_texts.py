"""Odd texts in every field, header and path: refused with the field's name, or stored to the letter; never obeyed."""

import asyncio
import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.tables import events
from fradect.adapters.vault import HomeVault
from fradect.modules.declaration import FieldType
from fradect.modules.ecommerce import MODULE, REQUEST_PATHS
from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client

INJECTIONS = {
    "SQL": "x'); DROP TABLE events;--",
    "SQL, always true": "' OR '1'='1",
    "LDAP": "*)(uid=*))(|(uid=*",
    "JNDI": "${jndi:ldap://127.0.0.1/a}",
    "template": "{{7*7}} {amount} {0} %s %n <%= 1 %> #{1}",
    "path": "../../../../etc/passwd",
    "Windows path": "..\\..\\boot.ini",
    "formula": '=cmd|"/C calc"!A0',
    "formula, at": "@SUM(1+1)*cmd",
    "formula, minus": "-2+3+cmd",
    "HTML": "<script>alert(1)</script>",
    "XML": '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>',
    "shell": "$(reboot) `reboot` ; reboot | reboot &",
    "encoded line break": "a%0d%0aSet-Cookie: x=1",
    "JSON break-out": '", "score": 0, "x": "',
}
ODD = {
    "emoji of four bytes": "\U0001f600\U0001f9d1\u200d\U0001f680",
    "right-to-left override": "\u202egnp.exe",
    "zero width": "a\u200bb\u200d\u2060c\ufeff",
    "combined": "e\u0301" * 20,
    "not a character": "\ufffe \uffff \U0010ffff",
    "every plane": "\u00df \u0416 \u4e2d \u0e01 \U00020000",
    "only digits": "0012345",
    "a ligature": "Stra\u00dfe \ufb01",
}
REFUSED = {
    "NUL": "a\x00b",
    "line break": "a\nb",
    "CR LF": "a\r\nX-Evil: 1",
    "tab": "a\tb",
    "ANSI": "\x1b[31mred",
    "C1 control": "a\x85b",
    "lone surrogate": "\ud800",
    "surrogates the wrong way round": "\udc00\ud800",
}

TEXTS = {FieldType.ID, FieldType.CATEGORY, FieldType.PERSONAL}
PATHS = {name: path for name, path in REQUEST_PATHS.items() if (f := MODULE.field(name)) and f.type in TEXTS}
CODED = [path for name, path in REQUEST_PATHS.items() if name not in PATHS and name != "amount"]
FREE = ["transaction.transaction_id", *PATHS.values()]


def _with(path: str, value: str, event_id: str) -> dict[str, Any]:
    asked: dict[str, Any] = body(event_id)
    _put(asked, path, value)
    return asked


def _put(asked: dict[str, Any], path: str, value: str) -> None:
    *parents, last = path.split(".")
    for name in parents:
        asked = asked.setdefault(name, {})
    asked[last] = value


def _filled(text: str, event_id: str) -> dict[str, Any]:
    """A request that says the same in every field that takes any text."""
    asked: dict[str, Any] = body(event_id)
    for path in PATHS.values():
        _put(asked, path, text)
    return asked


def _post_all(client: Client, asked: Iterable[dict[str, Any]]) -> list[httpx.Response]:
    """One after the other, over one connection's worth of preparation."""
    headers = {"X-API-Key": client.key, "Content-Type": "application/json"}

    async def post() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http:
            return [await http.post(SCORE, content=json.dumps(each).encode()) for each in asked]

    return asyncio.run(post())


def _stored(home: Path) -> dict[str, dict[str, Any]]:
    engine = open_database(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(events.c.event_id, events.c.fields)).all()
    engine.dispose()
    return {row.event_id: json.loads(row.fields) for row in rows}


def _kept(vault: HomeVault, event_id: str, name: str, fields: dict[str, Any]) -> object:
    cipher = fields.get(f"{name}_cipher")
    return fields.get(name) if cipher is None else vault.open("demo", name, event_id, cipher)


def test_a_text_comes_back_to_the_letter_from_every_field_at_once(client: Client, tmp_path: Path) -> None:
    texts = {f"tx{i}": text for i, text in enumerate((INJECTIONS | ODD).values())}
    answers = _post_all(client, (_filled(text, event_id) for event_id, text in texts.items()))
    assert [answer.status_code for answer in answers] == [200] * len(texts), [a.text for a in answers]
    stored = _stored(tmp_path)
    keys = SqlKeys.at(f"sqlite:///{tmp_path}/ledger.db")
    vault = HomeVault(tmp_path, keys)
    for event_id, text in texts.items():
        kept = {name: _kept(vault, event_id, name, stored[event_id]) for name in PATHS}
        assert kept == dict.fromkeys(PATHS, unicodedata.normalize("NFC", text).strip())
    keys.close()


def test_an_id_comes_back_to_the_letter_and_is_the_same_id_again(client: Client, tmp_path: Path) -> None:
    texts = [*INJECTIONS.values(), *ODD.values()]
    first, again = (_post_all(client, (body(text) for text in texts)) for _ in range(2))
    assert [answer.status_code for answer in first] == [200] * len(texts)
    assert [answer.content for answer in first] == [answer.content for answer in again]
    assert set(_stored(tmp_path)) == {unicodedata.normalize("NFC", text).strip() for text in texts}


def test_controls_and_broken_text_are_refused_in_every_field_by_its_name(client: Client, tmp_path: Path) -> None:
    tries = [(path, text) for path in FREE for text in REFUSED.values()]
    answers = _post_all(client, (_with(path, text, "tx1") for path, text in tries))
    assert {answer.status_code for answer in answers} == {422}
    assert [answer.json()["field"] for answer in answers] == [path for path, _ in tries]
    assert not [answer.text for answer in answers if "X-Evil" in answer.text]
    assert _stored(tmp_path) == {}


def test_a_field_with_a_form_of_its_own_refuses_every_odd_text(client: Client, tmp_path: Path) -> None:
    texts = [*INJECTIONS.values(), *ODD.values(), *REFUSED.values()]
    tries = [(path, text) for path in (*CODED, "transaction.event_time") for text in texts]
    answers = _post_all(client, (_with(path, text, "tx1") for path, text in tries))
    assert {answer.status_code for answer in answers} == {422}
    assert [answer.json()["field"] for answer in answers] == [path for path, _ in tries]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert _stored(tmp_path) == {}


def test_two_spellings_of_one_character_are_one_entity_each(client: Client, tmp_path: Path) -> None:
    twins = {"nfc": "caf\u00e9 \u1e9b\u0323", "nfd": "cafe\u0301 \u017f\u0323\u0307"}
    answers = _post_all(client, (_filled(text, event_id) for event_id, text in twins.items()))
    assert [answer.status_code for answer in answers] == [200, 200]
    stored = _stored(tmp_path)
    for field in set(MODULE.entities.values()) - {"ip"}:
        assert stored["nfc"][field] == stored["nfd"][field] is not None


HEADERS = ["user-agent", "x-request-id", "accept", "x-forwarded-for", "cookie", "referer", "content-language", "host"]


def test_odd_texts_in_a_header_are_taken_for_nothing_else_and_never_come_back(client: Client) -> None:
    right = {b"x-api-key": client.key.encode(), b"content-type": b"application/json"}
    expected = {"x-api-key": 401, "content-type": 415}
    for header in (*HEADERS, *expected):
        for text in (*INJECTIONS.values(), *ODD.values(), "a\x85b"):
            headers = right | {header.encode(): text.encode()}
            answer = client.request("POST", SCORE, headers=headers, content=json.dumps(body()))
            assert answer.status_code == expected.get(header, 200), answer.text
            assert text not in answer.text
            assert text not in str(answer.headers)


def test_odd_texts_in_a_path_are_not_found(client: Client) -> None:
    for text in [*INJECTIONS.values(), *ODD.values(), "\x00", "\r\nX-Evil: 1"]:
        answer = client.post(body(), path=f"/api/v1/{quote(text, safe='/')}/score")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "x-evil" not in answer.headers
        json.loads(answer.content)


def test_what_nothing_is_decided_without_is_asked_for_by_name(client: Client, tmp_path: Path) -> None:
    required = {field.name: REQUEST_PATHS[field.name] for field in MODULE.fields if field.required}
    assert required.keys() == {"amount", "currency", "customer_id"}
    for name, path in required.items():
        asked: dict[str, Any] = body()
        del asked["transaction"][name]
        absent, empty = _post_all(client, [asked, _with(path, "", "tx1")])
        assert absent.status_code == empty.status_code == 422
        assert name in absent.json()["detail"]
        assert empty.json()["field"] == path
    assert _stored(tmp_path) == {}


def test_what_the_contract_builds_on_and_nobody_said_is_named_in_the_answer(client: Client) -> None:
    asked: dict[str, Any] = body()
    del asked["transaction"]["merchant_id"]
    for factors in (True, False):
        asked["transaction"]["transaction_id"] = f"without {factors}"
        (answer,) = _post_all(client, [asked | {"options": {"include_factors": factors}}])
        assert answer.status_code == 200
        told = answer.json()["factors"]
        assert [f for f in told if f["source"] == "event"] == [
            {"name": "unknown", "points": 0, "text": "decided without merchant_id", "source": "event", "value": None}
        ]
        assert sum(f["points"] for f in told) == answer.json()["score"]
    (whole,) = _post_all(client, [body("with all of it")])
    assert not [f for f in whole.json()["factors"] if f["source"] == "event"]
