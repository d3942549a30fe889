"""Webhooks over HTTP: what is refused, who sees what, and a service that tells a real receiver."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.factories_decision import body
from tests.factories_receiver import Receiver, answer
from tests.serving.conftest import Client, promote

HOOKS = "/api/v1/webhooks"
BOTH = ["risk.decision.created", "risk.decision.updated"]


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers of tests are on this machine."""
    monkeypatch.setenv("FRADECT_OUTWARD_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("FRADECT_OUTWARD_PORTS", "1-65535")
    monkeypatch.setenv("FRADECT_OUTWARD_HTTP", "true")


@pytest.fixture
def admin(loopback: None, client: Client) -> Client:
    client.key = _key(client, "*")
    return client


@pytest.fixture
def shop() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def _key(client: Client, *permissions: str, tenant: str = "demo") -> str:
    return str(client.service._keys.issue(tenant, permissions, 1))


def _get(client: Client, path: str) -> httpx.Response:
    return client.request("GET", path, headers={"X-API-Key": client.key})


def _post(client: Client, path: str, json: Any = None) -> httpx.Response:
    headers = {"X-API-Key": client.key} | ({"Content-Type": "application/json"} if json is not None else {})
    return client.request("POST", path, headers=headers, json=json)


def _listen(client: Client, url: str, **asked: Any) -> dict[str, Any]:
    response = _post(client, HOOKS, {"url": url, "events": BOTH} | asked)
    assert response.status_code == 201, response.text
    registered: dict[str, Any] = response.json()
    return registered


def _until(found: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
    return value


def test_the_secret_is_shown_when_it_is_made_and_never_again(admin: Client, shop: Receiver) -> None:
    made = _listen(admin, shop.url, description="the shop")
    assert made["secret"].startswith("whsec_")
    assert (made["status"], made["events"], made["description"]) == ("active", BOTH, "the shop")
    path = f"{HOOKS}/{made['id']}"
    rotated = _post(admin, f"{path}/rotate-secret", {"overlap_seconds": 60})
    assert rotated.json()["secret"] not in ("", made["secret"])
    assert rotated.json()["old_secret_until"] is not None
    for response in (_get(admin, path), _get(admin, HOOKS), _post(admin, f"{path}/disable")):
        assert response.status_code == 200
        assert "whsec_" not in response.text
    given = _listen(admin, shop.url, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert given["secret"] == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_decision_and_its_outcome_reach_a_receiver_signed(admin: Client, shop: Receiver) -> None:
    made = _listen(admin, shop.url)
    decided = admin.post(body()).json()
    admin.post({"outcome": "confirmed_fraud"}, path=f"/api/v1/decisions/{decided['decision_id']}/outcome")
    _until(lambda: len(shop.received) == 2)
    told = [Webhook(made["secret"]).verify(one.body, one.headers) for one in shop.received]
    by_event = {one["event"]: one["data"] for one in told}
    created = {"entity_type": "transaction", "entity_id": "tx1", "score": decided["score"]}
    created |= {"decision_id": decided["decision_id"], "decision": decided["decision"]}
    assert by_event["risk.decision.created"] == created
    assert by_event["risk.decision.updated"] == created | {"outcome": "confirmed_fraud"}
    metrics = _until(lambda: _delivered(admin, 2))
    assert "fradect_outbox_age_seconds" in metrics
    assert made["secret"] not in metrics


def _delivered(client: Client, count: int) -> str:
    text = client.get("/metrics").text
    return text if f'fradect_webhook_attempts_total{{outcome="delivered"}} {count}.0' in text else ""


def test_a_test_event_its_dead_letter_and_its_replay(admin: Client, shop: Receiver) -> None:
    shop.behave(answer(410))
    path = f"{HOOKS}/{_listen(admin, shop.url)['id']}"
    asked = _post(admin, f"{path}/test")
    assert (asked.status_code, asked.json()["event"]) == (202, "webhook.test")
    (dead,) = _until(lambda: _get(admin, f"{path}/deliveries?state=dead").json()["deliveries"])
    assert (dead["id"], dead["last_status"], dead["next_attempt_at"]) == (asked.json()["id"], 410, None)
    shown = _get(admin, path).json()
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "gone")
    replay = f"{path}/deliveries/{dead['id']}/replay"
    assert _post(admin, replay).status_code == 409
    assert _post(admin, f"{path}/test").status_code == 409
    shop.behave(answer(200))
    assert _post(admin, f"{path}/enable").json()["status"] == "active"
    assert _post(admin, replay).status_code == 202
    (fine,) = _until(lambda: _get(admin, f"{path}/deliveries?state=delivered").json()["deliveries"])
    assert fine["message_id"] == dead["message_id"] == shop.ids()[-1]


def test_deliveries_come_in_pages(admin: Client, shop: Receiver) -> None:
    path = f"{HOOKS}/{_listen(admin, shop.url)['id']}"
    ids = [_post(admin, f"{path}/test").json()["id"] for _ in range(5)]
    first = _get(admin, f"{path}/deliveries?limit=3").json()
    rest = _get(admin, f"{path}/deliveries?limit=3&before={first['next']}").json()
    assert [one["id"] for one in first["deliveries"] + rest["deliveries"]] == ids[::-1]
    assert rest["next"] is None
    for wrong, field in (("state=lost", "state"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=1e1", "limit")):
        assert _get(admin, f"{path}/deliveries?{wrong}").json()["field"] == field
    for wrong, field in (("before=x", "before"), ("page=2", "page"), ("limit=٣", "limit")):
        assert _get(admin, f"{path}/deliveries?{wrong}").json()["field"] == field


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "https://127.0.0.1/"}, "url"),
    ({"url": "https://localhost/"}, "url"),
    ({"url": "https://169.254.169.254/latest/meta-data/"}, "url"),
    ({"url": "https://[64:ff9b::7f00:1]/"}, "url"),
    ({"url": "http://8.8.8.8/"}, "url"),
    ({"url": "https://8.8.8.8:22/"}, "url"),
    ({"url": "https://a:b@8.8.8.8/"}, "url"),
    ({"url": ""}, "url"),
    ({"url": 5}, "url"),
    ({"url": "https://8.8.8.8/" + "x" * 3000}, "url"),
    ({"url": "https://8.8.8.8/\u0000"}, "url"),
    ({"events": []}, "events"),
    ({"events": ["everything"]}, "events[0]"),
    ({"events": "risk.decision.created"}, "events"),
    ({"secret": "whsec_short"}, "secret"),
    ({"secret": "hunter2"}, "secret"),
    ({"description": "x" * 257}, "description"),
    ({"description": "4111 1111 1111 1111"}, "description"),
    ({"tenant_id": "other"}, "tenant_id"),
    ({"disabled": False}, "disabled"),
]


@pytest.mark.parametrize(("changes", "field"), WRONG)
def test_what_is_not_right_is_refused_and_nothing_is_registered(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    client.key = _key(client, "*")
    asked = {"url": "https://8.8.8.8/hooks", "events": BOTH} | changes
    response = _post(client, HOOKS, asked)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert response.json().get("field") == field
    assert "hunter2" not in response.text
    assert _get(client, HOOKS).json() == {"webhooks": []}


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("https://127.0.0.1/", "FRADECT_OUTWARD_NETWORKS"),
        ("http://8.8.8.8/", "FRADECT_OUTWARD_HTTP=true"),
        ("https://8.8.8.8:9000/", "FRADECT_OUTWARD_PORTS"),
    ],
)
def test_a_refused_address_names_the_setting_that_would_allow_it(client: Client, url: str, setting: str) -> None:
    client.key = _key(client, "*")
    assert setting in _post(client, HOOKS, {"url": url, "events": BOTH}).json()["detail"]


