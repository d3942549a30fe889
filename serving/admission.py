"""How many requests are decided at once: as many as get their answer within the budget, and not one more."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fradect.errors import Unavailable

MOST, LEAST = 256, 16
SHARE = 0.5  # of the budget may be spent on others' turns
_WINDOW_SECONDS, _BUSY = 1.0, 0.25


class Overloaded(Unavailable):
    """More is asked than can be decided in time."""

    type = "overloaded"


class Admission:
    """A bound on requests in flight, from what a decision is measured to cost: who waits for n others waits n times it.

    The cost is the processor time of this process, whatever it is spent on, by the decisions made with it. For one
    thread, the event loop's.
    """

    def __init__(self, budget_seconds: float, spent: Callable[[], float] = time.process_time) -> None:
        self._most_wait = SHARE * budget_seconds
        self._spent = spent
        self._in_flight = 0
        self._decisions = 0
        self._since = spent()
        self._began = time.monotonic()
        self.limit = LEAST * 4

    def check(self) -> None:
        """Overloaded when there is no room; costs next to nothing, so it comes first."""
        if self._in_flight >= self.limit:
            raise Overloaded("more is asked than can be decided in time; ask again in a second")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Room for one; Overloaded when there is none."""
        self.check()
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._count()

    def _count(self) -> None:
        """A window in which there was little to do says more of what else was done in it."""
        self._decisions += 1
        now = time.monotonic()
        if now - self._began < _WINDOW_SECONDS:
            return
        spent = self._spent()
        if spent - self._since >= _BUSY * (now - self._began):
            cost = (spent - self._since) / self._decisions
            self.limit = max(LEAST, min(MOST, int(self._most_wait / max(cost, 1e-6))))
        self._began, self._since, self._decisions = now, spent, 0
