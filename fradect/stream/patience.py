"""Waiting for what is away, and complaining of what broke."""

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

from fradect.errors import Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between tries; the last one for ever."""


class Stopped(Exception):
    """Told to stop while waiting for something that is away: what is in hand is delivered again next time."""


class Patience:
    """Does things again and again while something they need is away."""

    def __init__(self, rest: Callable[[float], None], stop: Callable[[], bool], tell: Callable[[str], object]) -> None:
        self._rest, self._stop, self._tell = rest, stop, tell

    def __call__(self, do: Callable[[], T]) -> T:
        pauses = iter(PAUSES)
        pause = 0.0
        while True:
            try:
                return do()
            except Unavailable as error:
                pause = next(pauses, pause)
                log.warning("waiting: %s", error)
                self._tell(str(error))
                if self._stop():
                    raise Stopped from error
                self._rest(pause)


def complain(what: str, error: Exception) -> None:
    """Where it broke; never an error's message or a line of code, which may repeat what is personal."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("%s: %s at %s", what, type(error).__name__, " < ".join(reversed(places[-4:])))
