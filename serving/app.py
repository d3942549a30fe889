"""The ASGI application: routes, and one place where errors become problem details."""

import asyncio
import logging
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fradect.crash import crash_point, is_armed
from fradect.errors import FradectError, NotFound, Unavailable
from serving.admission import Overloaded
from serving.auth import Endpoint, limits_of
from serving.batch_routes import BatchRoutes
from serving.customers import CustomerRoutes
from serving.decisions import DecisionRoutes
from serving.metrics import Metrics
from serving.permissions import check
from serving.problems import MethodNotAllowed, render
from serving.releases import ReleaseRoutes
from serving.routes import READERS, Routes, Wired, new_request_id, readiness
from serving.webhooks import WebhookRoutes

log = logging.getLogger(__name__)
REQUEST_ID = b"x-request-id"
SCORE = "/api/v1/{module}/score"


def create(wired: Wired) -> ASGIApp:
    """The application over what was wired. Every answer carries X-Request-Id, every error is a problem."""
    routes = Routes(wired)
    decisions = DecisionRoutes(wired.past, wired.metrics, wired.source.now)
    webhooks = WebhookRoutes(wired.webhooks, wired.past, wired.source.now)
    customers = CustomerRoutes(wired.customers, wired.source.now)
    answering = _Answering(wired.metrics)

    def route(method: str, path: str, endpoint: Endpoint) -> Route:
        return Route(path, answering.of(wired.guard.of(method, path, endpoint)), methods=[method])

    app = Starlette(
        routes=[
            *(route(*each) for each in BatchRoutes(wired.batch).all()),
            route("POST", SCORE, routes.score),
            route("GET", "/api/v1/decisions", decisions.listed),
            route("GET", "/api/v1/decisions/{decision_id}", decisions.show),
            route("POST", "/api/v1/decisions/{decision_id}/outcome", decisions.tell),
            *(route(*each) for each in webhooks.all()),
            *(route(*each) for each in customers.all()),
            *(route(*each) for each in ReleaseRoutes(wired.releases).all()),
            route("GET", "/health", routes.health),
            route("GET", "/ready", routes.ready),
            route("GET", "/metrics", routes.metrics),
            route("GET", "/openapi.json", routes.openapi),
        ],
        exception_handlers={HTTPException: answering.of_http_error},
    )
    app.router.redirect_slashes = False  # a redirect would be built from the caller's own Host header
    check(app.routes)
    score = answering.of(wired.guard.of("POST", SCORE, routes.score))
    scoring = {SCORE.format(module=module): (module, score) for module in READERS}
    return _Straight(app, scoring, wired)


class _Straight:
    """Decisions go past middleware and router, which cost as much as a judgement and add nothing to them."""

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, tuple[str, Endpoint]], wired: Wired) -> None:
        self._app = app
        self._endpoints = endpoints
        self._admission, self._guard, self._metrics = wired.admission, wired.guard, wired.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._endpoints.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        if self._is_too_much(scope):
            await self._refuse(send)
            return
        module, endpoint = found
        scope["path_params"] = {"module": module}
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _is_too_much(self, scope: Scope) -> bool:
        """The last quarter of the room is for tenants that have not more than their share of the rest already."""
        admission = self._admission
        if not admission.has_room():
            return True
        if admission.is_tight() and self._guard.crowds(scope["headers"]):
            admission.turned_away()
            return True
        return False

    async def _refuse(self, send: Send) -> None:
        """The cheaper this is, the more is left for those that are decided."""
        self._metrics.failed(Overloaded.type)
        request_id = new_request_id().encode()
        body = _OVERLOADED.replace(_ANY_ID, request_id)
        headers = [*_OVERLOADED_HEADERS, (b"content-length", b"%d" % len(body)), (REQUEST_ID, request_id)]
        await send({"type": "http.response.start", "status": Overloaded.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


_ANY_ID = b"req_any"
_RENDERED = render(Overloaded("more is asked than can be decided in time; ask again in a second"), _ANY_ID.decode())
_OVERLOADED = bytes(_RENDERED.body)
_OVERLOADED_HEADERS = [header for header in _RENDERED.raw_headers if header[0] != b"content-length"]


class _Answering:
    """Gives each request its id, and each error its form."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def of(self, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            request_id = request.state.request_id = new_request_id()
            try:
                response = await endpoint(request)
            except FradectError as error:
                response = self._render(error, request_id)
            except Exception:  # the last line: whatever it was, the caller gets a problem and the log gets the rest
                log.exception("request %s failed", request_id)
                response = self._render(FradectError("unforeseen"), request_id)
            response.raw_headers += [(REQUEST_ID, request_id.encode()), *limits_of(request)]
            return response

        return answer

    async def of_http_error(self, request: Request, error: Exception) -> Response:
        """Starlette's own errors: no such route, no such method."""
        request_id = new_request_id()
        status = error.status_code if isinstance(error, HTTPException) else 500
        known: FradectError = NotFound(f"nothing is at {request.url.path[:200]}; /openapi.json lists what there is")
        if status == MethodNotAllowed.status:
            known = MethodNotAllowed(f"{request.method[:16]} does not fit {request.url.path[:200]}")
        response = self._render(known, request_id)
        if status == MethodNotAllowed.status:
            response.headers["Allow"] = ", ".join(_methods(request))
        response.headers["X-Request-Id"] = request_id
        return response

    def _render(self, error: FradectError, request_id: str) -> Response:
        self._metrics.failed(error.type)
        return render(error, request_id)


def _methods(request: Request) -> list[str]:
    """Those that fit the path: each route has its own."""
    found = [route for route in request.app.routes if isinstance(route, Route)]
    return sorted(
        {m for route in found if route.matches(request.scope)[0] is not Match.NONE for m in route.methods or ()}
    )


_WHOLE = not is_armed("mid-response")


def _in_halves(send: Send) -> Send:
    """For tests of what a caller is left with who got half an answer."""

    async def halves(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body" and body:
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.05)  # it has left
            crash_point("mid-response")
            message = {**message, "body": body[len(body) // 2 :]}
        await send(message)

    return halves


class Front:
    """Stands before an application that is still being put together, and answers for it until it is there."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._reasons: tuple[str, ...] = ("the service is starting",)
        self._status = "starting"

    def fail(self, reason: str) -> None:
        """It will not be there; only a person can help."""
        log.error("the service does not start: %s", reason)
        self._reasons, self._status = (reason,), "failed"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send if _WHOLE or scope.get("method") != "POST" else _in_halves(send))
        elif scope["type"] == "http":
            await self._not_yet(scope)(scope, receive, send)

    def _not_yet(self, scope: Scope) -> Response:
        if scope["path"] == "/health":
            return Response(b'{"status":"ok"}', media_type="application/json")
        if scope["path"] == "/ready":
            return readiness(self._reasons, self._status)
        return render(Unavailable("the service does not decide yet"), new_request_id())
