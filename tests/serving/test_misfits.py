"""What does not fit is told by its own field, in our words, with what to send instead."""

from typing import Any

import pytest

from fradect.errors import InvalidInput
from serving.decisions import OutcomeRequest
from serving.schemas import PurchaseRequest
from serving.strict_json import read
from serving.typed import typed
from serving.webhook_schemas import RotateRequest, WebhookRequest

WHOLE = {"transaction_id": "t", "amount": 1, "currency": "RUB", "customer_id": "c"}


def _bought(**changes: Any) -> dict[str, Any]:
    return {"transaction": {**WHOLE, **changes}}


MISFITS: dict[str, tuple[type, Any, str | None, str]] = {
    "nothing": (PurchaseRequest, {}, "transaction", "required value missing; send it, as an object"),
    "a list": (PurchaseRequest, [], None, "the body: it is a list; send an object"),
    "no amount": (PurchaseRequest, {"transaction": {"transaction_id": "t"}}, "transaction.amount", "as a number"),
    "no word": (OutcomeRequest, {}, "outcome", "as one of confirmed_fraud, "),
    "unknown": (PurchaseRequest, _bought(foo=1), "transaction.foo", "no such field; leave it out"),
    "misspelt": (PurchaseRequest, _bought(merchantid="m"), "transaction.merchantid", "mean transaction.merchant_id?"),
    "elsewhere": (PurchaseRequest, {"amount": 1}, "amount", "did you mean transaction.amount?"),
    "deep": (PurchaseRequest, _bought(device={"x": 1}), "transaction.device.x", "leave it out"),
    "a wrong word": (OutcomeRequest, {"outcome": "fraud"}, "outcome", "it is 'fraud'; send one of confirmed_fraud, "),
    "in a list": (WebhookRequest, {"url": "u", "events": ["a"]}, "events[0]", "'a'; send one of risk.decision.created"),
    "no list": (WebhookRequest, {"url": "u", "events": "a"}, "events", "it is a text; send a list"),
    "an empty list": (WebhookRequest, {"url": "u", "events": []}, "events", "send at least 1 item"),
    "no text": (
        PurchaseRequest,
        _bought(merchant_id=5),
        "transaction.merchant_id",
        "send a text, in quotation marks, or",
    ),
    "null": (PurchaseRequest, _bought(device=None), "transaction.device", "send an object, or leave it out"),
    "too long": (PurchaseRequest, _bought(customer_id="c" * 300), "transaction.customer_id", "at most 256 characters"),
    "no code": (PurchaseRequest, _bought(currency="RUBLE"), "transaction.currency", "three letters, such as RUB"),
    "too small": (RotateRequest, {"overlap_seconds": -1}, "overlap_seconds", "it is below 0; send 0 or more"),
    "too large": (RotateRequest, {"overlap_seconds": 10**9}, "overlap_seconds", "send 604800 or less, or leave it out"),
    "a fraction": (
        RotateRequest,
        read(b'{"overlap_seconds": 1.5}'),
        "overlap_seconds",
        "fraction; send a whole number",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_told_by_its_own_field_with_the_remedy(name: str) -> None:
    kind, body, field, words = MISFITS[name]
    with pytest.raises(InvalidInput) as told:
        typed(body, kind)
    assert told.value.field == field
    assert words in str(told.value)
    assert "`" not in str(told.value)


def test_a_card_number_is_not_repeated_where_a_word_belongs() -> None:
    with pytest.raises(InvalidInput) as told:
        typed({"outcome": "4111 1111 1111 1111"}, OutcomeRequest)
    assert "4111" not in str(told.value)
    assert "confirmed_fraud" in str(told.value)


@pytest.mark.parametrize(
    ("raw", "field"), [(b'{"a": {"b": NaN}}', "a.b"), (b'{"a": [1, {"b": -Infinity}]}', "a[1].b"), (b"NaN", None)]
)
def test_what_is_no_number_is_told_where_it_stands(raw: bytes, field: str | None) -> None:
    with pytest.raises(InvalidInput, match=r"is no number; send a finite one$") as told:
        read(raw)
    assert told.value.field == field
