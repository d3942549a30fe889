"""Routes about a customer: how risky, everything that is held, and erasing it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fradect.customers import (
    RECENT,
    UNKNOWN,
    Advice,
    Customer,
    Erasing,
    Known,
    Logged,
    Purchase,
    profile,
    recent,
    recommendations,
    worst_of,
)
from fradect.deliveries import written
from fradect.errors import NotFound
from fradect.events import law_of
from fradect.faults import Fault
from fradect.modules.ecommerce import MODULE
from fradect.money import exponent_of
from serving.auth import Endpoint, caller_of
from serving.decisions import Past
from serving.schemas import Time

JSON = "application/json"
MOST = 1_000
"""Decisions that a profile looks at."""

_ROOT = "/api/v1/customers/{customer_id}"
_law = law_of(next(field for field in MODULE.fields if field.name == "customer_id"))


class Reads(Protocol):
    """What is held of customers; each call is bound to a tenant."""

    def purchases(self, tenant_id: str, customer_id: str, most: int = MOST) -> list[Purchase]: ...

    def customer(self, tenant_id: str, customer_id: str) -> Customer | None: ...

    def export(self, tenant_id: str, customer_id: str) -> tuple[Customer | None, list[dict[str, Any]]]: ...


class Eraser(Protocol):
    """What erases."""

    def erase(self, asked: Erasing) -> bytes: ...


class Customers(NamedTuple):
    """What the routes stand on."""

    reads: Reads
    erasures: Eraser


class SpentOut(msgspec.Struct, frozen=True):
    """In major units of one currency, as decimal text."""

    currency: str
    total: str
    average: str
    highest: str


class LoggedOut(msgspec.Struct, frozen=True):
    """What the event log, imports with it, said at the last run of the flow `customers`."""

    purchases: int
    frauds: int
    returns: int
    first_at: Time | None
    last_at: Time | None


class LastDecisionOut(msgspec.Struct, frozen=True):
    """The newest one."""

    decision_id: str
    transaction_id: str
    score: int
    decision: str
    decided_at: Time
    outcome: str | None


class HistoryOut(msgspec.Struct, frozen=True):
    """What the level was made of: decisions, at most the newest 1,000, and what became of them."""

    decisions: int
    by_decision: dict[str, int]
    last_30_days: dict[str, int]
    outcomes: dict[str, int]
    different: dict[str, int]
    spent: tuple[SpentOut, ...]
    first_at: Time | None
    last: LastDecisionOut | None
    log: LoggedOut | None


class ModuleRiskOut(msgspec.Struct, frozen=True):
    """How risky in one kind of risk. `fraud_score` runs from 0 to 1000; UNKNOWN where nothing was decided."""

    level: str
    fraud_score: int | None
    history: HistoryOut | None


class RiskProfileOut(msgspec.Struct, frozen=True):
    """`overall_risk` is the highest level that is known; every recommendation names its rule and what it saw."""

    customer_id: str
    ecommerce_risk: ModuleRiskOut
    financial_risk: ModuleRiskOut
    project_risk: ModuleRiskOut
    overall_risk: str
    recommendations: tuple[Advice, ...]


class CustomerRoutes:
    """The endpoints under /api/v1/customers."""

    def __init__(self, customers: Customers, past: Past, now: Callable[[], int]) -> None:
        self._customers, self._past, self._now = customers, past, now

    def all(self) -> Iterator[tuple[str, str, Endpoint]]:
        yield "GET", f"{_ROOT}/risk-profile", self.profile
        yield "GET", f"{_ROOT}/export", self.export
        yield "DELETE", _ROOT, self.erase

    async def profile(self, request: Request) -> Response:
        return _json(await self._past.call(self._profile, *_whose(request)))

    async def export(self, request: Request) -> Response:
        """Everything that SQL holds, personal fields opened."""
        customer, purchases = await self._past.call(self._customers.reads.export, *_whose(request))
        return _json({"customer": customer, "purchases": purchases})

    async def erase(self, request: Request) -> Response:
        """The receipt; asked again, the same one."""
        asked = Erasing(*_whose(request), caller_of(request).id, self._now())
        return Response(await self._past.call(self._customers.erasures.erase, asked), media_type=JSON)

    def _profile(self, tenant_id: str, customer_id: str) -> RiskProfileOut:
        purchases = self._customers.reads.purchases(tenant_id, customer_id, MOST)
        customer = self._customers.reads.customer(tenant_id, customer_id)
        if customer is None and not purchases:
            raise NotFound("no such customer")
        return risk_profile(customer_id, purchases, customer, self._now())


def risk_profile(
    customer_id: str, purchases: Sequence[Purchase], customer: Customer | None, now: int
) -> RiskProfileOut:
    """The answer, from what is known now: the flow's tier may be of this morning."""
    known = Known(purchases, Logged() if customer is None else customer.logged, now)
    found = profile(known)
    history = HistoryOut(
        decisions=len(purchases),
        by_decision=dict(found.decisions),
        last_30_days=dict(Counter(one.decision for one in recent(known, RECENT))),
        outcomes=dict(found.outcomes),
        different=dict(found.different),
        spent=tuple(_spent(purchases)),
        first_at=written(purchases[-1].decided_at) if purchases else None,
        last=_last(purchases[0]) if purchases else None,
        log=None if customer is None else _logged(customer.logged),
    )
    nothing = ModuleRiskOut(UNKNOWN, None, None)
    level = worst_of([found.tier])
    return RiskProfileOut(
        customer_id,
        ModuleRiskOut(found.tier, found.score, history),
        nothing,
        nothing,
        level,
        recommendations(known),
    )


def _spent(purchases: Sequence[Purchase]) -> Iterator[SpentOut]:
    amounts: dict[str, list[int]] = {}
    for one in purchases:
        amounts.setdefault(one.currency, []).append(one.amount)
    for currency, some in sorted(amounts.items()):
        figures = (sum(some), round(sum(some) / len(some)), max(some))
        yield SpentOut(currency, *(_major(figure, currency) for figure in figures))


def _major(minor: int, currency: str) -> str:
    places = exponent_of(currency)
    whole, rest = divmod(minor, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def _last(one: Purchase) -> LastDecisionOut:
    at = written(one.decided_at)
    return LastDecisionOut(one.decision_id, one.transaction_id, one.score, one.decision, at, one.outcome)


def _logged(logged: Logged) -> LoggedOut:
    first, last = (None if at is None else written(at) for at in (logged.first_at, logged.last_at))
    return LoggedOut(logged.purchases, logged.frauds, logged.returns, first, last)


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
