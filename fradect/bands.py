"""Where thresholds differ by context: by channel, and by what an event is worth. The first band that fits decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.types import Value

CHANNEL, AMOUNT = "channel", "amount_base"
"""The event's fields that a band looks at. An event without one is in no band that asks for it."""

_LONGEST_NAME = 64


class Thresholds(Protocol):
    """Scores from `review` on are reviewed, from `decline` on declined."""

    @property
    def review(self) -> int: ...

    @property
    def decline(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Band:
    """Thresholds of the events of some channels (none named: all), from an amount up to, not including, another.

    Amounts are minor units of the policy's base currency.
    """

    name: str
    review: int
    decline: int
    channels: tuple[str, ...] = ()
    amount_from: int = 0
    amount_to: int | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= _LONGEST_NAME:
            raise InvalidInput(f"policy: a band's name has 1 to {_LONGEST_NAME} characters; {self.name[:80]!r} has not")
        where = f"policy: band {self.name!r}"
        check_thresholds(where, self)
        if self.amount_from < 0 or (self.amount_to is not None and self.amount_to <= self.amount_from):
            raise InvalidInput(f"{where}: need 0 <= amount_from {self.amount_from} < amount_to {self.amount_to}")
        if not self.channels and not self.asks_amount:
            raise InvalidInput(f"{where} takes every event: name channels or amounts, or change the policy's own")

    @property
    def asks_amount(self) -> bool:
        return self.amount_from > 0 or self.amount_to is not None

    def holds(self, channel: Value, amount: Value) -> bool:
        if self.channels and channel not in self.channels:
            return False
        if not self.asks_amount:
            return True
        if not isinstance(amount, int) or amount < self.amount_from:
            return False
        return self.amount_to is None or amount < self.amount_to

    def covers(self, other: "Band") -> bool:
        """Whether every event of the other is one of this band too."""
        channels = not self.channels or (bool(other.channels) and set(other.channels) <= set(self.channels))
        if not self.asks_amount:
            return channels
        reaches = self.amount_to is None or (other.amount_to is not None and other.amount_to <= self.amount_to)
        return channels and other.asks_amount and self.amount_from <= other.amount_from and reaches


@dataclass(frozen=True, slots=True)
class Cuts:
    """The thresholds of n events, one each."""

    review: npt.NDArray[np.int64]
    decline: npt.NDArray[np.int64]


def check_thresholds(where: str, thresholds: Thresholds) -> None:
    if not 0 <= thresholds.review <= thresholds.decline <= 1001:
        raise InvalidInput(f"{where}: need 0 <= review {thresholds.review} <= decline {thresholds.decline} <= 1001")


def check_bands(bands: Sequence[Band]) -> None:
    """Refuse a band that can never decide, and two of one name."""
    for i, band in enumerate(bands):
        for earlier in bands[:i]:
            if earlier.name == band.name:
                raise InvalidInput(f"policy: two bands are called {band.name!r}; rename one")
            if earlier.covers(band):
                raise InvalidInput(
                    f"policy: band {band.name!r} never decides, {earlier.name!r} before it takes all of it: "
                    "put the narrower one first"
                )


def first(bands: Sequence[Band], fields: Mapping[str, Value]) -> Band | None:
    """The band that decides an event with these fields."""
    channel, amount = fields.get(CHANNEL), fields.get(AMOUNT)
    return next((band for band in bands if band.holds(channel, amount)), None)
