"""Routes about a customer: how risky, everything that is held, and erasing it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fradect.customers import Customer, Erasing, Export, Purchase, Reached
from fradect.errors import NotFound, Unavailable
from fradect.events import law_of
from fradect.faults import Fault
from fradect.modules.ecommerce import MODULE
from fradect.risk_profile import MOST, RiskProfileOut, risk_profile
from fradect.turns import OwnThread
from serving.auth import Endpoint, caller_of
from serving.customer_export import page_of, wanted_of

JSON = "application/json"
PATIENCE = 30.0
"""Seconds for what reads the whole log, or destroys: it has a thread of its own, and nobody's decision waits."""

T = TypeVar("T")

_ROOT = "/api/v1/customers/{customer_id}"
_law = law_of(next(field for field in MODULE.fields if field.name == "customer_id"))


class Reads(Protocol):
    """What is held of customers; each call is bound to a tenant."""

    def purchases(self, tenant_id: str, customer_id: str, most: int = MOST) -> list[Purchase]: ...

    def customer(self, tenant_id: str, customer_id: str) -> Customer | None: ...


class Exports(Protocol):
    """As fradect.adapters.customer_export.CustomerExports."""

    def page(
        self, tenant_id: str, customer_id: str, most: int, after: Reached | None = None
    ) -> tuple[Export, Reached | None]: ...


class Eraser(Protocol):
    """What erases."""

    def erase(self, asked: Erasing) -> bytes: ...


class Customers(NamedTuple):
    """What the routes stand on."""

    reads: Reads
    exports: Exports
    erasures: Eraser
    thread: OwnThread


class CustomerRoutes:
    """The endpoints under /api/v1/customers."""

    def __init__(self, customers: Customers, now: Callable[[], int]) -> None:
        self._customers, self._now = customers, now

    def all(self) -> Iterator[tuple[str, str, Endpoint]]:
        yield "GET", f"{_ROOT}/risk-profile", self.profile
        yield "GET", f"{_ROOT}/export", self.export
        yield "DELETE", _ROOT, self.erase

    async def profile(self, request: Request) -> Response:
        return _json(await self._call(self._profile, *_whose(request)))

    async def export(self, request: Request) -> Response:
        """A page of everything that is held, personal fields opened."""
        whose, (most, after) = _whose(request), wanted_of(request)
        return _json(page_of(*await self._call(self._customers.exports.page, *whose, most, after)))

    async def erase(self, request: Request) -> Response:
        """The receipt; asked again, the same one."""
        asked = Erasing(*_whose(request), caller_of(request).id, self._now())
        return Response(await self._call(self._customers.erasures.erase, asked), media_type=JSON)

    def _profile(self, tenant_id: str, customer_id: str) -> RiskProfileOut:
        purchases = self._customers.reads.purchases(tenant_id, customer_id, MOST)
        customer = self._customers.reads.customer(tenant_id, customer_id)
        return risk_profile(customer_id, purchases, customer, self._now())

    async def _call(self, do: Callable[..., T], *args: Any) -> T:
        try:
            return await self._customers.thread.call(PATIENCE, do, *args)
        except TimeoutError as error:
            raise Unavailable("a database did not answer in time; ask again") from error


def _whose(request: Request) -> tuple[str, str]:
    """Tenant and customer; an id that no customer can have is nobody's."""
    try:
        customer_id = _law(request.path_params["customer_id"])
    except Fault:
        customer_id = ""
    if not customer_id or len(customer_id) > 256:
        raise NotFound("no such customer")
    return caller_of(request).tenant_id, customer_id


def _json(body: Mapping[str, Any] | msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON)
