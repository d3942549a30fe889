"""`GET /api/v1/customers/{customer_id}/export`: a page of what is held, and where the next one starts."""

import base64
import binascii
from typing import Any

import msgspec
from starlette.requests import Request

from fradect.customers import Export, Reached
from fradect.deliveries import written
from fradect.errors import InvalidInput
from fradect.outcomes import Place
from serving.decision_list import Given

MOST, USUAL = 500, 100
_MICROS = 1 << 60


class CustomerExport(msgspec.Struct, frozen=True):
    """A page of all that is held of a customer. `customer`: the row that the flow `customers` keeps. `purchases` were
    decided here, the newest first, each with its fields, its answer and what was told; `events` came by imports and
    streams. Amounts are in minor units. Personal fields are in clear; null where their key was destroyed. `sources`
    says what was looked through: the log only where it lies on the service's machine. `next`: the `cursor` of the
    page that follows, null after the last."""

    customer: dict[str, Any] | None
    purchases: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]
    sources: tuple[str, ...]
    next: str | None


def wanted_of(request: Request) -> tuple[int, Reached | None]:
    """How many at most, and from where on."""
    given = Given(request)
    most, cursor = given.number("limit", 1, MOST) or USUAL, given.text("cursor", 2048)
    given.check_empty()
    return most, None if cursor is None else _reached(cursor)


def page_of(page: Export, reached: Reached | None) -> CustomerExport:
    """The body of the answer."""
    after = None if reached is None else _cursor(reached)
    return CustomerExport(_customer(page), page.purchases, page.events, page.sources, after)


def _customer(page: Export) -> dict[str, Any] | None:
    if page.customer is None:
        return None
    told: dict[str, Any] = msgspec.to_builtins(page.customer)
    logged = told["logged"]
    for holder, name in (*((told, n) for n in ("created_at", "updated_at")), *((logged, n) for n in _LOGGED)):
        holder[name] = None if holder[name] is None else written(holder[name])
    return told


_LOGGED = ("first_at", "last_at", "last_fraud_at")


def _cursor(reached: Reached) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(reached)).decode().rstrip("=")


def _reached(cursor: str) -> Reached:
    """InvalidInput for what we did not give out. It names places and nothing else: whose they are is the key's word."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(raw, type=tuple[tuple[int, str] | None, int])
        text = "" if found[0] is None else found[0][1]
    except (binascii.Error, ValueError):
        found, text = (None, -1), ""
    numbers = (found[1], *(found[0] or ())[:1])
    if not all(0 <= number < _MICROS for number in numbers) or len(text) > 256 or "\x00" in text:
        raise InvalidInput("cursor: give the `next` of a page as it was, or leave it out", "cursor")
    return Reached(None if found[0] is None else Place(*found[0]), found[1])
