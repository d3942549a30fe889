"""What is known of a customer, and what was destroyed."""

from datetime import datetime
from typing import Any

import msgspec


class Spent(msgspec.Struct, frozen=True):
    """In major units of one currency, as decimal text."""

    currency: str
    total: str
    average: str
    highest: str


class Logged(msgspec.Struct, frozen=True):
    """What the event log said of a customer, imports with it."""

    purchases: int
    frauds: int
    returns: int
    first_at: datetime | None
    last_at: datetime | None


class LastDecision(msgspec.Struct, frozen=True):
    """The last that was decided of a customer."""

    decision_id: str
    transaction_id: str
    score: int
    decision: str
    decided_at: datetime
    outcome: str | None


class History(msgspec.Struct, frozen=True):
    """What a level was made of: decisions, at most the newest 1,000, and what became of them."""

    decisions: int
    by_decision: dict[str, int]
    last_30_days: dict[str, int]
    outcomes: dict[str, int]
    different: dict[str, int]
    spent: tuple[Spent, ...]
    first_at: datetime | None
    last: LastDecision | None
    log: Logged | None


class ModuleRisk(msgspec.Struct, frozen=True):
    """How risky in one kind of risk."""

    level: str
    fraud_score: int | None
    history: History | None


class Advice(msgspec.Struct, frozen=True):
    """What to do, and by which rule."""

    code: str
    text: str
    because: str


class RiskProfile(msgspec.Struct, frozen=True):
    """How risky a customer is; `overall_risk` is the highest level that is known."""

    customer_id: str
    ecommerce_risk: ModuleRisk
    financial_risk: ModuleRisk
    project_risk: ModuleRisk
    overall_risk: str
    recommendations: tuple[Advice, ...]


class Receipt(msgspec.Struct, frozen=True):
    """What was destroyed of a customer, and when."""

    id: str
    customer_id: str
    requested_at: str
    completed_at: str
    destroyed: dict[str, int]
    kept: dict[str, str]
    hash: str = ""


class CustomerExport(msgspec.Struct, frozen=True):
    """A page of everything that is held of a customer, personal fields in clear: what was decided, and `events` that
    came by imports and streams. `sources`: what was looked through; `next`: None after the last page."""

    customer: dict[str, Any] | None
    purchases: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    sources: tuple[str, ...]
    next: str | None
