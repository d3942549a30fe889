"""A day of honest trade, with everything in it that looks like fraud and is none: families and kiosks that share a
device, newcomers, travellers, gateways abroad, borrowed phones, gifts, big tickets, flash sales, resellers' bursts."""

from dataclasses import dataclass

import numpy as np

from fradect.simulate import customers as people
from fradect.simulate.chance import Flags, Floats, Ints, Purpose, below, pick, pick_cumulative, since_start, unit
from fradect.simulate.geography import (
    DATA_CENTRES,
    HOSTS,
    NATIONAL,
    TOWNS,
    UNLISTED,
    addresses,
    countries_abroad,
)
from fradect.simulate.merchants import SMALL_DIGITAL, flash_sales
from fradect.simulate.purchases import (
    APP,
    CARD,
    WEB,
    Purchases,
    Today,
    World,
    channels,
    methods,
    price_tags,
    prices,
    purchases,
    unseen,
)
from fradect.simulate.scenario import DAY, HOUR, MINUTE, time_of_day

_HOUSEHOLD_PC, _KIOSK, _ON_A_JOURNEY = 1 << 36, 1 << 37, 1 << 38
_ANOTHER = 1 << 52  # keeps what a key is hashed to apart from what it is hashed to elsewhere
_CARRIER_HOSTS, _GATEWAY_HOSTS = 512, 1_024
_MOBILE, _NATIONAL_CARRIER, _UNLISTED_HOMES = 0.35, 0.15, 0.03
_GATEWAY_USERS, _BIASED_GATEWAY_USERS, _GATEWAY_VISITS = 0.06, 0.5, 0.5


@dataclass(frozen=True, slots=True)
class _Visits:
    """One row per visit to the market; a visit may buy several things. `sale`: it came for a flash sale; `burst`:
    a reseller works off what his clients asked for."""

    customer: Ints
    time: Ints
    size: Ints
    sale: Flags
    burst: Flags


@dataclass(frozen=True, slots=True)
class _Connections:
    """How each visit came in."""

    device: Ints
    ip: Ints
    channel: Ints
    gateway: Flags


def honest_day(world: World, day: int, n: int) -> Purchases:
    """`n` purchases of visits that begin on the day; a long visit may end on the next one."""
    today = Today.of(world, day, Purpose.HONEST)
    visits = _visits(today, n)
    of = np.repeat(np.arange(len(visits.size)), visits.size)[:n]
    customer, burst = visits.customer[of], visits.burst[of]
    merchant = _merchants(today, visits, of)
    small = world.merchants.kind[merchant] == SMALL_DIGITAL
    connection = _connections(today, visits)
    gap = today.rng.exponential(np.where(burst, 2 * MINUTE, 7 * MINUTE))
    return purchases(
        n,
        time=visits.time[of] + since_start(of, gap),
        amount=_amounts(today, visits, of, merchant),
        device=connection.device[of],
        card=_cards(today, customer, burst),
        customer=customer,
        merchant=merchant,
        address=_shipped_to(today, customer, small),
        ip=connection.ip[of],
        return_odds=np.minimum(world.customers.return_rate[customer] * world.merchants.returns[merchant], 0.9),
        method=np.where(burst, CARD, methods(today.rng, small)),
        channel=connection.channel[of],
        gateway=connection.gateway[of],
    )


def _visits(today: Today, n: int) -> _Visits:
    rng = today.rng
    customer, arrival = _arrivals(today, n)
    many = len(customer)
    burst = today.world.customers.reseller[customer] & (rng.random(many) < 0.5)
    size = np.where(burst, rng.integers(3, 13, many), rng.geometric(0.76, many))
    begins = today.start + rng.integers(7, 17) * HOUR
    at_sale = begins + rng.exponential(15 * MINUTE, many).astype(np.int64)
    sale = ~burst & (rng.random(many) < 0.05) & (at_sale > today.world.customers.signup[customer])
    return _Visits(customer, np.where(sale, at_sale, arrival), size, sale, burst)


def _arrivals(today: Today, n: int) -> tuple[Ints, Ints]:
    """More visits than `n` purchases need: of those who have just signed up, and of those who come again."""
    rng, who = today.rng, today.world.customers
    known, then = who.signed_up_before(today.start), who.signed_up_before(today.start + DAY)
    new = np.arange(known, then)[rng.random(then - known) < 0.75]
    first = who.signup[new] + rng.exponential(HOUR, len(new)).astype(np.int64)
    customer = np.concatenate((pick(rng, who.activity[:known], n), new))
    arrival = np.concatenate((today.start + time_of_day(rng, today.date, n), first))
    order = rng.permutation(len(customer))
    return customer[order], arrival[order]


def _connections(today: Today, visits: _Visits) -> _Connections:
    n, customer = len(visits.customer), visits.customer
    channel = np.where(visits.burst, WEB, channels(today.rng, n, today.drift))
    away = people.travelling(today.seed, customer, today.day) | (today.rng.random(n) < 0.05 * today.drift)
    gateway = _through_gateway(today, customer)
    ip = np.where(away | gateway, _from_abroad(today, customer, gateway), _from_home(today, customer))
    return _Connections(_devices(today, visits, channel, away), ip, channel, gateway)


