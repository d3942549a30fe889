"""From the body of a purchase to the request that is decided: strict, cleaned, personal fields sealed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from fradect.decide import Request
from fradect.errors import InvalidInput
from fradect.events import clean_text, domain_of, law_of
from fradect.faults import Fault, Reason
from fradect.features.globe import NOWHERE
from fradect.intake import NOT_IN_ANY_RANGE, IpRanges
from fradect.modules.declaration import Field, FieldType
from fradect.modules.ecommerce import MODULE, REQUEST_PATHS
from fradect.money import exponent_of, to_minor
from fradect.ports import DataKey, Vault
from fradect.types import Event, Value
from serving.misfits import shown
from serving.schemas import PurchaseRequest
from serving.typed import moment_of, typed

_json = msgspec.json.Encoder(order="deterministic")


class Received(msgspec.Struct, frozen=True):
    """Whose request it is, when it came (UTC microseconds), and its id."""

    tenant_id: str
    at: int
    request_id: str


class AsksLater(InvalidInput):
    """It is to be decided in the background; where that has no meaning, it is wrong."""

    def __init__(self) -> None:
        super().__init__("options.async: it has no meaning here; send false, or leave it out", "options.async")


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
    whose = (received.tenant_id, str(fields["customer_id"]), event_id)
    tokens, ciphers, data_key = _sealed(asked, whose, vault)
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
    digest = hashlib.sha256(_json.encode(meant)).hexdigest()
    return Request(event, received.request_id, digest, explain, data_key=data_key)


def _typed(body: Any) -> PurchaseRequest:
    asked = typed(body, PurchaseRequest)
    if asked.options.async_:
        raise AsksLater
    return asked


def _fields(asked: PurchaseRequest, now: int) -> dict[str, Value]:
    """Every canonical field that is neither money nor personal, None where the caller left it out."""
    fields: dict[str, Value] = {**_texts(asked, _TEXTS)}
    for one in _TIMES:
        fields[one.name] = moment_of(one.path, one.read(asked), now)
    return fields


def _located(fields: Mapping[str, Value], ranges: IpRanges | None) -> dict[str, Value]:
    """Country and place of the address; the caller's word on the country goes before the table's."""
    ip = fields["ip"]
    found = ranges.of(ip) if ranges is not None and isinstance(ip, str) else NOT_IN_ANY_RANGE
    place = None if found.place == NOWHERE else found.place
    return {"ip_country": fields["ip_country"] or found.country, "ip_place": place}


def _taken(asked: PurchaseRequest) -> dict[str, Value]:
    """What is kept of personal fields in clear, since it is nobody's own: the domain of the e-mail address."""
    return {name: None if (text := read(asked)) is None else domain_of(text) for name, read in _TAKEN}


def _sealed(
    asked: PurchaseRequest, whose: tuple[str, str, str], vault: Vault
) -> tuple[dict[str, Value], dict[str, Value], DataKey | None]:
    """Tokens and ciphertexts of the personal fields, and the customer's key that they are sealed under."""
    tenant_id, customer, event_id = whose
    tokens: dict[str, Value] = {}
    ciphers: dict[str, Value] = {}
    key: DataKey | None = None
    for name, text in _texts(asked, _PERSONAL).items():
        if text is None:
            tokens[f"{name}_token"] = ciphers[f"{name}_cipher"] = None
            continue
        key = key or vault.key_of(tenant_id, customer)
        tokens[f"{name}_token"] = vault.token(tenant_id, name, text)
        ciphers[f"{name}_cipher"] = key.seal(name, event_id, text)
    return tokens, ciphers, key


def _texts(asked: PurchaseRequest, fields: "tuple[_Sent, ...]") -> dict[str, str | None]:
    """As they are stored; None for one that was left out, or is blank."""
    texts: dict[str, str | None] = {}
    for one in fields:
        given = one.read(asked)
        try:
            text = texts[one.name] = (given and one.law(given)) or None
        except Fault as fault:
            raise fault.at(one.path) from None
        if text is None and one.required:
            raise Fault(Reason.MISSING, "send it", one.path)
    return texts


def _event_id(text: str) -> str:
    """Order numbers are ids: long numbers of digits alone, one in ten of which passes the Luhn check."""
    path = "transaction.transaction_id"
    try:
        cleaned = clean_text(text, is_id=True)
    except Fault as fault:
        raise fault.at(path) from None
    if not cleaned:
        raise Fault(Reason.MISSING, "send an id of your own", path)
    return cleaned


def _amount(amount: Any, currency: str, base_currency: str) -> int:
    """Minor units; the amount in the base currency is the same number, since no other currency has a rate here."""
    path = "transaction.amount"
    kind = type(amount)
    if kind is not Decimal and kind is not int:
        raise _no_number(path, amount)
    if kind is Decimal and amount.is_signed():
        raise Fault(Reason.NEGATIVE, "refunds are outcomes, not amounts below zero", path)
    if currency != base_currency:
        raise Fault(Reason.NO_RATE, f"send amounts in {base_currency}", "transaction.currency")
    try:
        return to_minor(amount, exponent_of(currency))
    except Fault as fault:
        raise fault.at(path) from None


def _no_number(path: str, amount: Any) -> InvalidInput:
    given = shown(amount) if isinstance(amount, str) else None
    said = f"the text {given}" if given else _JSON_NAMES.get(type(amount), "no number")
    return InvalidInput(f"{path}: it is {said}; send a number, such as 1999.90, without quotation marks", path)


_JSON_NAMES: Mapping[type, str] = {
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_CODED = frozenset({FieldType.CATEGORY, FieldType.CURRENCY, FieldType.COUNTRY})
_MOST_CODES = 256


@dataclass(frozen=True, slots=True)
class _Sent:
    """A canonical field as callers send it."""

    name: str
    type: FieldType
    required: bool
    path: str
    read: Callable[[PurchaseRequest], str | None]
    law: Callable[[str], str]


def _sent(field: Field) -> _Sent:
    path, law = REQUEST_PATHS[field.name], law_of(field)
    if field.type in _CODED:  # the same few again and again
        law = lru_cache(_MOST_CODES)(law)
    return _Sent(field.name, field.type, field.required, path, attrgetter(path), law)


_SENT = tuple(_sent(field) for field in MODULE.fields if field.name in REQUEST_PATHS)
_PERSONAL = tuple(one for one in _SENT if one.type is FieldType.PERSONAL)
_TIMES = tuple(one for one in _SENT if one.type is FieldType.TIME)
_TEXTS = tuple(one for one in _SENT if one.type not in {FieldType.PERSONAL, FieldType.TIME, FieldType.MONEY})
_TAKEN = tuple((name, attrgetter(REQUEST_PATHS[of])) for name, of in MODULE.taken)
