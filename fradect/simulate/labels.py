"""What becomes of a purchase: whether it is reported as fraud, sent back, and when anybody knows."""

from dataclasses import dataclass

import numpy as np

from fradect.simulate.campaigns import FRIENDLY_SHARE
from fradect.simulate.chance import Flags, Ints, Purpose
from fradect.simulate.customers import FEMALE
from fradect.simulate.purchases import Pattern, Purchases, Today, World
from fradect.simulate.scenario import DAY, HOUR

HONEST_AFTER = 14 * DAY
"""A purchase that nobody reported counts as honest from then on."""

_MEDIAN_DAYS = np.array([0.0, 2.5, 5.0, 11.0, 9.0, 16.0, 18.0, 8.0])
_SPREAD = np.array([0.0, 0.7, 0.7, 0.5, 0.6, 0.45, 0.5, 0.5])
_LONGEST = 60 * DAY
_REPORTED_FOR_NOTHING = 0.25


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`pattern` holds the cause of each label, `return_known_at` is read only where `returned`."""

    pattern: Ints
    label_known_at: Ints
    returned: Flags
    return_known_at: Ints


def aftermath(world: World, day: int, rows: Purchases) -> Aftermath:
    today, n = Today.of(world, day, Purpose.LABELS), len(rows)
    rng, pattern = today.rng, _causes(today, rows)
    delay = _MEDIAN_DAYS[pattern] * DAY * np.exp(_SPREAD[pattern] * rng.standard_normal(n))
    reported = np.clip(delay, HOUR, _LONGEST).astype(np.int64)
    returned = rng.random(n) < rows["return_odds"]
    back = np.clip(6 * DAY * np.exp(0.5 * rng.standard_normal(n)), DAY, 25 * DAY).astype(np.int64)
    return Aftermath(
        pattern=pattern,
        label_known_at=rows["time"] + np.where(pattern == Pattern.NONE, HONEST_AFTER, reported),
        returned=returned,
        return_known_at=rows["time"] + back,
    )


def _causes(today: Today, rows: Purchases) -> Ints:
    """The fraudster's pattern; or, on an honest purchase, a buyer who disowns it or a reviewer with a prejudice."""
    rng, n, scenario = today.rng, len(rows), today.world.scenario
    honest = rows["pattern"] == Pattern.NONE
    disowned = honest & (rng.random(n) < scenario.fraud_rate * FRIENDLY_SHARE)
    suspected = rows["gateway"] & (today.world.customers.sex[rows["customer"]] == FEMALE)
    prejudiced = honest & ~disowned & suspected & (rng.random(n) < _REPORTED_FOR_NOTHING * scenario.bias)
    return np.select(
        [disowned, prejudiced], [Pattern.FRIENDLY_FRAUD, Pattern.BIASED_REPORT], default=rows["pattern"]
    ).astype(np.int64)
