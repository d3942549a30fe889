"""How much of which fraud begins on which day, and what of it is still to come."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fradect.simulate import patterns
from fradect.simulate.chance import Ints, Purpose, stream
from fradect.simulate.purchases import PURCHASE, WARM_UP, Pattern, Purchases, Today, World
from fradect.simulate.scenario import DAY, Scenario, midnight


@dataclass(frozen=True, slots=True)
class Campaign:
    """`share` of all fraud, and the share it moves to when the trade drifts; `size`: purchases an episode has on
    average."""

    pattern: Pattern
    share: float
    drifted: float
    size: float
    plan: Callable[[Today, int], Purchases]


FRIENDLY_SHARE = 0.06
"""The rest of all fraud: honest purchases that the buyer disowns. Nothing foretells them."""

CAMPAIGNS = (
    Campaign(Pattern.CARD_TESTING, 0.22, 0.06, 11.1, patterns.card_testing),
    Campaign(Pattern.ACCOUNT_TAKEOVER, 0.20, 0.34, 3.4, patterns.account_takeover),
    Campaign(Pattern.SHARED_DEVICE_RING, 0.20, 0.29, 10.5, patterns.shared_device_ring),
    Campaign(Pattern.STOLEN_CARD, 0.20, 0.13, 8.0, patterns.stolen_card),
    Campaign(Pattern.REFUND_ABUSE, 0.12, 0.12, 8.5, patterns.refund_abuse),
)


def schedule(scenario: Scenario) -> Ints:
    """How many episodes of each campaign (column) begin on each day (row), from WARM_UP days before the first on.

    What is left of a day's fraction is carried to the next, so that the share of fraud does not hang on luck."""
    drift = np.array([scenario.drift_on(day) for day in range(-WARM_UP, scenario.days)])
    fraud_a_day = scenario.events / scenario.days * scenario.fraud_rate
    phase = stream(scenario.seed, Purpose.CAMPAIGNS).random(len(CAMPAIGNS))
    rate = np.stack([((1 - drift) * c.share + drift * c.drifted) / c.size for c in CAMPAIGNS], axis=1)
    upto = np.floor(np.cumsum(rate * fraud_a_day, axis=0) + phase).astype(np.int64)
    return np.diff(upto, axis=0, prepend=0)


def begun(world: World, day: int, episodes: Ints) -> Purchases:
    """All purchases of the episodes that begin on a day, which counts from -WARM_UP."""
    parts = [np.zeros(0, dtype=PURCHASE)]
    for campaign, many in zip(CAMPAIGNS, episodes.tolist(), strict=True):
        if many:
            today = Today.of(world, day, Purpose.CAMPAIGNS, int(campaign.pattern))
            parts.append(campaign.plan(today, many))
    return np.concatenate(parts)


def by_day(world: World, trade: Callable[[int], Purchases]) -> Iterator[Purchases]:
    """Each day's purchases, honest (from `trade`) and not, in no order. What lies ahead is kept until its day."""
    first, episodes = midnight(world.scenario.start), schedule(world.scenario)
    ahead = np.concatenate([begun(world, day - WARM_UP, episodes[day]) for day in range(WARM_UP)])
    ahead = ahead[ahead["time"] >= first]
    for day in range(world.scenario.days):
        ahead = np.concatenate([ahead, begun(world, day, episodes[day + WARM_UP]), trade(day)])
        now = ahead["time"] < first + (day + 1) * DAY
        yield ahead[now]
        ahead = ahead[~now]
