"""What the routes of webhooks take and give."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fradect.outcomes import Outcome
from serving.schemas import PRINTED, Time

_DAY, _WEEK = 86_400, 604_800

Url = Annotated[
    str,
    Meta(min_length=1, max_length=2048, extra_json_schema={"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}),
]
_B = "[A-Za-z0-9+/]"
_BASE64 = f"({_B}{{4}}){{8,20}}({_B}{{4}}|{_B}{{3}}=|{_B}{{2}}==)?|({_B}{{4}}){{21}}{_B}{{2}}=="
Secret = Annotated[
    str,
    Meta(
        max_length=128,
        description="whsec_ and base64 of 24 to 64 bytes",
        extra_json_schema={"pattern": f"^whsec_({_BASE64})$"},
    ),
]
EventName = Literal["risk.decision.created", "risk.decision.updated"]


class WebhookRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/webhooks`. Without `secret` one is made."""

    url: Url
    events: Annotated[tuple[EventName, ...], Meta(min_length=1, max_length=8)]
    secret: Secret | None = None
    description: Annotated[str, Meta(max_length=256, extra_json_schema=PRINTED)] = ""


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/webhooks/{id}/rotate-secret`: for so long the secret before signs as well."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_WEEK)] = _DAY
    secret: Secret | None = None


class WebhookOut(msgspec.Struct, frozen=True):
    """Who is told. `disabled_reason`: `caller` said so, it was `gone` (410), or `failing` for five days.

    `failing_since`: nothing was delivered since then, though it was tried.
    """

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    status: Literal["active", "disabled"]
    created_at: Time
    disabled_at: Time | None
    disabled_reason: Literal["caller", "gone", "failing"] | None
    failing_since: Time | None
    old_secret_until: Time | None


class WebhookSecretOut(WebhookOut, frozen=True, kw_only=True):
    """The same with its secret, which is shown this once."""

    secret: str


class WebhooksOut(msgspec.Struct, frozen=True):
    """All of the caller's, the oldest first."""

    webhooks: tuple[WebhookOut, ...]


class DeliveryOut(msgspec.Struct, frozen=True):
    """One message to one webhook. `dead`: no try is left; replay it. `last_error`: a word, never what was answered."""

    id: str
    message_id: str
    event: str
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    next_attempt_at: Time | None
    created_at: Time
    last_attempt_at: Time | None
    finished_at: Time | None
    last_status: int | None
    last_error: str | None


class DeliveriesOut(msgspec.Struct, frozen=True):
    """The newest first. `next`: the value of `before` for those that follow."""

    deliveries: tuple[DeliveryOut, ...]
    next: str | None


class ToldDecision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message tells of a decision; `outcome` where one became known."""

    decision_id: str
    entity_type: str
    entity_id: str
    score: int
    decision: Literal["APPROVE", "REVIEW", "DECLINE"]
    outcome: Outcome | None = None


class WebhookMessage(msgspec.Struct, frozen=True):
    """The body that a webhook is sent. `timestamp`: when it happened."""

    event: EventName
    data: ToldDecision
    timestamp: Time


class TestedWebhook(msgspec.Struct, frozen=True):
    """Which webhook the test was asked for."""

    webhook_id: str


class WebhookTestMessage(msgspec.Struct, frozen=True):
    """The body of a test. `timestamp`: when it was asked for."""

    event: Literal["webhook.test"]
    data: TestedWebhook
    timestamp: Time
