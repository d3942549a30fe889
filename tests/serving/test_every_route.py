"""Every route, asked by every role of its own and of another tenant, by key and by token, and by nobody.

A new route needs a rule in serving/permissions.py; here, a way to make what its path names, and a body if it takes one.
"""

import itertools
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from fradect.adapters.issuers import read_issuers
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Refused
from fradect.moves import Act, propose, roll_back, standing
from fradect.permissions import EVERYTHING, PERMISSIONS, ROLES
from fradect.ports import Caller
from fradect.rollout import Step, shadowed, widened
from serving.app import create
from serving.auth import Guard
from serving.limits import Limits, Quotas
from serving.openapi import document
from serving.permissions import OPEN, RULES, check, rule_of
from serving.problems import UNAUTHORISED
from serving.wiring import Service
from tests.factories_decision import body, toy_release
from tests.factories_tokens import declare, token
from tests.serving.conftest import Client, promote, settings_of

TENANTS = ("demo", "other")
_numbers = itertools.count()

Made = Callable[["World", Mapping[str, str]], str]


@dataclass
class World:
    """A service with two tenants that decide, and everybody's keys."""

    client: Client
    starlette: Starlette
    keys: dict[tuple[str, str], str]
    home: Path

    def ask(self, method: str, path: str, headers: dict[str, str], json: Any = None) -> httpx.Response:
        return self.client.request(method, path, headers=headers, json=json)

    def make(self, path: str, json: Any) -> dict[str, Any]:
        """What the administrator of the first tenant makes there."""
        answer = self.ask("POST", path, {"X-API-Key": self.keys["demo", "admin"]}, json)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made


def _decision(world: World, _: Mapping[str, str] | None = None) -> str:
    made: str = world.make("/api/v1/ecommerce/score", body(f"tx{next(_numbers)}"))["decision_id"]
    return made


def _make_room(world: World) -> None:
    """A tenant may have sixteen webhooks."""
    for tenant in TENANTS:
        headers = {"X-API-Key": world.keys[tenant, "admin"]}
        for one in world.ask("GET", WEBHOOKS, headers).json()["webhooks"]:
            world.ask("DELETE", f"{WEBHOOKS}/{one['id']}", headers)


def _webhook(world: World, _: Mapping[str, str]) -> str:
    made: str = world.make(WEBHOOKS, WEBHOOK)["id"]
    return made


def _dead_delivery(world: World, before: Mapping[str, str]) -> str:
    one = f"{WEBHOOKS}/{before['webhook_id']}"
    made: str = world.make(f"{one}/test", None)["id"]
    world.make(f"{one}/disable", None)
    world.make(f"{one}/enable", None)
    return made


def _job(world: World, _: Mapping[str, str]) -> str:
    made: str = world.make(BATCH, {"items": [body(f"tx{next(_numbers)}")]})["job_id"]
    world.make(f"/api/v1/batch/jobs/{made}/cancel", None)
    return made


def _upload(world: World, _: Mapping[str, str]) -> str:
    headers = {"X-API-Key": world.keys["demo", "admin"]} | SENT_AS["POST", UPLOADS]
    made: str = world.ask("POST", UPLOADS, headers, {"transaction": {}}).json()["upload_id"]
    return made


CHALLENGER = toy_release("ecommerce/handbook", review=400)
BATCH, UPLOADS = "/api/v1/batch/score", "/api/v1/batch/uploads"
WEBHOOKS = "/api/v1/webhooks"
WEBHOOK = {"url": "https://93.184.215.14/fradect", "events": ["risk.decision.created"]}


def _customer(world: World, _: Mapping[str, str]) -> str:
    customer = f"c{next(_numbers)}"
    world.make("/api/v1/ecommerce/score", body(f"tx{customer}", customer_id=customer))
    return customer


def _in_shadow(world: World, tenant: str) -> ReleasesFolder:
    """A challenger beside the tenant's champion, so that there is something to go back from."""
    store = ReleasesFolder(world.home)
    store.save(CHALLENGER)
    now = standing(store, "ecommerce", tenant)
    if now.challenger is None:
        store.move("ecommerce", tenant, shadowed(now, CHALLENGER.id, Step("shadow", "ann", "a test", 1)))
    return store


def _waiting(world: World, tenant: str) -> None:
    """A step that somebody else asked for."""
    store = _in_shadow(world, tenant)
    now = standing(store, "ecommerce", tenant)
    if now.approved is not None:
        roll_back(store, "ecommerce", tenant, Act("ann", "again"))
        _waiting(world, tenant)
    elif now.proposed is None:
        propose(store, "ecommerce", tenant, widened(now, 500, Step("canary", "ann", "a test", 1)), ())


