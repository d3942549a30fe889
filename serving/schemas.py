"""What callers may send. Strict: unknown fields and wrong types are refused; texts are cleaned afterwards.

What was read from JSON never holds itself, so that the garbage collector need not know of it.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

Number = Annotated[Any, Meta(extra_json_schema={"type": "number"})]  # int or Decimal, told apart by hand
Id = Annotated[str, Meta(min_length=1, max_length=256)]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=1024)]
Code = Annotated[str, Meta(min_length=2, max_length=3)]
Time = Annotated[str, Meta(max_length=40, extra_json_schema={"format": "date-time"})]


class Device(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the order was placed with. Without `ip_country` the operator's table of IP ranges says it, if any does."""

    id: Id | None = None
    ip: Text | None = None
    ip_country: Code | None = None
    browser: Text | None = None


class Card(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How it is paid: a token, never a number."""

    token: Id | None = None
    country: Code | None = None


class Address(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where the goods go. The text is stored encrypted."""

    country: Code | None = None
    text: Text | None = None


class Customer(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Who buys. E-mail, telephone and name are stored encrypted."""

    email: Text | None = None
    phone: Text | None = None
    full_name: Text | None = None
    signup_at: Time | None = None


class Transaction(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A purchase. `amount` is in major units of `currency`; without `event_time` it happens on receipt."""

    transaction_id: EventId
    amount: Number
    currency: Code
    customer_id: Id
    merchant_id: Id | None = None
    event_time: Time | None = None
    payment_method: Text | None = None
    source: Text | None = None
    device: Device = Device()
    card: Card = Card()
    shipping_address: Address = Address()
    customer: Customer = Customer()


class Context(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where the order was placed."""

    channel: Text | None = None


class Options(Struct, frozen=True, forbid_unknown_fields=True, gc=False, rename={"async_": "async"}):
    """`include_factors`: false spares the cost of the model's exact contributions."""

    include_factors: bool = True
    async_: bool = False


class PurchaseRequest(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The body of `POST /api/v1/ecommerce/score`."""

    transaction: Transaction
    context: Context = Context()
    options: Options = Options()
