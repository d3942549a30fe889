"""Features of the event alone, and those derived from others: a form for a row and one for a frame, side by side.

A row maps names to plain values, None where unknown. A frame maps names to columns of equal length: event fields
(text as object arrays with None, money and times as int64, where a time of `NO_TIME` is missing), and float64
feature columns already computed. Both forms give the same bits (tests/features/test_request.py).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.geolocation import frame_risk, frame_speed, row_risk, row_speed
from fradect.features.windows import Floats, Ints
from fradect.types import DAY, HOUR, Value

Column = npt.NDArray[np.generic]
Frame = Mapping[str, Column]
Row = Mapping[str, Value]

NO_TIME = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True)
class Formula:
    """How a feature is computed, and the event fields that it reads beside `event_time`."""

    row: Callable[[Row], float]
    frame: Callable[[Frame], Floats]
    reads: tuple[str, ...] = ()


def request_features(contract: Contract, frame: Frame) -> dict[str, Floats]:
    """The contract's request features, one float64 array each; categories become their position, unknown NaN."""
    return {f.name: formula(f).frame(frame) for f in contract.of_kind(Kind.REQUEST)}


def derived_features(contract: Contract, frame: Frame) -> dict[str, Floats]:
    """The contract's derived features; `frame` holds its request and live features under their names."""
    return {f.name: formula(f).frame(frame) for f in contract.of_kind(Kind.DERIVED)}


def formula(feature: Feature) -> Formula:
    """InvalidInput for a feature that nobody wrote a formula for."""
    if feature.categories:
        return _category(feature)
    formulas = _DERIVED if feature.kind is Kind.DERIVED else _REQUEST
    if feature.name not in formulas:
        raise InvalidInput(
            f"no {feature.kind} feature is called {feature.name!r}: add it to fradect/features/request.py"
        )
    return formulas[feature.name]


def fields_read(contract: Contract) -> tuple[str, ...]:
    """Event fields that the contract's request and derived features read, beside `event_time`."""
    return tuple(sorted({n for f in contract.of_kind(Kind.REQUEST, Kind.DERIVED) for n in formula(f).reads}))


@cache
def _category(feature: Feature) -> Formula:
    """The position of the text among the contract's categories; NaN for any other."""
    code = {category: float(i) for i, category in enumerate(feature.categories)}
    name, unknown = feature.name, math.nan

    def frame(columns: Frame) -> Floats:
        return np.array([code.get(value, unknown) for value in columns[name]], np.float64)

    return Formula(lambda row: code.get(row.get(name), unknown), frame, (name,))  # type: ignore[arg-type]


def _of_clock(compute: Callable[[Any], Any]) -> Formula:
    """A feature of the event's time alone, by arithmetic that whole numbers and columns of them share."""
    return Formula(
        lambda row: float(compute(row["event_time"])),
        lambda frame: np.asarray(compute(_times(frame, "event_time")), np.float64),
    )


def _hour(time: Any) -> Any:
    return time % DAY // HOUR


def _weekend(time: Any) -> Any:
    return (time // DAY + 3) % 7 >= 5  # 1970-01-01 was a Thursday


def _night(time: Any) -> Any:
    return _hour(time) <= 6


def _amount() -> Formula:
    return Formula(
        lambda row: float(row.get("amount_base") or 0), lambda frame: _floats(frame, "amount_base"), ("amount_base",)
    )


def _account_age() -> Formula:
    def of_row(row: Row) -> float:
        signup = row.get("signup_at")
        return math.nan if signup is None else (row["event_time"] - signup) / DAY  # type: ignore[operator]

    def of_frame(frame: Frame) -> Floats:
        signup = _times(frame, "signup_at")
        age = (_times(frame, "event_time") - np.where(signup == NO_TIME, 0, signup)) / DAY
        known: Floats = np.where(signup == NO_TIME, np.nan, age)
        return known

    return Formula(of_row, of_frame, ("signup_at",))


def _differ(one: str, other: str) -> Formula:
    """1 where two texts differ, 0 where they agree, NaN where one is unknown."""

    def differ(a: Value, b: Value) -> float:
        return math.nan if a is None or b is None else float(a != b)

    def of_frame(frame: Frame) -> Floats:
        return np.array([differ(a, b) for a, b in zip(frame[one], frame[other], strict=True)], np.float64)

    return Formula(lambda row: differ(row.get(one), row.get(other)), of_frame, (one, other))


def _ratio(over: str, under: str) -> Formula:
    """One feature against another, NaN where that is not positive."""

    def of_row(row: Row) -> float:
        top, bottom = row[over], row[under]
        return top / bottom if bottom > 0 else math.nan  # type: ignore[operator]

    def of_frame(frame: Frame) -> Floats:
        top, bottom = _floats(frame, over), _floats(frame, under)
        quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        return quotient

    return Formula(of_row, of_frame)


def _times(frame: Frame, name: str) -> Ints:
    return np.asarray(frame[name], np.int64)


def _floats(frame: Frame, name: str) -> Floats:
    return np.asarray(frame[name], np.float64)


_REQUEST: Mapping[str, Formula] = {
    "amount": _amount(),
    "hour": _of_clock(_hour),
    "weekend": _of_clock(_weekend),
    "night": _of_clock(_night),
    "account_age": _account_age(),
    "ip_differs_billing": _differ("ip_country", "billing_country"),
    "ip_differs_shipping": _differ("ip_country", "shipping_country"),
    "billing_differs_shipping": _differ("billing_country", "shipping_country"),
}

_DERIVED: Mapping[str, Formula] = {
    "amount_to_customer_mean": _ratio("amount", "customer_amount_mean_30d_before"),
    "amount_to_customer_max_7d": _ratio("amount", "customer_amount_max_7d_before"),
    "amount_to_customer_max_30d": _ratio("amount", "customer_amount_max_30d_before"),
    "customer_max_3d_to_mean": _ratio("customer_amount_max_3d", "customer_amount_mean_30d_before"),
    "customer_max_7d_to_mean": _ratio("customer_amount_max_7d", "customer_amount_mean_30d_before"),
    "amount_to_merchant_mean": _ratio("amount", "merchant_amount_mean_1d"),
    "velocity_jump": _ratio("customer_count_1h", "customer_count_7d"),
    "customer_speed": Formula(row_speed, frame_speed),
    "geolocation_risk_score": Formula(row_risk, frame_risk),
}
