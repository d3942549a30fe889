"""A tenant that asks for too much is the one that is turned away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fradect.ports import Caller
from fradect.settings import Quota
from serving.app import create
from serving.limits import RateLimited
from serving.wiring import Service, limits_of
from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client, promote, settings_of


def _service(home: Path, **changes: Any) -> tuple[Client, dict[str, str]]:
    for tenant in ("demo", "other"):
        promote(home, tenant=tenant)
    service = Service(replace(settings_of(home), **changes))
    app = create(service.start())
    keys = {tenant: service._keys.issue(tenant, ["write:transactions"], 1) for tenant in ("demo", "other")}
    return Client(app, keys["demo"], service), keys


def _score(client: Client, key: str, number: int) -> Any:
    return client.post(body(f"tx{number}"), headers={"X-API-Key": key})


def test_a_quota_that_is_used_up_is_429_and_says_when_to_come_again(tmp_path: Path) -> None:
    client, keys = _service(tmp_path, key_quota=Quota(2, 3600))
    assert [_score(client, keys["demo"], i).status_code for i in range(3)] == [200, 200, 429]
    refused = _score(client, keys["demo"], 4)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:fradect:problem:rate-limited"
    assert 0 < int(refused.headers["retry-after"]) <= 7200
    assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
    assert refused.headers["ratelimit-policy"] == '"key";q=2;w=3600, "tenant";q=10000;w=1'
    assert refused.headers["x-request-id"] == refused.json()["request_id"]
    other = _score(client, keys["other"], 1)
    assert other.status_code == 200
    assert other.headers["ratelimit"].startswith('"key";r=1;t=')
    assert 'fradect_request_errors_total{type="rate-limited"} 2.0' in client.get("/metrics").text
    client.service.close()


def test_what_is_refused_for_other_reasons_counts_and_says_what_is_left(tmp_path: Path) -> None:
    client, keys = _service(tmp_path, key_quota=Quota(3, 3600), tenant_quota=None)
    wrong = client.post({"transaction": {}}, headers={"X-API-Key": keys["demo"]})
    assert (wrong.status_code, wrong.headers["ratelimit"].split(";t=")[0]) == (422, '"key";r=2')
    forbidden = client.request("GET", "/api/v1/decisions/dec_1", headers={"X-API-Key": keys["demo"]})
    assert (forbidden.status_code, forbidden.headers["ratelimit"].split(";t=")[0]) == (403, '"key";r=1')
    client.service.close()


@pytest.mark.parametrize("room", [4, 8, 100])
def test_the_last_of_the_room_is_for_those_who_do_not_crowd(tmp_path: Path, room: int) -> None:
    client, keys = _service(tmp_path, tenant_quota=Quota(100_000, 3600))
    admission = client.service._admission
    for i in range(20):
        assert _score(client, keys["demo"], i).status_code == 200
    assert _score(client, keys["other"], 1).status_code == 200
    client.service._limits._fair_until = 0.0
    admission.limit = room
    admission._in_flight = room - room // 4
    crowded = _score(client, keys["demo"], 100)
    assert (crowded.status_code, crowded.json()["type"]) == (503, "urn:fradect:problem:overloaded")
    assert crowded.headers["retry-after"] == "1"
    assert _score(client, keys["other"], 2).status_code == 200
    assert client.request("POST", SCORE, json=body(), headers={"X-API-Key": "nobody"}).status_code == 401
    admission._in_flight = 0
    assert _score(client, keys["demo"], 101).status_code == 200
    client.service.close()


def test_a_tenant_alone_has_all_the_room(tmp_path: Path) -> None:
    client, keys = _service(tmp_path, tenant_quota=Quota(100_000, 3600))
    for i in range(20):
        _score(client, keys["demo"], i)
    client.service._limits._fair_until = 0.0
    client.service._admission._in_flight = client.service._admission.limit - 1
    assert _score(client, keys["demo"], 100).status_code == 200
    client.service._admission._in_flight = 0
    client.service.close()


def test_workers_that_share_a_redis_count_there_and_a_service_alone_does_not(tmp_path: Path, redis_db: str) -> None:
    assert limits_of(settings_of(tmp_path))._counts is None
    shared = settings_of(tmp_path, state_url=redis_db, key_quota=Quota(2, 3600))
    one, two = limits_of(shared), limits_of(shared)
    caller = Caller("demo", frozenset(), "key")
    one.admit(caller)
    one.admit(caller)
    one.share()
    two.admit(caller)
    two.share()
    with pytest.raises(RateLimited):
        two.admit(caller)
    assert limits_of(settings_of(tmp_path, state_url=redis_db, key_quota=None, tenant_quota=None))._counts is None
