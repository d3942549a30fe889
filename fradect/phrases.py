"""What a feature's value says about an event, as an analyst would put it. Windows speak for themselves; the rest is
written down here by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fradect.features.contract import Aggregate, Feature, Window
from fradect.types import DAY, HOUR, MINUTE

VALUE = "{}"
UNKNOWN = ": unknown"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence with the value at its `{}`, and what is said where there is none.

    `one` and `none` say 1 and 0 where they are said differently; `subject` is what it is about, where `text` does
    not begin with that; `compared`: whether to add what is usual.
    """

    text: str
    missing: str
    one: str = ""
    none: str = ""
    subject: str = ""
    compared: bool = True

    @property
    def about(self) -> str:
        """What the value says something of, to be followed by ": unknown"."""
        return self.subject or self.missing.removesuffix(UNKNOWN)


def phrase_of(feature: Feature) -> Phrase:
    """Total: a feature that nobody found words for says its meaning and its value."""
    if feature.window is not None:
        return _of_window(feature.window)
    known = _BY_NAME.get(feature.name)
    return _led(feature.meaning, f"{feature.meaning}{UNKNOWN}") if known is None else known


def _of_window(window: Window) -> Phrase:
    if window.outcome is not None:
        return _of_outcomes(window)
    span = _span(window.length)
    when = f"in {span}" if window.include_self else f"in the {span} before this one"
    none = f"no earlier purchase {_by(window.entity)} in {span}"
    return _BY_AGGREGATE[window.aggregate](window, f"{_by(window.entity)} {when}", none)


def _of_outcomes(window: Window) -> Phrase:
    about = f"{_by(window.entity)} whose outcome matured in the last {_span(window.length)}"
    if window.aggregate is Aggregate.COUNT:
        return _counted("purchase", about, f"purchases {about}{UNKNOWN}")
    text = f"{VALUE} {window.outcome} among purchases {about}"
    return Phrase(text, f"no purchase {about}", subject=f"share of {window.outcome} among purchases {about}")


def _counted(noun: str, about: str, missing: str) -> Phrase:
    several = f"{_several(noun)} {about}"
    return Phrase(f"{VALUE} {several}", missing, f"{VALUE} {noun} {about}", subject=several)


def _led(subject: str, missing: str) -> Phrase:
    return Phrase(f"{subject}: {VALUE}", missing, subject=subject)


def _followed(noun: str, how: str, about: str, missing: str) -> Phrase:
    return Phrase(f"{VALUE} {how} {about}", missing, subject=f"{noun} {how} {about}")


def _distinct(window: Window, about: str, none: str) -> Phrase:
    noun = _NOUNS.get(str(window.of), str(window.of))
    return _counted(noun, about.replace(_by(window.entity), _WITH.get(window.entity, _by(window.entity))), none)


_Worded = Callable[[Window, str, str], Phrase]

_BY_AGGREGATE: Mapping[Aggregate, _Worded] = MappingProxyType(
    {
        Aggregate.COUNT: lambda _, about, none: _counted("purchase", about, none),
        Aggregate.SUM: lambda _, about, none: Phrase(f"{VALUE} spent {about}", none, subject=f"amount spent {about}"),
        Aggregate.MEAN: lambda _, about, none: _led(f"mean purchase {about}", none),
        Aggregate.MAX: lambda _, about, none: _led(f"largest purchase {about}", none),
        Aggregate.MIN: lambda _, about, none: _led(f"smallest purchase {about}", none),
        Aggregate.SHARE: lambda _, about, none: _led(f"share of purchases {about}", none),
        Aggregate.DISTINCT: _distinct,
        Aggregate.SINCE_LAST: lambda w, _, none: _followed(
            "time", "since", f"the previous purchase {_by(w.entity)}", none
        ),
        Aggregate.KM_SINCE_LAST: lambda w, _, none: _followed(
            "distance", "from", f"the place of the previous purchase {_by(w.entity)}", f"{none} whose place is known"
        ),
    }
)


_ENTITIES: Mapping[str, str] = MappingProxyType(
    {
        "customer": "by this customer",
        "merchant": "at this merchant",
        "device": "on this device",
        "card": "with this card",
        "address": "to this address",
        "ip": "from this IP address",
    }
)
_WITH: Mapping[str, str] = MappingProxyType(
    {"customer": "used by this customer", "card": "for this card", "address": "for this address"}
)
"""What was seen together with an entity is said otherwise than what was bought."""

_NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "customer_id": "customer",
        "merchant_id": "merchant",
        "device_id": "device",
        "card_token": "card",
        "shipping_address_token": "address",
        "ip": "IP address",
    }
)


def _by(entity: str) -> str:
    return _ENTITIES.get(entity, f"of this {entity}")


def _several(noun: str) -> str:
    return noun + ("es" if noun.endswith("s") else "s")


def _span(length: int) -> str:
    if length > DAY and length % DAY == 0:
        return f"{length // DAY} days"
    return f"{length // HOUR} h" if length % HOUR == 0 else f"{length // MINUTE} min"


def _differs(one: str, other: str) -> Phrase:
    same, another = (f"{one} is in {which} country {than} {other}" for which, than in _SAME_AND_ANOTHER)
    return Phrase(VALUE, f"countries of {one} and {other}{UNKNOWN}", another, same, compared=False)


def _multiple(what: str, of: str) -> Phrase:
    return Phrase(f"{what} {VALUE} times {of}", f"{what} against {of}{UNKNOWN}")


def _flag(no: str, yes: str, missing: str) -> Phrase:
    return Phrase(VALUE, f"{missing}{UNKNOWN}", yes, no, compared=False)


_SAME_AND_ANOTHER = (("the same", "as"), ("another", "than"))
_MEAN = "this customer's mean of the 30 days before"
_LARGEST = "this customer's largest purchase of the {} days before"
_GOODS = "the goods' destination"
_UP_TO = "up to last midnight UTC"
_AS_KNOWN = "as known last midnight UTC"

_BY_NAME: Mapping[str, Phrase] = MappingProxyType(
    {
        "amount": Phrase(f"amount of {VALUE}", f"amount{UNKNOWN}"),
        "payment_method": _led("payment method", f"payment method{UNKNOWN}"),
        "channel": _led("channel", f"channel{UNKNOWN}"),
        "hour": Phrase(f"ordered at {VALUE} UTC", f"hour of the day{UNKNOWN}", compared=False),
        "weekend": _flag("on a weekday, UTC", "at a weekend, UTC", "day of the week"),
        "night": _flag("by day, UTC", "at night, 0:00 to 7:00 UTC", "hour of the day"),
        "account_age": Phrase(f"account opened {VALUE} ago", f"age of the account{UNKNOWN}"),
        "ip_differs_billing": _differs("the IP address", "the card"),
        "ip_differs_shipping": _differs("the IP address", _GOODS),
        "billing_differs_shipping": _differs("the card", _GOODS),
        "amount_to_customer_mean": _multiple("amount", _MEAN),
        "amount_to_customer_max_7d": _multiple("amount", _LARGEST.format(7)),
        "amount_to_customer_max_30d": _multiple("amount", _LARGEST.format(30)),
        "customer_max_3d_to_mean": _multiple("largest purchase of 3 days", _MEAN),
        "customer_max_7d_to_mean": _multiple("largest purchase of 7 days", _MEAN),
        "amount_to_merchant_mean": _multiple("amount", "this merchant's mean of 24 h"),
        "velocity_jump": Phrase(
            f"{VALUE} of this customer's purchases of 7 days were made in the last hour",
            f"share of the last hour in this customer's purchases of 7 days{UNKNOWN}",
        ),
        "customer_speed": Phrase(
            f"{VALUE} to get here from the place of this customer's previous purchase",
            f"speed from the place of this customer's previous purchase{UNKNOWN}",
        ),
        "geolocation_risk_score": Phrase(f"geolocation risk {VALUE}", f"geolocation risk{UNKNOWN}"),
        "total_orders": _counted(
            "purchase", f"by this customer {_UP_TO}", f"purchases by this customer {_UP_TO}{UNKNOWN}"
        ),
        "avg_order_value": _led(f"mean purchase by this customer {_UP_TO}", f"no purchase by this customer {_UP_TO}"),
        "return_rate": Phrase(
            f"{VALUE} of this customer's purchases returned, {_AS_KNOWN}",
            f"no purchase by this customer whose return was known, {_AS_KNOWN}",
            subject=f"share of this customer's purchases returned, {_AS_KNOWN}",
        ),
        "fraud_history": _counted(
            "confirmed fraud", f"by this customer, {_AS_KNOWN}", f"fraud of this customer, {_AS_KNOWN}{UNKNOWN}"
        ),
    }
)
