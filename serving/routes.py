"""The routes, each as thin as it can be: who calls, what they sent, the answer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fradect import decide
from fradect.errors import NotFound
from fradect.intake import IpRanges
from fradect.ports import Vault
from serving.admission import Admission
from serving.auth import Guard, caller_of
from serving.batch_routes import Batch
from serving.beside import Beside
from serving.body import read_body
from serving.champions import Champions
from serving.customers import Customers
from serving.decisions import Past
from serving.drawn import drawn_hex
from serving.idempotency import Running, key_of
from serving.ip_tables import IpTables
from serving.metrics import Metrics
from serving.purchases import AsksLater, Received, request_of
from serving.releases import Releases
from serving.strict_json import read
from serving.webhooks import Webhooks

JSON = "application/json"


class Reader(Protocol):
    """From a module's body to the request that is decided."""

    def __call__(
        self, body: Any, received: Received, vault: Vault, base_currency: str, ranges: IpRanges | None
    ) -> decide.Request: ...


READERS: Mapping[str, Reader] = {"ecommerce": request_of}


@dataclass(frozen=True, slots=True)
class Wired:
    """Everything the routes need, built by serving/wiring.py."""

    decider: decide.Decider
    beside: Beside
    champions: Champions
    guard: Guard
    vault: Vault
    metrics: Metrics
    ip_tables: IpTables
    admission: Admission
    past: Past
    webhooks: Webhooks
    batch: Batch
    customers: Customers
    releases: Releases
    source: decide.Source
    not_ready: Callable[[], tuple[str, ...]]
    openapi: bytes


class Routes:
    """The endpoints over what was wired."""

    def __init__(self, wired: Wired) -> None:
        self._wired = wired
        self._running = Running()

    async def score(self, request: Request) -> Response:
        """Decide one event of the module that the path names; under an Idempotency-Key, one request at a time."""
        wired, start = self._wired, time.perf_counter()
        caller = caller_of(request)
        module = request.path_params["module"]
        if module not in READERS:
            raise NotFound(f"no module is called {module[:64]!r}; there is {', '.join(READERS)}")
        key = key_of(request)
        raw = await read_body(request)
        began = wired.admission.enter()
        try:
            received = Received(caller.tenant_id, wired.source.now(), request.state.request_id)
            decided = await self._decided(module, received, raw, key)
        except AsksLater:
            return await self._later(module, received, raw, key)
        finally:
            wired.admission.leave(began)
        wired.metrics.decided(decided.decision, module, time.perf_counter() - start)
        return Answer(decided.answer)

    async def _decided(self, module: str, received: Received, raw: bytes, key: str | None) -> decide.Decided:
        wired, tenant_id, body = self._wired, received.tenant_id, read(raw)
        deciding = wired.champions.deciding(module, tenant_id)
        ranges = wired.ip_tables.of(module, tenant_id)
        currency = deciding.champion.release.policy.base_currency
        asked = READERS[module](body, received, wired.vault, currency, ranges)
        if key is None:
            return await wired.beside.decide(wired.decider, deciding, asked)
        with self._running.held(tenant_id, key):
            asked = msgspec.structs.replace(asked, idempotency_key=key)
            return await wired.beside.decide(wired.decider, deciding, asked)

    async def _later(self, module: str, received: Received, raw: bytes, key: str | None) -> Response:
        """Whatever is wrong with it is told at once; the decision is not."""
        wired, body = self._wired, read(raw)
        body["options"]["async"] = False
        currency = wired.champions.of(module, received.tenant_id).release.policy.base_currency
        READERS[module](body, received, wired.vault, currency, None)
        return await wired.batch.later(module, received, body, key)

    async def health(self, _request: Request) -> Response:
        """The process answers."""
        return Response(b'{"status":"ok"}', media_type=JSON)

    async def ready(self, _request: Request) -> Response:
        """Whether every champion decides; 503 with the reasons otherwise."""
        return readiness(self._wired.not_ready())

    async def metrics(self, _request: Request) -> Response:
        return Response(self._wired.metrics.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _request: Request) -> Response:
        return Response(self._wired.openapi, media_type=JSON)


class Answer(Response):
    """JSON that is there already, with the headers that it needs."""

    def __init__(self, body: bytes) -> None:
        self.status_code, self.body, self.background = 200, body, None
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


def readiness(reasons: tuple[str, ...], status: str = "not ready") -> Response:
    body = msgspec.json.encode({"status": status if reasons else "ready", "reasons": reasons})
    return Response(body, 503 if reasons else 200, {"Retry-After": "1"} if reasons else {}, JSON)


def new_request_id() -> str:
    return f"req_{drawn_hex(8)}"