BEFORE: dict[tuple[str, str], Callable[[World, str], object]] = {
    ("POST", "/api/v1/releases/rollback"): _in_shadow,
    ("POST", "/api/v1/releases/approval"): _waiting,
}
"""What a tenant has to have before the route can do anything for it."""

OF_PATHS: dict[str, Made] = {
    "customer_id": _customer,
    "module": lambda *_: "ecommerce",
    "decision_id": _decision,
    "webhook_id": _webhook,
    "delivery_id": _dead_delivery,
    "job_id": _job,
    "upload_id": _upload,
}
"""How to make what a name in a path stands for, as the first tenant's own; of the names before it what was made."""

BODIES: dict[tuple[str, str], Callable[[], Any]] = {
    ("POST", "/api/v1/{module}/score"): lambda: body(f"tx{next(_numbers)}"),
    ("POST", "/api/v1/decisions/{decision_id}/outcome"): lambda: {"outcome": "confirmed_fraud"},
    ("POST", BATCH): lambda: {"items": [body(f"tx{next(_numbers)}")]},
    ("POST", UPLOADS): lambda: {"transaction": {}},
    ("POST", WEBHOOKS): lambda: WEBHOOK,
    ("POST", f"{WEBHOOKS}/{{webhook_id}}/rotate-secret"): dict,
    ("POST", "/api/v1/releases/rollback"): lambda: {"reason": "a test"},
    ("POST", "/api/v1/releases/approval"): lambda: {"reason": "a test", "release": CHALLENGER.id},
}

SENT_AS = {("POST", UPLOADS): {"Content-Type": "application/x-ndjson"}}

GUARDED = [rule for rule in RULES if RULES[rule] != OPEN]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("home")
    for tenant in TENANTS:
        promote(home, tenant=tenant)
    service = Service(replace(settings_of(home), issuers=declare(home / "issuers")))
    app: Any = create(service.start())
    keys = {(tenant, role): service._keys.issue(tenant, may, 1) for tenant in TENANTS for role, may in ROLES.items()}
    client = Client(app, keys["demo", "api_user"], service)
    yield World(client, app._app, keys, home)
    service.close()


def _filled(world: World, path: str) -> str:
    if path.startswith(WEBHOOKS):
        _make_room(world)
    made: dict[str, str] = {}
    for name in re.findall(r"\{(\w+)\}", path):
        made[name] = OF_PATHS[name](world, made)
    return path.format(**made)


def _credentials(world: World, kind: str, tenant: str, role: str) -> dict[str, str]:
    if kind == "key":
        return {"X-API-Key": world.keys[tenant, role]}
    return {"Authorization": f"Bearer {token(tenant_id=tenant, role=role)}"}


