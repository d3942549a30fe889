"""From the body of a purchase to the request that is decided: strict, cleaned, personal fields sealed."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec

from fradect.decide import Request
from fradect.errors import InvalidInput
from fradect.events import clean, clean_text, domain_of, holds_card_number
from fradect.faults import Fault, Reason
from fradect.features.globe import NOWHERE
from fradect.intake import NOT_IN_ANY_RANGE, IpRanges
from fradect.modules.declaration import Field, FieldType
from fradect.modules.ecommerce import MODULE, REQUEST_PATHS
from fradect.money import exponent_of, to_minor
from fradect.ports import Vault
from fradect.types import Event, Value
from serving.schemas import PurchaseRequest
from serving.typed import moment_of, typed

_GAPS = re.compile(r"[ -]")
# Visa, Mastercard, Mir, American Express, UnionPay, Discover.
_ISSUED = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|220[0-4]\d{12}|3[47]\d{13}"
    r"|62\d{14}|(?:6011|65\d\d)\d{12}",
    re.ASCII,
)
_json = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Received:
    """Whose request it is, when it came (UTC microseconds), and its id."""

    tenant_id: str
    at: int
    request_id: str


def request_of(
    body: Any, received: Received, vault: Vault, base_currency: str, ranges: IpRanges | None = None
) -> Request:
    """InvalidInput names the field as the caller wrote it. Nothing is stored yet, and no clear personal text left.

    What the caller says makes a repeat the same request, not what `ranges` says of the address at the time.
    """
    asked = _typed(body)
    event_id = _event_id(asked.transaction.transaction_id)
    fields = _fields(asked, received.at)
    amount = _amount(asked.transaction.amount, str(fields["currency"]), base_currency)
    happened = moment_of("transaction.event_time", asked.transaction.event_time, received.at)
    tokens, ciphers = _sealed(asked, received.tenant_id, event_id, vault)
    explain = asked.options.include_factors
    meant = {**fields, **tokens, "amount": amount, "event_time": happened, "include_factors": explain}
    event = Event(
        event_id=event_id,
        tenant_id=received.tenant_id,
        module=MODULE.name,
        event_time=received.at if happened is None else happened,
        observed_at=received.at,
        fields={
            **fields,
            **_located(fields, ranges),
            **_taken(asked),
            **tokens,
            **ciphers,
            "amount": amount,
            "amount_base": amount,
        },
    )
    return Request(event, received.request_id, hashlib.sha256(_json.encode(meant)).hexdigest(), explain)


def _typed(body: Any) -> PurchaseRequest:
    asked = typed(body, PurchaseRequest)
    if asked.options.async_:
        raise InvalidInput("options.async: answers come at once; send false, or leave it out", "options.async")
    return asked


def _fields(asked: PurchaseRequest, now: int) -> dict[str, Value]:
    """Every canonical field that is neither money nor personal, None where the caller left it out."""
    fields: dict[str, Value] = {}
    for field, path, read in _PLAIN:
        text = read(asked)
        if field.type is FieldType.TIME:
            fields[field.name] = moment_of(path, text, now)
        else:
            fields[field.name] = None if text is None else _text(path, field, text) or None
        if fields[field.name] is None and field.required:
            raise Fault(Reason.MISSING, "send it", path)
    return fields


def _located(fields: Mapping[str, Value], ranges: IpRanges | None) -> dict[str, Value]:
    """Country and place of the address; the caller's word on the country goes before the table's."""
    ip = fields["ip"]
    found = ranges.of(ip) if ranges is not None and isinstance(ip, str) else NOT_IN_ANY_RANGE
    place = None if found.place == NOWHERE else found.place
    return {"ip_country": fields["ip_country"] or found.country, "ip_place": place}


def _taken(asked: PurchaseRequest) -> dict[str, Value]:
    """What is kept of personal fields in clear, since it is nobody's own: the domain of the e-mail address."""
    given = ((name, read(asked)) for name, read in _TAKEN)
    return {name: None if text is None else domain_of(text) for name, text in given}


def _sealed(
    asked: PurchaseRequest, tenant_id: str, event_id: str, vault: Vault
) -> tuple[dict[str, Value], dict[str, Value]]:
    """Tokens and ciphertexts of the personal fields."""
    tokens: dict[str, Value] = {}
    ciphers: dict[str, Value] = {}
    for field, path, read in _PERSONAL:
        given = read(asked)
        text = None if given is None else _text(path, field, given)
        tokens[f"{field.name}_token"] = vault.token(tenant_id, field.name, text) if text else None
        ciphers[f"{field.name}_cipher"] = vault.seal(tenant_id, field.name, event_id, text) if text else None
    return tokens, ciphers


def _text(path: str, field: Field, text: str) -> str:
    try:
        return clean(field, text)
    except Fault as fault:
        raise fault.at(path) from None


def _event_id(text: str) -> str:
    """Order numbers are long, and one in ten of any digits passes the Luhn check: only what an issuer could have
    given out counts as a card number here."""
    path = "transaction.transaction_id"
    try:
        cleaned = clean_text(text, may_be_number=True)
    except Fault as fault:
        raise fault.at(path) from None
    if not cleaned:
        raise Fault(Reason.MISSING, "send an id of your own", path)
    if _ISSUED.fullmatch(_GAPS.sub("", cleaned)) and holds_card_number(cleaned):
        raise Fault(Reason.CARD, "send an id of your own; numbers of cards are never stored", path)
    return cleaned


def _amount(amount: Any, currency: str, base_currency: str) -> int:
    """Minor units; the amount in the base currency is the same number, since no other currency has a rate here."""
    path = "transaction.amount"
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise InvalidInput(f"{path}: Expected `number`, got `{_JSON_NAMES.get(type(amount), 'other')}`", path)
    if isinstance(amount, Decimal) and amount.is_signed():
        raise Fault(Reason.NEGATIVE, "refunds are outcomes, not amounts below zero", path)
    if currency != base_currency:
        raise Fault(Reason.NO_RATE, f"send amounts in {base_currency}", "transaction.currency")
    try:
        return to_minor(amount, exponent_of(currency))
    except Fault as fault:
        raise fault.at(path) from None


_JSON_NAMES: Mapping[type, str] = {bool: "bool", str: "str", list: "array", dict: "object", type(None): "null"}
_Reader = Callable[[PurchaseRequest], str | None]


def _readers(*, personal: bool) -> Iterator[tuple[Field, str, _Reader]]:
    for field in MODULE.fields:
        path = REQUEST_PATHS.get(field.name)
        if path is None or field.type is FieldType.MONEY or (field.type is FieldType.PERSONAL) != personal:
            continue
        yield field, path, attrgetter(path)


_PLAIN = tuple(_readers(personal=False))
_PERSONAL = tuple(_readers(personal=True))
_TAKEN = tuple((name, attrgetter(REQUEST_PATHS[of])) for name, of in MODULE.taken)
