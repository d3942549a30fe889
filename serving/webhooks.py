"""Routes of webhooks: who is told of decisions, and how each telling went."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fradect.deliveries import Delivery, Endpoint, Page, State, written
from fradect.errors import InvalidInput, NotFound
from fradect.events import clean_text
from fradect.faults import Fault
from fradect.types import SECOND
from fradect.webhooks import check_secret, new_secret
from serving.auth import Endpoint as Answering
from serving.auth import caller_of
from serving.body import read_body
from serving.decisions import Past
from serving.strict_json import read
from serving.typed import typed
from serving.webhook_schemas import (
    DeliveriesOut,
    DeliveryOut,
    RotateRequest,
    WebhookOut,
    WebhookRequest,
    WebhookSecretOut,
    WebhooksOut,
)

JSON = "application/json"
RESOLVE_SECONDS = 3.0
_ENDPOINT = re.compile(r"whe_[0-9a-f]{24}")
_DELIVERY = re.compile(r"dlv_[0-9a-f]{13,40}")
_LISTED, _MOST_LISTED = 50, 100


class Endpoints(Protocol):
    """As fradect.adapters.webhook_endpoints.SqlEndpoints."""

    def register(self, endpoint: Endpoint, secret: str) -> Endpoint: ...
    def listed(self, tenant_id: str) -> list[Endpoint]: ...
    def shown(self, tenant_id: str, endpoint_id: str) -> Endpoint: ...
    def rotate(self, tenant_id: str, endpoint_id: str, secret: str, until: int) -> Endpoint: ...
    def disable(self, tenant_id: str, endpoint_id: str, now: int) -> Endpoint: ...
    def enable(self, tenant_id: str, endpoint_id: str, now: int) -> Endpoint: ...
    def delete(self, tenant_id: str, endpoint_id: str) -> None: ...


class Deliveries(Protocol):
    """As fradect.adapters.webhook_deliveries.SqlDeliveries."""

    def listed(self, tenant_id: str, endpoint_id: str, page: Page) -> list[Delivery]: ...
    def replay(self, tenant_id: str, endpoint_id: str, delivery_id: str, now: int) -> Delivery: ...
    def test(self, tenant_id: str, endpoint_id: str, now: int) -> Delivery: ...


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What the routes stand on. `check` raises InvalidInput for a URL that may not be called."""

    endpoints: Endpoints
    deliveries: Deliveries
    check: Callable[[str, float], Awaitable[None]]


class WebhookRoutes:
    """The endpoints under /api/v1/webhooks. All are bound to the caller's tenant."""

    def __init__(self, webhooks: Webhooks, past: Past, now: Callable[[], int]) -> None:
        self._endpoints, self._deliveries, self._check = webhooks.endpoints, webhooks.deliveries, webhooks.check
        self._past = past
        self._now = now

    def all(self) -> tuple[tuple[str, str, Answering], ...]:
        """Method, path and what answers."""
        root, one = "/api/v1/webhooks", "/api/v1/webhooks/{webhook_id}"
        return (
            ("POST", root, self.register),
            ("GET", root, self.listed),
            ("GET", one, self.show),
            ("DELETE", one, self.delete),
            ("POST", f"{one}/rotate-secret", self.rotate),
            ("POST", f"{one}/disable", self.disable),
            ("POST", f"{one}/enable", self.enable),
            ("POST", f"{one}/test", self.test),
            ("GET", f"{one}/deliveries", self.deliveries),
            ("POST", f"{one}/deliveries/{{delivery_id}}/replay", self.replay),
        )

    async def register(self, request: Request) -> Response:
        """Somebody new to tell; the answer alone shows the secret."""
        asked = typed(read(await read_body(request)), WebhookRequest)
        secret = new_secret() if asked.secret is None else check_secret(asked.secret)
        await self._check(asked.url, RESOLVE_SECONDS)
        held = Endpoint(
            id="",
            tenant_id=caller_of(request).tenant_id,
            url=asked.url,
            events=tuple(dict.fromkeys(asked.events)),
            description=_text(asked.description),
            created_at=self._now(),
        )
        endpoint = await self._past.call(self._endpoints.register, held, secret)
        return _json(_with_secret(endpoint, secret), 201)

    async def listed(self, request: Request) -> Response:
        found = await self._past.call(self._endpoints.listed, caller_of(request).tenant_id)
        return _json(WebhooksOut(tuple(_webhook(one) for one in found)))

    async def show(self, request: Request) -> Response:
        return _json(_webhook(await self._past.call(self._endpoints.shown, *_whose(request))))

    async def delete(self, request: Request) -> Response:
        """With all its deliveries."""
        await self._past.call(self._endpoints.delete, *_whose(request))
        return Response(status_code=204)

    async def rotate(self, request: Request) -> Response:
        """A new secret, shown this once; the one before it signs as well for as long as was asked."""
        whose = _whose(request)
        asked = typed(read(await read_body(request)), RotateRequest)
        secret = new_secret() if asked.secret is None else check_secret(asked.secret)
        until = self._now() + asked.overlap_seconds * SECOND
        return _json(_with_secret(await self._past.call(self._endpoints.rotate, *whose, secret, until), secret))

    async def disable(self, request: Request) -> Response:
        """Told nothing more; what waits for it is dead, and can be replayed."""
        return await self._changed(self._endpoints.disable, request)

    async def enable(self, request: Request) -> Response:
        """Told of what happens from now on."""
        return await self._changed(self._endpoints.enable, request)

    async def test(self, request: Request) -> Response:
        """A test event, delivered as any other."""
        made = await self._past.call(self._deliveries.test, *_whose(request), self._now())
        return _json(_delivery(made), 202)

    async def deliveries(self, request: Request) -> Response:
        page = _page(request)
        found = await self._past.call(self._deliveries.listed, *_whose(request), page)
        after = found[-1].id if len(found) == page.most else None
        return _json(DeliveriesOut(tuple(_delivery(one) for one in found), after))

    async def replay(self, request: Request) -> Response:
        """A dead delivery has all its tries again."""
        delivery_id = _named(request, "delivery_id", _DELIVERY)
        made = await self._past.call(self._deliveries.replay, *_whose(request), delivery_id, self._now())
        return _json(_delivery(made), 202)

    async def _changed(self, change: Callable[[str, str, int], Endpoint], request: Request) -> Response:
        return _json(_webhook(await self._past.call(change, *_whose(request), self._now())))


