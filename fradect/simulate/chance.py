"""Where every random number of the simulator comes from.

Two sources: streams, one per purpose and day, and hashes of identifiers. Neither depends on what other days or
purposes drew, so that a switch that is turned on for one day cannot change another.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TO_UNIT = 2.0**-53


class Purpose(IntEnum):
    """Names a stream or a hash; the numbers are part of what a seed means."""

    CUSTOMERS = 1
    OPENED_FOR_FRAUD = 2
    MERCHANTS = 3
    TEXTS = 4
    HONEST = 5
    CAMPAIGNS = 6
    LABELS = 7
    HOME_IP = 8
    PHONE_LIFE = 9
    CARD_LIFE = 10
    TRIP = 11
    COMPROMISE = 12
    GATEWAY = 13
    BROWSER = 14
    FLASH_SALE = 15
    DEVICE_TOKEN = 16
    CARD_TOKEN = 17
    CUSTOMER_TOKEN = 18
    TOWN = 19


def stream(seed: int, purpose: Purpose, *path: int) -> np.random.Generator:
    """The stream of one purpose; `path` (day, pattern) must not be negative."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(purpose), *path])))


def mixed(seed: int, purpose: Purpose, keys: Ints) -> NDArray[np.uint64]:
    """A 64-bit hash of every key, the splitmix64 finaliser: the same key always gives the same bits."""
    salt = np.uint64((seed * 1_000_003 + int(purpose) * 7_919) % 2**64)
    bits = (keys.astype(np.uint64) + salt) * _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)), dtype=np.uint64)


def unit(seed: int, purpose: Purpose, keys: Ints) -> Floats:
    """A number in [0, 1) that belongs to the key for good."""
    return (mixed(seed, purpose, keys) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def below(seed: int, purpose: Purpose, keys: Ints, bound: int) -> Ints:
    """A whole number in [0, bound) that belongs to the key for good."""
    return (mixed(seed, purpose, keys) % np.uint64(bound)).astype(np.int64)


def pick(rng: np.random.Generator, weights: Floats, n: int) -> Ints:
    """`n` indices drawn in proportion to `weights`."""
    return pick_cumulative(np.cumsum(weights), rng.random(n))


def pick_cumulative(cumulative: Floats, chance: Floats) -> Ints:
    """An index for each chance in [0, 1), by weights that are already summed up: one binary search each."""
    at = np.searchsorted(cumulative, chance * cumulative[-1], side="right")
    return np.asarray(np.minimum(at, len(cumulative) - 1), dtype=np.int64)


def since_start(owner: Ints, gaps: Floats) -> Ints:
    """Running sums of `gaps`, each owner's from zero. `owner` is sorted and the first gap of an owner counts not."""
    first = np.empty(len(owner), dtype=bool)
    first[:1] = True
    first[1:] = owner[1:] != owner[:-1]
    total = np.cumsum(gaps.astype(np.int64))
    return np.asarray(total - total[first][np.cumsum(first) - 1], dtype=np.int64)
