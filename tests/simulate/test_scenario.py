"""A scenario refuses what it cannot simulate, and its calendar adds up."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from fradect.errors import InvalidInput
from fradect.simulate import Scenario
from fradect.simulate.scenario import DAY, events_per_day, midnight, time_of_day


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("days", 0),
        ("events", 99),
        ("customers", 5),
        ("merchants", 1),
        ("fraud_rate", 0.0),
        ("fraud_rate", float("nan")),
        ("bias", 1.1),
        ("drift", -0.1),
        ("start", date(1969, 12, 31)),
        ("drift_at", date(2024, 12, 31)),
        ("drift_at", date(2025, 5, 1)),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"{field} is .*; give a") as refused:
        Scenario(**{field: value})
    assert refused.value.field == field


def test_the_days_targets_add_up_and_paydays_are_busy() -> None:
    scenario = Scenario(events=10_007, days=120)
    target = events_per_day(scenario)
    assert target.sum() == 10_007
    payday, usual = target[9], target[16]  # two Fridays: 10 and 17 January 2025
    assert payday > 1.1 * usual


def test_drift_has_a_day_and_a_size() -> None:
    scenario = Scenario(drift_at=date(2025, 2, 1), drift=0.4)
    assert [scenario.drift_on(day) for day in (-5, 0, 30, 31, 119)] == [0, 0, 0, 0.4, 0.4]
    assert Scenario(drift=1.0).drift_on(50) == 0


def test_times_of_day_stay_in_the_day() -> None:
    at = time_of_day(np.random.default_rng(1), date(2025, 1, 4), 20_000)
    assert at.min() >= 0
    assert at.max() < DAY


def test_midnight_is_utc() -> None:
    assert midnight(date(1970, 1, 2)) == DAY