def _through_gateway(today: Today, customer: Ints) -> Flags:
    """Gateways abroad: a habit of few. With a bias, of many in one sex, who gain nothing by it but suspicion."""
    scenario, sex = today.world.scenario, today.world.customers.sex[customer]
    more = scenario.bias * (_BIASED_GATEWAY_USERS - _GATEWAY_USERS) * (sex == people.FEMALE)
    user = people.gateway_habit(today.seed, customer) < _GATEWAY_USERS + more
    return np.asarray(user & (today.rng.random(len(customer)) < _GATEWAY_VISITS), dtype=bool)


def _from_home(today: Today, customer: Ints) -> Ints:
    """The household's line; on the road a carrier's network, mostly the city's. Some lines are in no table."""
    rng, n, seed = today.rng, len(customer), today.seed
    household, town = today.world.customers.household[customer], today.world.address_town[customer]
    mobile = rng.random(n) < _MOBILE
    carrier = np.where(rng.random(n) < _NATIONAL_CARRIER, NATIONAL, town)
    line = np.where(unit(seed, Purpose.HOME_IP, household + (1 << 40)) < _UNLISTED_HOMES, UNLISTED, town)
    host = np.where(mobile, rng.integers(0, _CARRIER_HOSTS, n), below(seed, Purpose.HOME_IP, household, HOSTS))
    return addresses(today.world.customers.country[customer], np.where(mobile, carrier, line), host)


def _from_abroad(today: Today, customer: Ints, gateway: Flags) -> Ints:
    """One country and city for the length of a journey; of a gateway's exits mostly the usual one, whose country is
    the customer's habit."""
    rng, n, seed = today.rng, len(customer), today.seed
    journey, host = people.journey(customer, today.day), rng.integers(0, _GATEWAY_HOSTS, n)
    habit, trip = unit(seed, Purpose.GATEWAY, customer + _ANOTHER), unit(seed, Purpose.TRIP, journey + _ANOTHER)
    usual = np.where(gateway, habit, trip)
    chance = np.where(gateway & (rng.random(n) < 0.3), rng.random(n), usual)
    country = countries_abroad(chance, today.world.customers.country[customer], today.drift)
    town = below(seed, Purpose.TRIP, journey + 2 * _ANOTHER, TOWNS)
    return addresses(country, np.where(gateway, DATA_CENTRES, town), host)


def _devices(today: Today, visits: _Visits, channel: Ints, away: Flags) -> Ints:
    """The phone in the app; on the web mostly the household's computer; sometimes a kiosk's or somebody else's."""
    rng, who, n = today.rng, today.world.customers, len(channel)
    phone, chance = people.phones(today.seed, visits.customer, today.day), rng.random(n)
    computer = _HOUSEHOLD_PC + who.household[visits.customer]
    kiosk = _KIOSK + rng.integers(0, 1 + who.honest // 150, n)
    on_web = np.select([chance < 0.58, chance < 0.61, chance < 0.65], [computer, kiosk, unseen(rng, n)], phone)
    usual = np.where((channel == APP) | visits.burst, phone, on_web)
    rented = _ON_A_JOURNEY + people.journey(visits.customer, today.day)
    return np.where(away & (rng.random(n) < 0.4), rented, usual)


def _merchants(today: Today, visits: _Visits, of: Ints) -> Ints:
    rng, shops, n = today.rng, today.world.merchants, len(of)
    female = today.world.customers.sex[visits.customer[of]] == people.FEMALE
    liked = [pick_cumulative(shops.popularity[sex], rng.random(n)) for sex in (0, 1)]
    digital = pick(rng, shops.weight * (shops.kind == SMALL_DIGITAL), len(visits.size))
    on_sale = rng.choice(flash_sales(shops, today.seed, today.day), len(visits.size))
    planned = np.where(visits.burst, digital, on_sale)[of]
    return np.where((visits.burst | visits.sale)[of], planned, np.where(female, *liked))


def _amounts(today: Today, visits: _Visits, of: Ints, merchant: Ints) -> Ints:
    rng, many = today.rng, len(visits.size)
    big: Floats = np.where(rng.random(many) < 0.05, rng.uniform(1.8, 6, many), 1.0)
    rebate = np.where(visits.sale, 0.75, 1.0)
    return price_tags(rng, prices(today, visits.customer[of], merchant) * (big * rebate)[of])


def _cards(today: Today, customer: Ints, burst: Flags) -> Ints:
    """Mostly the first card; resellers also pay with what their clients gave them."""
    slot = pick(today.rng, np.array([0.8, 0.14, 0.05, 0.01]), len(customer))
    own = people.cards(today.seed, customer, today.day, slot)
    lent = burst & (today.rng.random(len(customer)) < 0.5)
    return np.where(lent, unseen(today.rng, len(customer)), own)


def _shipped_to(today: Today, customer: Ints, small: Flags) -> Ints:
    gift = (today.rng.random(len(customer)) < 0.06) & ~small
    return np.where(gift, today.rng.integers(0, today.world.customers.honest, len(customer)), customer)
