"""Who buys: accounts, their habits, their phones, cards, households and journeys."""

from dataclasses import dataclass

import numpy as np

from fradect.simulate.chance import Flags, Floats, Ints, Purpose, below, stream, unit
from fradect.simulate.geography import home_countries
from fradect.simulate.scenario import DAY, Scenario, midnight

FEMALE = 0
_SLOT = 60
_HEAVY_RETURNERS = 0.05
_RESELLERS = 0.005


@dataclass(frozen=True, slots=True)
class Customers:
    """One row per account. The first `honest` rows are people, in order of signing up; the others were opened for
    fraud, again in order of signing up. `level` is what a usual purchase of theirs costs, in kopecks."""

    honest: int
    signup: Ints
    activity: Floats
    country: Ints
    level: Floats
    return_rate: Floats
    sex: Ints
    age: Ints
    household: Ints
    reseller: Flags
    refund_abusers: Ints

    def signed_up_before(self, moment: int) -> int:
        """How many of the people had an account: they are rows 0 to this number."""
        return int(np.searchsorted(self.signup[: self.honest], moment))


def open_accounts(scenario: Scenario) -> Customers:
    rng = stream(scenario.seed, Purpose.CUSTOMERS)
    people, opened = scenario.customers, _opened_for_fraud(scenario)
    total = people + opened
    level = 250_000 * np.exp(0.55 * rng.standard_normal(total))
    sex = _sexes(rng, people, opened)
    return Customers(
        honest=people,
        signup=np.concatenate((_signups(scenario, rng), _fraud_signups(scenario, opened))),
        activity=rng.gamma(0.9, 1.0, total) + 0.03,
        country=home_countries(rng, total),
        level=level,
        return_rate=_return_rates(rng, total),
        sex=sex,
        age=np.clip(rng.normal(38, 13, total), 18, 84).astype(np.int64),
        household=np.cumsum(rng.random(total) < 0.62),
        reseller=rng.random(total) < _RESELLERS,
        refund_abusers=_refund_abusers(scenario, sex, rng),
    )


def _opened_for_fraud(scenario: Scenario) -> int:
    return max(2 * scenario.days + 120, int(scenario.events * scenario.fraud_rate * 0.3))


def _signups(scenario: Scenario, rng: np.random.Generator) -> Ints:
    during = min(0.4, 0.003 * scenario.days)
    start, length = midnight(scenario.start), scenario.days * DAY
    moment = np.where(
        rng.random(scenario.customers) < during,
        start + rng.random(scenario.customers) * length,
        start - rng.random(scenario.customers) ** 1.5 * 1000 * DAY,
    )
    return np.sort(moment.astype(np.int64))


def _fraud_signups(scenario: Scenario, n: int) -> Ints:
    rng = stream(scenario.seed, Purpose.OPENED_FOR_FRAUD)
    begin, end = midnight(scenario.start) - 90 * DAY, midnight(scenario.start) + scenario.days * DAY
    return np.sort(rng.integers(begin, end, n))


def _return_rates(rng: np.random.Generator, n: int) -> Floats:
    usual = rng.beta(1.2, 16, n)
    heavy = rng.uniform(0.3, 0.65, n)
    return np.where(rng.random(n) < _HEAVY_RETURNERS, heavy, usual)


def _sexes(rng: np.random.Generator, people: int, opened: int) -> Ints:
    """Fraudsters' accounts are of one sex as often as of the other, so that without a bias neither is suspicious."""
    return np.concatenate((rng.integers(0, 2, people), np.arange(opened) % 2))


def _refund_abusers(scenario: Scenario, sex: Ints, rng: np.random.Generator) -> Ints:
    """Some of those who had an account for long, half of either sex: few, so that an abuser comes back."""
    long_known = scenario.customers // 2
    many = min(max(3, int(scenario.events * scenario.fraud_rate / 200)), scenario.customers // 12)
    halves = [rng.choice(np.flatnonzero(sex[:long_known] == either), many) for either in (0, 1)]
    return np.concatenate(halves)


def phones(seed: int, customer: Ints, day: int) -> Ints:
    """The phone in use that day: everybody gets a new one every 250 to 750 days."""
    return customer * 64 + _generation(seed, Purpose.PHONE_LIFE, customer, day, 250)


def cards(seed: int, customer: Ints, day: int, slot: Ints) -> Ints:
    """A card of the customer, replaced every 500 to 1,500 days; `slot` 0 to 3 tells a customer's cards apart."""
    return customer * 64 + slot * 16 + _generation(seed, Purpose.CARD_LIFE, customer, day, 500)


def _generation(seed: int, purpose: Purpose, customer: Ints, day: int, shortest: int) -> Ints:
    life = shortest + below(seed, purpose, customer, 2 * shortest)
    phase = below(seed, purpose, customer + (1 << 40), 3 * shortest)
    return (day + phase) // life % 16


def travelling(seed: int, customer: Ints, day: int) -> Flags:
    """Whether the customer is on a journey: about every third has one of 3 to 16 days in any 60 days."""
    slot, into = divmod(day, _SLOT)
    key = customer * 4096 + slot
    begins = below(seed, Purpose.TRIP, key, 44)
    length = 3 + below(seed, Purpose.TRIP, key + (1 << 50), 14)
    goes = unit(seed, Purpose.TRIP, key + (1 << 51)) < 0.33
    return np.asarray(goes & (into >= begins) & (into < begins + length), dtype=bool)


def journey(customer: Ints, day: int) -> Ints:
    """A number that stays the same for the length of one journey."""
    return customer * 4096 + day // _SLOT


def gateway_habit(seed: int, customer: Ints) -> Floats:
    """A number in [0, 1) of the customer: the lower, the likelier to connect through a network abroad."""
    return unit(seed, Purpose.GATEWAY, customer)
