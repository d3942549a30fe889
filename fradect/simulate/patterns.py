"""Five ways to commit fraud. Each takes the day on which episodes begin and how many, and gives all their purchases,
which may lie weeks ahead. What betrays them is spread over several purchases; one alone could be anybody's."""

import numpy as np

from fradect.simulate import customers as people
from fradect.simulate.chance import Flags, Floats, Ints, pick, since_start
from fradect.simulate.geography import DATA_CENTRES, HOSTS, TOWNS, UNLISTED, addresses, countries_abroad
from fradect.simulate.merchants import FASHION, SMALL_DIGITAL, fraud_weights
from fradect.simulate.purchases import (
    APP,
    CARD,
    WALLET,
    WEB,
    Pattern,
    Purchases,
    Today,
    channels,
    methods,
    price_tags,
    prices,
    purchases,
    small_prices,
    unseen,
)
from fradect.simulate.scenario import DAY, HOUR, MINUTE, time_of_day


def card_testing(today: Today, episodes: int) -> Purchases:
    """Many stolen cards, small payments, one device, one or two merchants, within minutes; a quarter goes slowly."""
    rng = today.rng
    of = _owners(4 + rng.geometric(0.14, episodes))
    n = len(of)
    gap = np.where(rng.random(episodes) < 0.25, 35 * MINUTE, 1.5 * MINUTE)
    shop = _shops(today, episodes * 2, only=SMALL_DIGITAL).reshape(episodes, 2)
    account = np.stack((_opened(today, episodes), _anyone(today, episodes)), axis=1)
    customer = account[of, _whether(rng.random(n) < rng.random(episodes)[of])]
    return purchases(
        n,
        time=_moments(today, episodes)[of] + since_start(of, rng.exponential(gap[of])),
        amount=price_tags(rng, 0.9 * small_prices(rng, n)),
        device=unseen(rng, episodes)[of],
        card=unseen(rng, n),
        customer=customer,
        merchant=shop[of, _whether(rng.random(n) < 0.3)],
        address=customer,
        ip=_exits(today, account[:, 1], of, abroad=0.35),
        method=CARD,
        channel=_online(rng, episodes)[of],
        pattern=Pattern.CARD_TESTING,
    )


def account_takeover(today: Today, episodes: int) -> Purchases:
    """An account of long standing, suddenly from a new device and country; several dear purchases in an hour or two."""
    rng, victim = today.rng, _anyone(today, episodes, for_days=90)
    of = _owners(1 + rng.geometric(0.42, episodes))
    n = len(of)
    shop = _shops(today, n)
    sent_to = np.where(rng.random(episodes) < 0.5, _drops(today, episodes), victim)
    return purchases(
        n,
        time=_moments(today, episodes)[of] + since_start(of, rng.exponential(18 * MINUTE, n)),
        amount=price_tags(rng, prices(today, victim[of], shop) * rng.uniform(1.3, 3.4, n)),
        device=unseen(rng, episodes)[of],
        card=_first_cards(today, victim[of]),
        customer=victim[of],
        merchant=shop,
        address=sent_to[of],
        ip=_exits(today, victim, of, abroad=0.6),
        return_odds=0.01,
        method=np.where(rng.random(n) < 0.75, CARD, WALLET),
        channel=_online(rng, episodes)[of],
        pattern=Pattern.ACCOUNT_TAKEOVER,
    )


def shared_device_ring(today: Today, episodes: int) -> Purchases:
    """Young accounts, each behaving well, all on two devices and three drops, for three weeks."""
    rng = today.rng
    of = _owners(rng.integers(7, 15, episodes))
    n = len(of)
    members = _opened(today, episodes * 8).reshape(episodes, 8)
    size = rng.integers(4, 9, episodes)
    customer = members[of, rng.integers(0, size[of])]
    shop = _shops(today, n)
    device = unseen(rng, episodes * 2).reshape(episodes, 2)
    drop = _drops(today, episodes * 3).reshape(episodes, 3)
    return purchases(
        n,
        time=_moments(today, n) + rng.integers(0, 21, n) * DAY,
        amount=price_tags(rng, prices(today, customer, shop) * 1.15),
        device=device[of, _whether(rng.random(n) < 0.2)],
        card=people.cards(today.seed, customer, today.day, rng.integers(0, 2, n)),
        customer=customer,
        merchant=shop,
        address=np.where(rng.random(n) < 0.6, drop[of, rng.integers(0, 3, n)], customer),
        ip=_origins(today, members[:, 0], abroad=0.15)[of],
        return_odds=0.05,
        method=methods(rng, today.world.merchants.kind[shop] == SMALL_DIGITAL),
        channel=channels(rng, n, today.drift),
        pattern=Pattern.SHARED_DEVICE_RING,
    )