def test_every_route_has_a_rule_and_every_rule_a_route(world: World) -> None:
    served = {
        (method, route.path)
        for route in world.starlette.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert served == set(RULES)
    assert len(served) == len(world.starlette.routes)


@pytest.mark.parametrize("kind", ["key", "token"])
@pytest.mark.parametrize(("tenant", "role"), list(itertools.product(TENANTS, ROLES)))
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_who_may_call_what(  # noqa: PLR0917  five dimensions
    world: World, method: str, path: str, tenant: str, role: str, kind: str
) -> None:
    headers = _credentials(world, kind, tenant, role) | SENT_AS.get((method, path), {})
    BEFORE.get((method, path), lambda *_: None)(world, tenant)
    given = BODIES.get((method, path), lambda: None)()
    answer = world.ask(method, _filled(world, path), headers, given)
    may = ROLES[role]
    if not {RULES[method, path], EVERYTHING} & may:
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:fradect:problem:forbidden")
    elif tenant == "other" and set(re.findall(r"\{(\w+)\}", path)) - {"module"}:
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:fradect:problem:not-found")
    else:
        assert answer.is_success, answer.text
    assert answer.headers["ratelimit-policy"] == '"key";q=10000;w=1, "tenant";q=10000;w=1'


WITHOUT = {
    "nothing": {},
    "an empty key": {"X-API-Key": ""},
    "a stranger's key": {"X-API-Key": f"fdk_live_{'a' * 12}_{'b' * 43}"},
    "a key as a token": {"Authorization": f"Bearer fdk_live_{'a' * 12}_{'b' * 43}"},
    "another scheme": {"Authorization": "Basic YWRtaW46YWRtaW4="},
    "a token of no signature": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    "a token that is too long": {"Authorization": f"Bearer {'a' * 9000}"},
    "a scheme alone": {"Authorization": "Bearer"},
    "an expired token": {"Authorization": f"Bearer {token(exp=1)}"},
}


@pytest.mark.parametrize("headers", WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nobody_is_told_the_same_whatever_was_wrong(
    world: World, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = world.ask(method, re.sub(r"\{module\}", "ecommerce", re.sub(r"\{\w+_id\}", "x", path)), headers)
    assert answer.status_code == 401
    told = answer.json()
    del told["request_id"]
    assert told == {
        "type": "urn:fradect:problem:unauthorised",
        "title": "No valid key or token",
        "status": 401,
        "detail": UNAUTHORISED,
    }
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'ApiKey realm="fradect", Bearer realm="fradect"'
    assert "ratelimit" not in answer.headers


def test_two_credentials_are_none(world: World) -> None:
    key = world.keys["demo", "admin"]
    headers = _credentials(world, "key", "demo", "admin") | _credentials(world, "token", "other", "admin")
    assert world.ask("GET", "/api/v1/decisions/dec_1", headers).status_code == 401
    twice = httpx.Headers([("X-API-Key", key), ("X-API-Key", key)])
    assert world.client.request("GET", "/api/v1/decisions/dec_1", headers=twice).status_code == 401


def test_the_scheme_of_a_token_may_be_written_in_any_case(world: World) -> None:
    headers = {"authorization": f"bEaReR {token(role='admin')}"}
    assert world.ask("GET", f"/api/v1/decisions/{_decision(world)}", headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), [rule for rule in RULES if RULES[rule] == OPEN])
def test_what_is_open_asks_for_nothing_and_tells_of_no_tenant(world: World, method: str, path: str) -> None:
    _decision(world)
    answer = world.ask(method, path, {})
    assert answer.status_code == 200
    assert "demo" not in answer.text.replace("make demo", "")
    assert "ratelimit" not in answer.headers


def test_a_route_without_a_rule_does_not_start() -> None:
    async def endpoint(_request: Any) -> Any:
        raise AssertionError

    with pytest.raises(Refused, match=r"serving/permissions\.py"):
        check([Route("/api/v1/new", endpoint, methods=["GET"])])
    with pytest.raises(Refused, match=r"serving/permissions\.py"):
        check([Route("/health", endpoint, methods=["GET", "DELETE"])])
    guard = Guard(_Nobody(), _Nobody(), Limits(Quotas()))
    with pytest.raises(Refused):
        guard.of("PUT", "/api/v1/decisions/{decision_id}", endpoint)
    assert guard.of("GET", "/health", endpoint) is endpoint


class _Nobody:
    def find(self, _given: str) -> Caller | None:
        return None


def test_every_rule_names_a_permission_that_there_is() -> None:
    assert {RULES[rule] for rule in GUARDED} <= set(PERMISSIONS)
    assert rule_of("GET", "/health") == OPEN


def test_the_description_says_who_may_call_what() -> None:
    described = json.loads(document())
    assert set(described["components"]["securitySchemes"]) == {"apiKey", "token"}
    for (method, path), rule in RULES.items():
        others = {other for _, other in RULES} - {path}
        pattern = re.sub(r"\{module\}", r"[^/]+", path)
        (known,) = [p for p in described["paths"] if re.fullmatch(pattern, p) and p not in others]
        operation = described["paths"][known][method.lower()]
        if rule == OPEN:
            assert operation["security"] == []
            assert not {"401", "403", "429"} & set(operation["responses"])
            continue
        assert operation["security"] == [{"apiKey": []}, {"token": []}]
        assert rule in operation["responses"]["403"]["description"]
        assert {"401", "403", "429"} <= set(operation["responses"])
        assert set(operation["responses"]["429"]["headers"]) >= {"RateLimit", "RateLimit-Policy", "Retry-After"}


def test_the_page_says_every_role_permission_and_setting(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "concepts" / "identity.md").read_text()
    for role, may in ROLES.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{role}` |"))
        assert set(re.findall(r"`([^`]+)`", line)) == {role, *may}
    assert [name for name in PERMISSIONS if f"`{name}`" not in page] == []
    settings = (request.config.rootpath / "fradect" / "settings.py").read_text()
    ours = re.findall(r'"(FRADECT_(?:RATE_LIMIT|ISSUERS|TEST_TENANTS)\w*)"', settings)
    assert len(ours) >= 5
    assert [name for name in ours if name not in page] == []


def test_the_example_of_declarations_can_be_used(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page = (request.config.rootpath / "docs" / "concepts" / "identity.md").read_text()
    (example,) = re.findall(r"^    issuers:\n(?:^     .*\n)+", page, re.M)
    (tmp_path / "issuers.yaml").write_text(textwrap.dedent(example))
    (tmp_path / "back-office.secret").write_bytes(b"k" * 32)
    assert len(read_issuers(tmp_path / "issuers.yaml", tmp_path, {})) == 2
