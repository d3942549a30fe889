"""What is sent and what comes back.

Answers are read leniently: a field or a word that this version does not know never makes an answer unreadable.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

Amount = int | float | Decimal
"""In major units of the currency: 1999.90, not kopecks."""
Outcome = Literal["confirmed_fraud", "false_positive", "unknown"]
EventName = Literal["risk.decision.created", "risk.decision.updated"]
DeliveryState = Literal["waiting", "delivered", "dead"]
DecisionName = Literal["APPROVE", "REVIEW", "DECLINE"]
OutcomeFilter = Literal["confirmed_fraud", "false_positive", "unknown", "none"]
FileFormat = Literal["ndjson", "csv", "parquet"]
ResultFormat = Literal["ndjson", "csv"]


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the order was placed with."""

    id: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    browser: str | None = None


class Card(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it is paid: a token, never a number."""

    token: str | None = None
    country: str | None = None


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the goods go."""

    country: str | None = None
    text: str | None = None


class Customer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who buys."""

    email: str | None = None
    phone: str | None = None
    full_name: str | None = None
    signup_at: datetime | None = None


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A purchase. The same `transaction_id` gives the same answer again. Send all that is known."""

    transaction_id: str
    amount: Amount
    currency: str
    customer_id: str
    merchant_id: str | None = None
    event_time: datetime | None = None
    payment_method: str | None = None
    source: str | None = None
    device: Device = Device()
    card: Card = Card()
    shipping_address: Address = Address()
    customer: Customer = Customer()


TransactionLike = Transaction | Mapping[str, Any]


class Factor(msgspec.Struct, frozen=True):
    """One reason for a score: `points` of the scale 0 to 1000; those of all factors add up to the score."""

    name: str
    points: int
    text: str
    source: str
    value: str | int | float | bool | None = None


class Answer(msgspec.Struct, frozen=True):
    """A decision: APPROVE, REVIEW or DECLINE. `degraded` says what it was made without; `explored` that it would have
    been a decline, and was let through by chance."""

    decision_id: str
    score: int
    decision: str
    factors: tuple[Factor, ...]
    degraded: tuple[str, ...]
    release: str
    request_id: str
    processing_time_ms: float
    explored: bool = False


class Told(msgspec.Struct, frozen=True):
    """One outcome as it was told."""

    outcome: str
    known_at: datetime
    told_at: datetime
    origin: str
    note: str | None = None


class Standing(msgspec.Struct, frozen=True):
    """How a decision stands: the outcome told last, and all that were told."""

    decision_id: str
    entity_id: str
    outcome: str | None
    outcome_updated_at: datetime | None
    outcomes: tuple[Told, ...]


class Decision(msgspec.Struct, frozen=True):
    """A decision as it was answered, and how it stands."""

    decision_id: str
    module: str
    entity_id: str
    created_at: datetime
    answer: Answer
    outcome: str | None
    outcome_updated_at: datetime | None
    outcomes: tuple[Told, ...]


class DecisionSummary(msgspec.Struct, frozen=True):
    """A decision in a list."""

    decision_id: str
    module: str
    entity_type: str
    entity_id: str
    score: int
    decision: str
    release: str
    degraded: tuple[str, ...]
    created_at: datetime
    outcome: str | None
    outcome_updated_at: datetime | None


class DecisionPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: the `cursor` of the page that follows, None after the last."""

    decisions: tuple[DecisionSummary, ...]
    next: str | None


class Upload(msgspec.Struct, frozen=True):
    """A file that was sent."""

    upload_id: str
    format: str
    bytes: int
    rows: int
    created_at: datetime
    expires_at: datetime


class DecisionCounts(msgspec.Struct, frozen=True, rename="upper"):
    """Rows by their decision."""

    approve: int
    review: int
    decline: int


class Job(msgspec.Struct, frozen=True):
    """A batch as it stands. `status`: PROCESSING, COMPLETED, CANCELLED or FAILED, which `problem` explains."""

    job_id: str
    module: str
    status: str
    total: int
    done: int
    progress: float
    decisions: DecisionCounts
    rejected: int
    items_per_second: float | None
    estimated_completion: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: str | None
    problem: str | None

    @property
    def is_over(self) -> bool:
        return self.status != "PROCESSING"


class JobPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: the value of `before` for those that follow."""

    jobs: tuple[Job, ...]
    next: str | None


class RowProblem(msgspec.Struct, frozen=True):
    """Why a row was not decided."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None


class RowResult(msgspec.Struct, frozen=True):
    """What came of a row, counted from 1: its answer, or why there is none."""

    row: int
    transaction_id: str | None = None
    answer: Answer | None = None
    problem: RowProblem | None = None


class Webhook(msgspec.Struct, frozen=True):
    """Who is told. `disabled_reason`: `caller`, `gone` (it answered 410) or `failing` (for five days)."""

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    status: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    old_secret_until: datetime | None


class WebhookWithSecret(Webhook, frozen=True, kw_only=True):
    """The same with the secret that signs, shown this once."""

    secret: str

    def __repr__(self) -> str:
        return f"WebhookWithSecret(id={self.id!r}, url={self.url!r}, secret='whsec_...')"


class Webhooks(msgspec.Struct, frozen=True):
    """All of them, the oldest first."""

    webhooks: tuple[Webhook, ...]


class Delivery(msgspec.Struct, frozen=True):
    """One message to one webhook. `state`: waiting, delivered or dead, of which no try is left."""

    id: str
    message_id: str
    event: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    last_attempt_at: datetime | None
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None


class DeliveryPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: the value of `before` for those that follow."""

    deliveries: tuple[Delivery, ...]
    next: str | None


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether decisions are made, and why not."""

    status: str
    reasons: tuple[str, ...]
