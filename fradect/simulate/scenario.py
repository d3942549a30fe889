"""What somebody can ask the simulator for, and the calendar that follows from it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from fradect.errors import InvalidInput
from fradect.simulate.chance import Floats, Ints

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_MOSCOW = 3
_WEEK = np.array([0.97, 0.95, 0.97, 1.0, 1.12, 1.08, 0.91])
_HOURS = np.array([9, 6, 4, 3, 3, 5, 9, 16, 26, 36, 43, 47, 50, 49, 46, 45, 46, 50, 56, 62, 64, 56, 38, 20], float)
_WEEKEND_HOURS = np.array(
    [14, 10, 7, 5, 4, 4, 6, 9, 16, 28, 40, 50, 56, 57, 55, 53, 52, 53, 56, 58, 57, 50, 38, 25], float
)
_PAYDAYS = (10, 25)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated trade. The same values give the same bytes under the same numpy and pyarrow.

    `events` and `fraud_rate` are targets, met to within a few per cent. `bias` (0 to 1) makes one sex look and be
    labelled worse than it is; `drift` (0 to 1) is the size of the change that begins on the day `drift_at`, and the
    days before it are the same with and without it. docs/concepts/simulator.md says how.
    """

    seed: int = 7
    start: date = date(2025, 1, 1)
    days: int = 120
    events: int = 120_000
    customers: int = 6_000
    merchants: int = 400
    fraud_rate: float = 0.012
    bias: float = 0.0
    drift_at: date | None = None
    drift: float = 0.5

    def __post_init__(self) -> None:
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidInput(f"{name} is {value}; give a value from {low} to {high}", name)
        if not 1980 <= self.start.year <= 2200:
            raise InvalidInput(f"start is {self.start}; give a day from 1980 to 2200", "start")
        if self.drift_at is not None and not self.start <= self.drift_at < self.day(self.days):
            raise InvalidInput(
                f"drift_at is {self.drift_at}; give a day from {self.start} to {self.day(self.days - 1)}",
                "drift_at",
            )

    def day(self, index: int) -> date:
        return self.start + timedelta(days=index)

    def drift_on(self, index: int) -> float:
        """How far the trade has drifted on a day: 0 before `drift_at`, `drift` from it on."""
        return self.drift if self.drift_at is not None and self.day(index) >= self.drift_at else 0.0


_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("seed", 0, 2**63 - 1),
    ("days", 1, 3_660),
    ("events", 100, 1_000_000_000),
    ("customers", 100, 10_000_000),
    ("merchants", 20, 1_000_000),
    ("fraud_rate", 0.001, 0.2),
    ("bias", 0, 1),
    ("drift", 0, 1),
)


def midnight(day: date) -> int:
    """The day's first microsecond since the epoch, in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def events_per_day(scenario: Scenario) -> Ints:
    """The target of every day; the sum is `scenario.events`."""
    days = [scenario.day(index) for index in range(scenario.days)]
    week = _WEEK[[day.weekday() for day in days]]
    payday = np.array([1.18 if (day.day - 1) in _PAYDAYS or day.day in _PAYDAYS else 1.0 for day in days])
    growth = 1 + 0.1 * np.arange(len(days)) / len(days)
    upto = np.cumsum(week * payday * growth)
    whole: Ints = np.rint(upto / upto[-1] * scenario.events).astype(np.int64)
    return np.diff(whole, prepend=0)


def time_of_day(rng: np.random.Generator, day: date, n: int) -> Ints:
    """Microseconds into the UTC day, busy when shoppers three hours east of Greenwich are awake."""
    local = _WEEKEND_HOURS if day.weekday() >= 5 else _HOURS
    upto = np.concatenate(([0.0], np.cumsum(np.roll(local, -_MOSCOW))))
    hours: Floats = np.interp(rng.random(n) * upto[-1], upto, np.arange(25.0))
    return np.minimum(hours * HOUR, DAY - 1).astype(np.int64)
