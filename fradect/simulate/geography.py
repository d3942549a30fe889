"""Countries, the networks in them, and the table that says where those are."""

import numpy as np

from fradect.simulate.chance import Floats, Ints, Purpose, below, pick, pick_cumulative

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

_WHERE = """
55.75 37.62, 55.79 49.12, 53.20 50.15, 54.99 73.37, 58.01 56.25
43.24 76.95, 51.13 71.43, 49.80 73.10, 50.28 57.17, 42.32 69.60
53.90 27.56, 52.10 23.73, 52.44 31.00, 53.68 23.83, 55.19 30.20
40.18 44.51, 40.79 43.85, 40.81 44.49, 40.27 44.63, 39.21 46.41
41.30 69.24, 39.65 66.96, 39.77 64.42, 40.78 72.34, 41.00 71.67
41.72 44.79, 41.64 41.64, 42.25 42.70, 41.55 44.99, 41.98 44.11
41.01 28.98, 39.93 32.86, 38.42 27.14, 40.18 29.06, 36.90 30.69
52.52 13.41, 53.55 9.99, 50.94 6.96, 51.34 12.37, 51.05 13.74
52.37 4.90, 51.92 4.48, 52.08 4.31, 52.09 5.12, 51.44 5.48
40.71 -74.01, 41.88 -87.63, 29.76 -95.37, 34.05 -118.24, 25.76 -80.19
39.90 116.41, 31.23 121.47, 23.13 113.26, 22.54 114.06, 30.57 104.07
25.20 55.27, 24.45 54.38, 25.35 55.42, 25.41 55.51, 25.13 56.33
13.76 100.50, 7.88 98.39, 12.93 100.88, 18.79 98.98, 9.51 100.01
51.51 -0.13, 53.48 -2.24, 52.49 -1.89, 53.80 -1.55, 55.86 -4.25"""
"""Latitude and longitude of five cities, a country a line."""

_HOME: Floats = np.array([88.0, 4, 3, 1.5, 1.5, 1, 0.5, 0.5])
_ABROAD: Floats = np.array([10.0, 6, 5, 5, 6, 7, 16, 11, 14, 8, 4, 6, 5, 5])
_DRIFTED_ABROAD: Floats = np.array([6.0, 12, 4, 9, 14, 12, 10, 7, 8, 3, 8, 9, 4, 2])

TOWNS = 5
NATIONAL, DATA_CENTRES, UNLISTED = 5, 6, 7
"""Beside a network for each of five cities, a country has one that carriers use everywhere, one of gateways, and one
that no table lists. The first two are where their owners are: in the first city."""

HOSTS = 1 << 16


def home_countries(rng: np.random.Generator, n: int) -> Ints:
    return pick(rng, _HOME, n)


def home_towns(seed: int, keys: Ints) -> Ints:
    """Which of its country's five cities each household, or address, is in."""
    return below(seed, Purpose.TOWN, keys, TOWNS)


def countries_abroad(chance: Floats, home: Ints, drift: float) -> Ints:
    """For each home country another one; `chance`: a number in [0, 1) for each."""
    drawn = pick_cumulative(np.cumsum((1 - drift) * _ABROAD + drift * _DRIFTED_ABROAD), chance)
    return np.where(drawn == home, (drawn + 5) % len(CODES), drawn)


def addresses(country: Ints, network: Ints, host: Ints) -> Ints:
    """IP addresses as 24 bits of 10.0.0.0/8, so that no real host is named: five bits of the country, three of one of
    its networks, the rest of the host."""
    return np.asarray((country << 19) | (network << 16) | host, dtype=np.int64)


def country_of(address: Ints) -> Ints:
    return address >> 19


def range_table() -> str:
    """Where all networks are, as `fradect import` reads it; the same for every scenario."""
    lines = ["# The networks of simulated trade: a city's, a country's carriers', its data centres'."]
    lines.append("first,last,country,latitude,longitude")
    for country, cities in enumerate(_WHERE.strip().splitlines()):
        points = [point.split() for point in cities.split(", ")]
        for network in range(UNLISTED):
            latitude, longitude = points[network if network < TOWNS else 0]
            lines.append(f"10.{country << 3 | network}.0.0/16,,{CODES[country]},{latitude},{longitude}")
    return "\n".join(lines) + "\n"
