"""How risky it is where a purchase comes from: speed since the customer's last one, and a score of 0 to 100.

Each formula has a form for a row and one for a frame, with the same operations in the same order: the same bits.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fradect.features.spans import Floats

Row = Mapping[str, Any]
Frame = Mapping[str, Any]

FASTEST = 10_000.0
"""km/h. Nobody travels so fast, so all that is faster is one thing: somewhere else at once."""

POINTS = {
    "ip_differs_billing": 20.0,  # the card is not where its user is: the strongest of the three
    "ip_differs_shipping": 15.0,
    "billing_differs_shipping": 10.0,  # gifts go abroad as well
}
FAR_POINTS, NEAR, FAR = 20.0, 100.0, 2_000.0
"""From 100 km on, within which tables of addresses err and commuters move, to 2,000 km, which needs a flight."""

FAST_POINTS, SLOW, FAST = 35.0, 250.0, 1_000.0
"""From 250 km/h, which a train may go, to 1,000 km/h, which no airliner does from door to door."""


def row_speed(row: Row) -> float:
    """km/h between the customer's last event and this one, at most FASTEST; of no distance at one moment 0."""
    kilometres, seconds = row["customer_km_since_last"], row["customer_since_last"]
    if math.isnan(kilometres) or math.isnan(seconds):
        return math.nan
    if seconds <= 0:
        return FASTEST if kilometres > 0 else 0.0
    return float(min(kilometres * 3600.0 / seconds, FASTEST))


def frame_speed(frame: Frame) -> Floats:
    kilometres, seconds = _floats(frame, "customer_km_since_last"), _floats(frame, "customer_since_last")
    at_once = np.where(kilometres > 0, FASTEST, 0.0)
    with np.errstate(over="ignore"):
        speed = np.divide(kilometres * 3600.0, seconds, out=at_once, where=seconds > 0)
    known: Floats = np.where(np.isnan(kilometres) | np.isnan(seconds), np.nan, np.minimum(speed, FASTEST))
    return known


def row_risk(row: Row) -> float:
    """Points of 100, added up over what is known; NaN where nothing is."""
    total, known = 0.0, False
    for name, points in POINTS.items():
        if not math.isnan(row[name]):
            total, known = total + points * row[name], True
    kilometres, speed = row["customer_km_since_last"], row_speed(row)
    if not math.isnan(kilometres):
        total, known = total + FAR_POINTS * _share(kilometres, NEAR, FAR), True
    if kilometres > NEAR and not math.isnan(speed):
        total += FAST_POINTS * _share(speed, SLOW, FAST)
    return total if known else math.nan


def frame_risk(frame: Frame) -> Floats:
    kilometres, speed = _floats(frame, "customer_km_since_last"), frame_speed(frame)
    total, known = np.zeros(kilometres.shape), ~np.isnan(kilometres)
    for name, points in POINTS.items():
        differs = _floats(frame, name)
        total = total + np.where(np.isnan(differs), 0.0, points * differs)
        known |= ~np.isnan(differs)
    total = total + np.where(np.isnan(kilometres), 0.0, FAR_POINTS * _shares(kilometres, NEAR, FAR))
    fast = (kilometres > NEAR) & ~np.isnan(speed)
    total = total + np.where(fast, FAST_POINTS * _shares(speed, SLOW, FAST), 0.0)
    risk: Floats = np.where(known, total, np.nan)
    return risk


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _shares(values: Floats, low: float, high: float) -> Floats:
    shares: Floats = np.minimum(np.maximum((values - low) / (high - low), 0.0), 1.0)
    return shares


def _floats(frame: Frame, name: str) -> Floats:
    return np.asarray(frame[name], np.float64)
