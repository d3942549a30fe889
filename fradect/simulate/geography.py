"""Countries and the networks in them."""

import numpy as np

from fradect.simulate.chance import Floats, Ints, pick

CODES = ("RU", "KZ", "BY", "AM", "UZ", "GE", "TR", "DE", "NL", "US", "CN", "AE", "TH", "GB")
CITIES = (
    "Moscow Kazan Samara Omsk Perm",
    "Almaty Astana Karaganda Aktobe Shymkent",
    "Minsk Brest Gomel Grodno Vitebsk",
    "Yerevan Gyumri Vanadzor Abovyan Kapan",
    "Tashkent Samarkand Bukhara Andijan Namangan",
    "Tbilisi Batumi Kutaisi Rustavi Gori",
    "Istanbul Ankara Izmir Bursa Antalya",
    "Berlin Hamburg Cologne Leipzig Dresden",
)
"""Five of each country in which customers live; the others are only travelled to."""

_HOME: Floats = np.array([88.0, 4, 3, 1.5, 1.5, 1, 0.5, 0.5])
_ABROAD: Floats = np.array([10.0, 6, 5, 5, 6, 7, 16, 11, 14, 8, 4, 6, 5, 5])
_DRIFTED_ABROAD: Floats = np.array([6.0, 12, 4, 9, 14, 12, 10, 7, 8, 3, 8, 9, 4, 2])
HOSTS = 1 << 19


def home_countries(rng: np.random.Generator, n: int) -> Ints:
    return pick(rng, _HOME, n)


def countries_abroad(rng: np.random.Generator, home: Ints, drift: float) -> Ints:
    """For each home country another one."""
    drawn = pick(rng, (1 - drift) * _ABROAD + drift * _DRIFTED_ABROAD, len(home))
    return np.where(drawn == home, (drawn + 5) % len(CODES), drawn)


def addresses(country: Ints, host: Ints) -> Ints:
    """IP addresses as 24 bits of 10.0.0.0/8: five of the country, the rest of the host, so no real host is named."""
    return np.asarray((country << 19) | host, dtype=np.int64)


def country_of(address: Ints) -> Ints:
    return address >> 19
