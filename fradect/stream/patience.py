"""Waiting for what is away, and complaining of what broke."""

import logging
import time
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


class GivenUp(Stopped):
    """The same, when what is away has been waited for long enough."""


class Patience:
    """Does things again and again while something they need is away; `most`: seconds, None for ever.

    One line tells that it waits, another that it goes on.
    """

    def __init__(
        self,
        rest: Callable[[float], None],
        stop: Callable[[], bool],
        tell: Callable[[str], object],
        most: float | None = None,
    ) -> None:
        self._rest, self._stop, self._tell = rest, stop, tell
        self._most = float("inf") if most is None else most

    def __call__(self, do: Callable[[], T]) -> T:
        pauses = iter(PAUSES)
        began, pause, said = time.monotonic(), 0.0, ""
        while True:
            try:
                done = do()
            except Unavailable as error:
                words, pause = str(error), next(pauses, pause)
                if words != said:
                    log.warning("waiting: %s", words)
                    said = words
                self._tell(words)
                left = began + self._most - time.monotonic()
                if self._stop() or left <= 0:
                    raise (Stopped if self._stop() else GivenUp)(words) from error
                self._rest(min(pause, left))
            else:
                if said:
                    log.warning("going on, after %.0f s", time.monotonic() - began)
                return done


def complain(what: str, error: Exception) -> None:
    """Where it broke; never an error's message or a line of code, which may repeat what is personal."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("%s: %s at %s", what, type(error).__name__, " < ".join(reversed(places[-4:])))