def test_a_public_address_is_registered_by_default(client: Client) -> None:
    client.key = _key(client, "*")
    assert _listen(client, "https://8.8.8.8/hooks")["url"] == "https://8.8.8.8/hooks"
    many = {_post(client, HOOKS, {"url": "https://8.8.8.8/", "events": BOTH}).status_code for _ in range(16)}
    assert many == {201, 409}


def test_what_is_not_there_is_not_found(admin: Client, shop: Receiver) -> None:
    path = f"{HOOKS}/{_listen(admin, shop.url)['id']}"
    for missing in ("whe_" + "0" * 24, "nothing", "whe_", "whe_%00", "whe_1'--", "..%2f.."):
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
            response = admin.request(method, f"{HOOKS}/{missing}{rest}", headers={"X-API-Key": admin.key})
            assert response.status_code == 404, (method, missing)
    assert _post(admin, f"{path}/deliveries/dlv_{'0' * 25}/replay").status_code == 404
    assert admin.request("DELETE", path, headers={"X-API-Key": admin.key}).status_code == 204
    assert _get(admin, path).status_code == 404


def test_another_tenants_webhook_is_not_found(admin: Client, shop: Receiver, tmp_path: Path) -> None:
    path = f"{HOOKS}/{_listen(admin, shop.url)['id']}"
    made = _post(admin, f"{path}/test").json()
    promote(tmp_path, tenant="other")
    admin.service._follow()
    admin.key = _key(admin, "*", tenant="other")
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/disable"),
        ("POST", "/enable"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("POST", f"/deliveries/{made['id']}/replay"),
    ):
        assert admin.request(method, f"{path}{rest}", headers={"X-API-Key": admin.key}).status_code == 404
    assert _post(admin, f"{path}/rotate-secret", {}).status_code == 404
    assert _get(admin, HOOKS).json() == {"webhooks": []}


def test_each_route_has_its_permission(admin: Client, shop: Receiver) -> None:
    path = f"{HOOKS}/{_listen(admin, shop.url)['id']}"
    reading = [("GET", HOOKS), ("GET", path), ("GET", f"{path}/deliveries")]
    writing = [("POST", f"{path}/{what}") for what in ("disable", "enable", "test")]
    for permissions, may_read, may_write in (
        (["read:webhooks"], 200, 403),
        (["write:webhooks"], 403, 200),
        (["write:transactions", "read:risk_decisions"], 403, 403),
    ):
        key = {"X-API-Key": _key(admin, *permissions)}
        for method, route in reading:
            assert admin.request(method, route, headers=key).status_code == may_read, (permissions, route)
        for method, route in writing:
            status = admin.request(method, route, headers=key).status_code
            assert (status if status == 403 else 200) == may_write, (permissions, route)
    assert _post(admin, HOOKS, {}).status_code == 422
    admin.key = _key(admin, "read:webhooks")
    assert _post(admin, HOOKS, {"url": shop.url, "events": BOTH}).status_code == 403


def test_a_secret_is_in_no_file_and_no_log(
    admin: Client, shop: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = _listen(admin, shop.url)
    _post(admin, f"{HOOKS}/{made['id']}/test")
    _until(lambda: shop.received)
    bare = made["secret"].removeprefix("whsec_").encode()
    found = [path for path in tmp_path.rglob("*") if path.is_file() and bare in path.read_bytes()]
    assert found == []
    assert bare.decode() not in caplog.text
