"""Where people buy: kinds of merchants, prices, flash sales, and months in which a merchant is compromised."""

from dataclasses import dataclass

import numpy as np

from fradect.simulate.chance import Flags, Floats, Ints, Purpose, below, stream, unit
from fradect.simulate.scenario import Scenario

GENERAL, SMALL_DIGITAL, FASHION, ELECTRONICS = range(4)
_KIND_SHARE = (0.52, 0.08, 0.25, 0.15)
_PRICE = np.array([0.8, 1.0, 1.1, 2.6])
_RETURNS = np.array([0.6, 0.0, 2.2, 1.0])
_RISK = np.array([1.0, 2.0, 0.8, 2.2])
_PERIOD = 40
_COMPROMISED = 0.07
_COMPROMISED_RISK = 14.0


@dataclass(frozen=True, slots=True)
class Merchants:
    """One row per merchant. `popularity` has one row of running sums for each sex, `price` is a factor on what a
    customer usually spends, `risk` how much it draws fraud when it is not compromised."""

    kind: Ints
    price: Floats
    returns: Floats
    risk: Floats
    popularity: Floats
    weight: Floats


def open_merchants(scenario: Scenario) -> Merchants:
    rng = stream(scenario.seed, Purpose.MERCHANTS)
    n = scenario.merchants
    kind = rng.choice(4, size=n, p=_KIND_SHARE)
    kind[:4] = (GENERAL, SMALL_DIGITAL, FASHION, ELECTRONICS)
    weight = rng.permutation(1.0 / (np.arange(n) + 8.0) ** 0.8)
    leaning = np.where(kind == FASHION, 0.5, np.where(kind == ELECTRONICS, -0.3, 0.0))
    return Merchants(
        kind=kind,
        price=_PRICE[kind] * np.exp(0.35 * rng.standard_normal(n)),
        returns=_RETURNS[kind],
        risk=_RISK[kind] * np.exp(0.8 * rng.standard_normal(n)),
        popularity=np.cumsum(np.stack((weight * (1 + leaning), weight * (1 - leaning))), axis=1),
        weight=weight,
    )


def compromised(seed: int, merchants: int, day: int) -> Flags:
    """Which merchants leak on that day. Of any 40 days one in fourteen leaks on the last 21 to 40."""
    slot, into = divmod(day, _PERIOD)
    key = np.arange(merchants) * 4096 + slot
    hit = unit(seed, Purpose.COMPROMISE, key) < _COMPROMISED
    begins = below(seed, Purpose.COMPROMISE, key + (1 << 50), 20)
    return np.asarray(hit & (into >= begins), dtype=bool)


def fraud_weights(merchants: Merchants, seed: int, day: int) -> Floats:
    """How much each merchant draws fraudsters on that day."""
    leaks = compromised(seed, len(merchants.kind), day)
    return np.asarray(merchants.weight**0.7 * merchants.risk * np.where(leaks, _COMPROMISED_RISK, 1.0))


def flash_sales(merchants: Merchants, seed: int, day: int) -> Ints:
    """The merchants, one or more, that hold a sale of an hour on that day."""
    rng = stream(seed, Purpose.FLASH_SALE, day)
    return rng.integers(0, len(merchants.kind), 1 + len(merchants.kind) // 200)
