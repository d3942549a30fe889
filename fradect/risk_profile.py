"""A customer's risk profile: level, history and recommendations, as HTTP and the command line tell them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from fradect.customers import (
    RECENT,
    UNKNOWN,
    Advice,
    Customer,
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
from fradect.money import exponent_of

MOST = 1_000
"""Decisions that a profile looks at."""

Time = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]


class SpentOut(Struct, frozen=True):
    """In major units of one currency, as decimal text."""

    currency: str
    total: str
    average: str
    highest: str


class LoggedOut(Struct, frozen=True):
    """What the event log, imports with it, said at the last run of the flow `customers`."""

    purchases: int
    frauds: int
    returns: int
    first_at: Time | None
    last_at: Time | None


class LastDecisionOut(Struct, frozen=True):
    """The newest one."""

    decision_id: str
    transaction_id: str
    score: int
    decision: str
    decided_at: Time
    outcome: str | None


class HistoryOut(Struct, frozen=True):
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


class ModuleRiskOut(Struct, frozen=True):
    """How risky in one kind of risk. `fraud_score` runs from 0 to 1000; UNKNOWN where nothing was decided."""

    level: str
    fraud_score: int | None
    history: HistoryOut | None


class RiskProfileOut(Struct, frozen=True):
    """`overall_risk` is the highest level that is known; every recommendation names its rule and what it saw."""

    customer_id: str
    ecommerce_risk: ModuleRiskOut
    financial_risk: ModuleRiskOut
    project_risk: ModuleRiskOut
    overall_risk: str
    recommendations: tuple[Advice, ...]


def risk_profile(
    customer_id: str, purchases: Sequence[Purchase], customer: Customer | None, now: int
) -> RiskProfileOut:
    """The answer, from what is known now: the flow's tier may be of this morning. NotFound where nothing is known."""
    if customer is None and not purchases:
        raise NotFound("no such customer")
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