def stolen_card(today: Today, episodes: int) -> Purchases:
    """A thief with the cards of several customers, who orders in their names to an address of his own for ten days."""
    rng = today.rng
    thief = _owners(rng.integers(2, 7, episodes))
    victims = len(thief)
    of = _owners(rng.integers(1, 4, victims))
    n, shop = len(of), _shops(today, len(of))
    victim = _anyone(today, victims)
    begin = _moments(today, victims) + rng.integers(0, 10, victims) * DAY
    device = unseen(rng, episodes * 3).reshape(episodes, 3)[thief, rng.integers(0, 3, victims)]
    return purchases(
        n,
        time=begin[of] + since_start(of, rng.exponential(3 * HOUR, n)),
        amount=price_tags(rng, prices(today, victim[of], shop) * rng.uniform(1.2, 3.2, n)),
        device=device[of],
        card=_first_cards(today, victim[of]),
        customer=victim[of],
        merchant=shop,
        address=_drops(today, episodes)[thief][of],
        ip=_exits(today, victim, of, abroad=0.5),
        return_odds=0.01,
        method=CARD,
        channel=_online(rng, victims)[of],
        pattern=Pattern.STOLEN_CARD,
    )


def refund_abuse(today: Today, episodes: int) -> Purchases:
    """A customer who orders much for a month and sends nearly all of it back, worn or replaced."""
    rng = today.rng
    abuser = rng.choice(today.world.customers.refund_abusers, episodes)
    of = _owners(rng.integers(5, 13, episodes))
    n, customer = len(of), abuser[of]
    shop = _shops(today, n, only=FASHION)
    return purchases(
        n,
        time=_moments(today, n) + rng.integers(0, 30, n) * DAY,
        amount=price_tags(rng, prices(today, customer, shop) * 1.35),
        device=people.phones(today.seed, customer, today.day),
        card=_first_cards(today, customer),
        customer=customer,
        merchant=shop,
        address=customer,
        ip=_origins(today, abuser, abroad=0.03, local=1.0)[of],
        return_odds=0.85,
        method=methods(rng, today.world.merchants.kind[shop] == SMALL_DIGITAL),
        channel=channels(rng, n, today.drift),
        pattern=Pattern.REFUND_ABUSE,
    )


def _owners(sizes: Ints) -> Ints:
    return np.repeat(np.arange(len(sizes)), sizes)


def _whether(flags: Flags) -> Ints:
    """0 or 1, to index the columns of a pair with."""
    return flags.astype(np.int64)


def _moments(today: Today, n: int) -> Ints:
    """Fraudsters keep shoppers' hours three times in five."""
    shoppers = time_of_day(today.rng, today.date, n)
    return today.start + np.where(today.rng.random(n) < 0.4, today.rng.integers(0, DAY, n), shoppers)


def _anyone(today: Today, n: int, for_days: int = 0) -> Ints:
    """Customers who have been there so long, the busier the likelier; the sexes take turns, so that without a bias
    neither is attacked more often by luck."""
    rng, who = today.rng, today.world.customers
    known = max(20, who.signed_up_before(today.start - for_days * DAY))
    weights, female = who.activity[:known], who.sex[:known] == people.FEMALE
    turn = (today.day + np.arange(n)) % 2 == 0
    return np.where(turn, pick(rng, weights * female, n), pick(rng, weights * ~female, n))


def _opened(today: Today, n: int) -> Ints:
    """Accounts that fraudsters opened in the six weeks before the day."""
    who = today.world.customers
    first, last = np.searchsorted(who.signup[who.honest :], (today.start - 42 * DAY, today.start))
    return who.honest + today.rng.integers(first, last, n)


def _drops(today: Today, n: int) -> Ints:
    return len(today.world.customers.signup) + today.rng.integers(0, today.world.drops, n)


def _first_cards(today: Today, customer: Ints) -> Ints:
    return people.cards(today.seed, customer, today.day, np.zeros_like(customer))


def _shops(today: Today, n: int, only: int | None = None) -> Ints:
    weights: Floats = fraud_weights(today.world.merchants, today.seed, today.day)
    if only is not None:
        weights = weights * (today.world.merchants.kind == only)
    return pick(today.rng, weights, n)


def _exits(today: Today, customer: Ints, of: Ints, abroad: float) -> Ints:
    """Where the purchases of episodes come from: each episode's address, or, for one in five, another every time."""
    rotating = today.rng.random(len(customer)) < 0.2
    fixed, changing = _origins(today, customer, abroad)[of], _origins(today, customer[of], abroad)
    return np.where(rotating[of], changing, fixed)


def _origins(today: Today, customer: Ints, abroad: float, local: float = 0.45) -> Ints:
    """An IP address in the customer's own country, or elsewhere as often as `abroad` says; in that country at least
    as often as `local` says in the customer's city, since proxies are bought near the victim. Some are in no table."""
    rng, n, home = today.rng, len(customer), today.world.customers.country[customer]
    away = rng.random(n) < abroad * (1 + 0.5 * today.drift)
    country = np.where(away, countries_abroad(rng.random(n), home, today.drift), home)
    near = ~away & (rng.random(n) < local)
    town = np.where(near, today.world.address_town[customer], rng.integers(0, TOWNS, n))
    hidden = pick(rng, np.array([0.75, 0.18, 0.07]), n)
    network = np.select([(hidden == 1) & away, (hidden == 2) & (local < 1)], [DATA_CENTRES, UNLISTED], town)
    return addresses(country, network, rng.integers(0, HOSTS, n))


def _online(rng: np.random.Generator, n: int) -> Ints:
    return np.where(rng.random(n) < 0.68, WEB, APP)
