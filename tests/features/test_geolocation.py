"""Speed and the geolocation score: what they say of known cases, what is unknown, and that risk never lowers them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.features.geolocation import (
    FAR_POINTS,
    FAST_POINTS,
    FASTEST,
    POINTS,
    frame_risk,
    frame_speed,
    row_risk,
    row_speed,
)

NAN = math.nan
HOME: dict[str, Any] = dict.fromkeys(POINTS, 0.0) | {"customer_km_since_last": 0.0, "customer_since_last": 3_600.0}
UNKNOWN: dict[str, Any] = dict.fromkeys(HOME, NAN)


def moved(kilometres: float, seconds: float, **others: float) -> dict[str, Any]:
    return HOME | {"customer_km_since_last": kilometres, "customer_since_last": seconds} | others


@pytest.mark.parametrize(
    ("kilometres", "seconds", "speed"),
    [
        (90.0, 3_600.0, 90.0),
        (0.0, 3_600.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.4, 0.0, FASTEST),
        (5_000.0, 1.0, FASTEST),
        (NAN, 3_600.0, NAN),
        (90.0, NAN, NAN),
    ],
)
def test_speed(kilometres: float, seconds: float, speed: float) -> None:
    assert row_speed(moved(kilometres, seconds)) == pytest.approx(speed, nan_ok=True)


@pytest.mark.parametrize(
    ("row", "score"),
    [
        (HOME, 0.0),
        (HOME | {"ip_differs_billing": 1.0}, 20.0),
        (HOME | {"ip_differs_billing": 1.0, "ip_differs_shipping": 1.0}, 35.0),
        (HOME | {"billing_differs_shipping": 1.0, "ip_differs_shipping": NAN}, 10.0),
        (moved(2_000.0, 30 * 86_400.0), FAR_POINTS),  # a journey
        (moved(100.0, 1.0), 0.0),  # two towns that a table of addresses mixes up
        (moved(2_500.0, 60.0), FAR_POINTS + FAST_POINTS),  # nobody was there a minute ago
        (moved(2_500.0, 60.0, **dict.fromkeys(POINTS, 1.0)), 100.0),
        (UNKNOWN, NAN),
        (UNKNOWN | {"customer_since_last": 5.0}, NAN),
        (UNKNOWN | {"billing_differs_shipping": 0.0}, 0.0),
    ],
)
def test_the_score_of_known_cases(row: dict[str, Any], score: float) -> None:
    assert row_risk(row) == pytest.approx(score, nan_ok=True)


def test_the_points_are_a_hundred() -> None:
    assert sum(POINTS.values()) + FAR_POINTS + FAST_POINTS == 100


_FLAG = st.sampled_from([0.0, 1.0, NAN])
_ROWS = st.fixed_dictionaries(
    dict.fromkeys(POINTS, _FLAG)
    | {
        "customer_km_since_last": st.one_of(st.just(NAN), st.just(0.0), st.floats(0, 20_016), st.floats(99, 101)),
        "customer_since_last": st.one_of(st.just(NAN), st.just(0.0), st.floats(0, 2.6e6), st.floats(0, 1e-6)),
    }
)


@given(st.lists(_ROWS, min_size=1, max_size=30))
def test_a_row_gets_the_bits_that_a_frame_gets(rows: list[dict[str, float]]) -> None:
    frame = {name: np.array([row[name] for row in rows]) for name in HOME}
    assert np.array([row_speed(row) for row in rows]).tobytes() == frame_speed(frame).tobytes()
    assert np.array([row_risk(row) for row in rows]).tobytes() == frame_risk(frame).tobytes()


@given(_ROWS, st.sampled_from(sorted(HOME)), st.floats(0, 20_016))
def test_more_risk_is_never_less_score(row: dict[str, float], name: str, other: float) -> None:
    """Countries that differ instead of agreeing, more distance, less time; and it stays within 0 and 100."""
    score = row_risk(row)
    assert math.isnan(score) or 0 <= score <= 100
    if math.isnan(row[name]):
        return
    worse = row | {name: 1.0 if name in POINTS else max(row[name], other)}
    if name == "customer_since_last":
        worse = row | {name: min(row[name], other)}
    assert math.isnan(score) or row_risk(worse) >= score