def _whose(request: Request) -> tuple[str, str]:
    return caller_of(request).tenant_id, _named(request, "webhook_id", _ENDPOINT)


def _named(request: Request, name: str, form: re.Pattern[str]) -> str:
    value: str = request.path_params[name]
    if not form.fullmatch(value):
        raise NotFound(f"no such {name.removesuffix('_id')}")
    return value


def _page(request: Request) -> Page:
    asked = request.query_params
    unknown = sorted(set(asked) - {"state", "limit", "before"})
    if unknown:
        raise InvalidInput(f"{unknown[0][:64]}: there are state, limit and before", unknown[0][:64])
    state, limit, before = asked.get("state"), asked.get("limit", str(_LISTED)), asked.get("before")
    if state is not None and state not in tuple(State):
        raise InvalidInput(f"state: give one of {', '.join(State)}", "state")
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 4 and 1 <= int(limit) <= _MOST_LISTED):
        raise InvalidInput(f"limit: give a whole number from 1 to {_MOST_LISTED}", "limit")
    if before is not None and not _DELIVERY.fullmatch(before):
        raise InvalidInput("before: give the id of a delivery", "before")
    return Page(int(limit), None if state is None else State(state), before)


def _text(description: str) -> str:
    try:
        return clean_text(description)
    except Fault as fault:
        raise fault.at("description") from None


def _webhook(endpoint: Endpoint) -> WebhookOut:
    return WebhookOut(**_facts(endpoint))


def _with_secret(endpoint: Endpoint, secret: str) -> WebhookSecretOut:
    return WebhookSecretOut(**_facts(endpoint), secret=secret)


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "status": "active" if endpoint.disabled_at is None else "disabled",
        "created_at": written(endpoint.created_at),
        "disabled_at": _time(endpoint.disabled_at),
        "disabled_reason": None if endpoint.disabled_why is None else str(endpoint.disabled_why),
        "failing_since": _time(endpoint.failing_since),
        "old_secret_until": _time(endpoint.old_secret_until),
    }


def _delivery(delivery: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=delivery.id,
        message_id=delivery.message_id,
        event=delivery.event,
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_attempt_at=written(delivery.due_at) if delivery.state == State.WAITING else None,
        created_at=written(delivery.created_at),
        last_attempt_at=_time(delivery.tried_at),
        finished_at=_time(delivery.finished_at),
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )


def _time(micros: int | None) -> str | None:
    return None if micros is None else written(micros)


def _json(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)
