"""What callers may send. Strict: unknown fields and wrong types are refused; texts are cleaned afterwards.

What was read from JSON never holds itself, so that the garbage collector need not know of it.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

# Told to callers, and judged where the value is used: what is wrong with it is said better there.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
PRINTED = {"pattern": f"^[^{_CONTROLS}]*$"}
NOT_BLANK = {"pattern": rf"^[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*$"}
_DAY, _HOUR = "(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
TIME = {"format": "date-time", "pattern": f"^{_DAY}[Tt ]{_HOUR}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})$"}
DAY = {"format": "date", "pattern": f"^{_DAY}$"}

Number = Annotated[Any, Meta(extra_json_schema={"type": "number", "minimum": 0})]  # int or Decimal, told apart by hand
Id = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=PRINTED)]
OneId = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=NOT_BLANK)]
LONGEST_ID = 128  # of a transaction
EventId = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, extra_json_schema=NOT_BLANK)]
Text = Annotated[str, Meta(max_length=1024, extra_json_schema=PRINTED)]
Currency = Annotated[str, Meta(min_length=2, max_length=3, extra_json_schema={"pattern": "^[A-Za-z]{3}$"})]
Country = Annotated[str, Meta(min_length=2, max_length=3, extra_json_schema={"pattern": "^[A-Za-z]{2}$"})]
Time = Annotated[str, Meta(max_length=40, extra_json_schema=TIME)]


class Device(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the order was placed with. Without `ip_country` the operator's table of IP ranges says it, if any does."""

    id: Id | None = None
    ip: Text | None = None
    ip_country: Country | None = None
    browser: Text | None = None


class Card(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How it is paid: a token, never a number."""

    token: Id | None = None
    country: Country | None = None


class Address(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where the goods go. The text is stored encrypted."""

    country: Country | None = None
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
    currency: Currency
    customer_id: OneId
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
