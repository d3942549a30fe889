"""A purchase before it is a row of a table: numbers only, one structured array for many of them."""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fradect.simulate.chance import Flags, Floats, Ints, Purpose, pick, stream
from fradect.simulate.customers import Customers
from fradect.simulate.merchants import SMALL_DIGITAL, Merchants
from fradect.simulate.scenario import Scenario, midnight

Purchases = NDArray[np.void]

PURCHASE = np.dtype(
    [
        ("time", "i8"),
        ("amount", "i8"),
        ("device", "i8"),
        ("card", "i8"),
        ("customer", "i4"),
        ("merchant", "i4"),
        ("address", "i4"),
        ("ip", "i4"),
        ("return_odds", "f4"),
        ("method", "i1"),
        ("channel", "i1"),
        ("pattern", "i1"),
        ("gateway", "?"),
    ]
)

CARD, WALLET, TRANSFER, COD = range(4)
METHODS = ("card", "wallet", "transfer", "cod")
WEB, APP, CALL_CENTRE = range(3)
CHANNELS = ("web", "app", "call_centre")

WARM_UP = 40
"""Fraud begins this many days before the first one, so that long patterns are in full swing on it."""

_UNSEEN = 1 << 39


class Pattern(IntEnum):
    """Why a purchase is labelled as fraud. The last two leave no trace of a fraudster: nobody is one."""

    NONE = 0
    CARD_TESTING = 1
    ACCOUNT_TAKEOVER = 2
    SHARED_DEVICE_RING = 3
    STOLEN_CARD = 4
    REFUND_ABUSE = 5
    FRIENDLY_FRAUD = 6
    BIASED_REPORT = 7


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was there before the first purchase. Address i belongs to customer i, who lives there; the
    addresses after the customers' are drops that fraudsters have goods sent to."""

    scenario: Scenario
    customers: Customers
    merchants: Merchants
    address_country: Ints
    address_town: Ints

    @property
    def drops(self) -> int:
        return len(self.address_country) - len(self.customers.signup)


@dataclass(frozen=True, slots=True)
class Today:
    """A day of that world and the stream that its purchases are drawn from. Days before the first one are negative."""

    world: World
    day: int
    rng: np.random.Generator

    @classmethod
    def of(cls, world: World, day: int, purpose: Purpose, *path: int) -> "Today":
        return cls(world, day, stream(world.scenario.seed, purpose, day + WARM_UP, *path))

    @property
    def date(self) -> date:
        return self.world.scenario.day(self.day)

    @property
    def start(self) -> int:
        return midnight(self.date)

    @property
    def seed(self) -> int:
        return self.world.scenario.seed

    @property
    def drift(self) -> float:
        return self.world.scenario.drift_on(self.day)


def purchases(n: int, **columns: ArrayLike) -> Purchases:
    """`n` purchases; a column that is not given is zero."""
    rows = np.zeros(n, dtype=PURCHASE)
    for name, values in columns.items():
        rows[name] = values
    return rows


def unseen(rng: np.random.Generator, n: int) -> Ints:
    """Keys of devices or cards that no customer owns."""
    return rng.integers(_UNSEEN, 2 * _UNSEEN, n)


def small_prices(rng: np.random.Generator, n: int) -> Floats:
    """Top-ups, songs, tickets: 40 to some 1,500 roubles, in kopecks."""
    return 4_000 + 18_000 * np.exp(0.9 * rng.standard_normal(n))


def prices(today: Today, customer: Ints, merchant: Ints) -> Floats:
    """What a purchase of this customer at this merchant would usually cost, in kopecks."""
    rng, shops, n = today.rng, today.world.merchants, len(customer)
    spread = np.exp(0.5 * rng.standard_normal(n))
    usual = today.world.customers.level[customer] * shops.price[merchant] * spread
    digital = shops.kind[merchant] == SMALL_DIGITAL
    return np.asarray(np.where(digital, small_prices(rng, n), usual) * np.exp(0.4 * today.drift))


def price_tags(rng: np.random.Generator, price: Floats) -> Ints:
    """Prices as shops write them: whole roubles, tens, or a little less than that. Never below 10 roubles."""
    style = rng.random(len(price))
    step = np.where(style < 0.45, 100, np.where(style < 0.85, 1_000, 1))
    rebate = np.where((style > 0.6) & (style < 0.85), 100, 0)
    return np.maximum((np.rint(price / step) * step - rebate).astype(np.int64), 1_000)


def channels(rng: np.random.Generator, n: int, drift: float) -> Ints:
    return pick(rng, np.array([0.56 - 0.3 * drift, 0.40 + 0.3 * drift, 0.04]), n)


def methods(rng: np.random.Generator, small: Flags) -> Ints:
    """Nobody pays a top-up at the door."""
    drawn = pick(rng, np.array([0.68, 0.17, 0.06, 0.09]), len(small))
    return np.where(small & (drawn == COD), CARD, drawn)
