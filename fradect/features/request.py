"""Features of the event alone, and those derived from live ones: one function for a row and for a frame.

A frame maps names to columns of equal length: event fields (text as object arrays with None, `amount_base` and
times as int64, where a time of `NO_TIME` is missing), and float64 feature columns already computed.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.windows import Floats, Ints
from fradect.types import DAY, HOUR

Column = npt.NDArray[np.generic]
Frame = Mapping[str, Column]

NO_TIME = int(np.iinfo(np.int64).min)


def request_features(contract: Contract, frame: Frame) -> dict[str, Floats]:
    """The contract's request features, one float64 array each; categories become their position, unknown NaN."""
    return {f.name: _request(f, frame) for f in contract.of_kind(Kind.REQUEST)}


def derived_features(contract: Contract, frame: Frame) -> dict[str, Floats]:
    """The contract's derived features; `frame` holds its request and live features under their names."""
    return {f.name: _DERIVED[f.name](frame) for f in contract.of_kind(Kind.DERIVED)}


def _request(feature: Feature, frame: Frame) -> Floats:
    if feature.categories:
        code = {category: float(i) for i, category in enumerate(feature.categories)}
        return np.array([code.get(value, np.nan) for value in frame[feature.name]], np.float64)
    if feature.name not in _REQUEST:
        raise InvalidInput(f"no request feature is called {feature.name!r}: add it to fradect/features/request.py")
    return _REQUEST[feature.name](frame)


def _hour(frame: Frame) -> Floats:
    return (_times(frame, "event_time") % DAY // HOUR).astype(np.float64)


def _weekend(frame: Frame) -> Floats:
    weekday = (_times(frame, "event_time") // DAY + 3) % 7  # 1970-01-01 was a Thursday
    return (weekday >= 5).astype(np.float64)


def _night(frame: Frame) -> Floats:
    return (_hour(frame) <= 6).astype(np.float64)


def _account_age(frame: Frame) -> Floats:
    signup = _times(frame, "signup_at")
    age = (_times(frame, "event_time") - np.where(signup == NO_TIME, 0, signup)) / DAY
    known: Floats = np.where(signup == NO_TIME, np.nan, age)
    return known


def _differ(one: str, other: str) -> Callable[[Frame], Floats]:
    def differ(frame: Frame) -> Floats:
        return np.array(
            [
                np.nan if a is None or b is None else float(a != b)
                for a, b in zip(frame[one], frame[other], strict=True)
            ],
            np.float64,
        )

    return differ


def _ratio(over: str, under: str) -> Callable[[Frame], Floats]:
    def ratio(frame: Frame) -> Floats:
        top, bottom = _floats(frame, over), _floats(frame, under)
        quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        return quotient

    return ratio


def _times(frame: Frame, name: str) -> Ints:
    return np.asarray(frame[name], np.int64)


def _floats(frame: Frame, name: str) -> Floats:
    return np.asarray(frame[name], np.float64)


_REQUEST: Mapping[str, Callable[[Frame], Floats]] = {
    "amount": lambda frame: _floats(frame, "amount_base"),
    "hour": _hour,
    "weekend": _weekend,
    "night": _night,
    "account_age": _account_age,
    "ip_differs_billing": _differ("ip_country", "billing_country"),
    "ip_differs_shipping": _differ("ip_country", "shipping_country"),
    "billing_differs_shipping": _differ("billing_country", "shipping_country"),
}

_DERIVED: Mapping[str, Callable[[Frame], Floats]] = {
    "amount_to_customer_mean": _ratio("amount", "customer_amount_mean_30d_before"),
    "amount_to_customer_max_7d": _ratio("amount", "customer_amount_max_7d_before"),
    "amount_to_customer_max_30d": _ratio("amount", "customer_amount_max_30d_before"),
    "customer_max_3d_to_mean": _ratio("customer_amount_max_3d", "customer_amount_mean_30d_before"),
    "customer_max_7d_to_mean": _ratio("customer_amount_max_7d", "customer_amount_mean_30d_before"),
    "amount_to_merchant_mean": _ratio("amount", "merchant_amount_mean_1d"),
    "velocity_jump": _ratio("customer_count_1h", "customer_count_7d"),
}

# Which event fields a request feature reads, where that is not its own name: what history must load for it.
READS: Mapping[str, tuple[str, ...]] = {
    "amount": ("amount_base",),
    "hour": (),
    "weekend": (),
    "night": (),
    "account_age": ("signup_at",),
    "ip_differs_billing": ("ip_country", "billing_country"),
    "ip_differs_shipping": ("ip_country", "shipping_country"),
    "billing_differs_shipping": ("billing_country", "shipping_country"),
}


def fields_read(contract: Contract) -> tuple[str, ...]:
    """Event fields that the contract's request features read, beside `event_time`."""
    names = {n for f in contract.of_kind(Kind.REQUEST) for n in READS.get(f.name, (f.name,))}
    return tuple(sorted(names))
