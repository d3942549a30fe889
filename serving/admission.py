"""How many requests are decided at once: as many as get their answer within the budget, and not one more."""

import time
from collections.abc import Callable

from fradect.errors import Unavailable

MOST, LEAST = 256, 8
SHARE = 1 / 3  # of the budget may be spent on others' turns; features, which have half of it, must not miss theirs
_WINDOW_SECONDS, _BUSY = 0.5, 0.25


class Overloaded(Unavailable):
    """More is asked than can be decided in time."""

    type = "overloaded"


class Admission:
    """A bound on requests in flight, learnt from what decisions are measured to take.

    Who waits for n others waits n times what one costs: processor time of this process, whatever it is spent on, by
    the decisions made with it. Where the processor is shared with others that is too hopeful, so the bound also
    shrinks while it is reached and decisions take longer than they should, and then grows again. For one thread, the
    event loop's.
    """

    def __init__(
        self,
        budget_seconds: float,
        spent: Callable[[], float] = time.process_time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_wait = SHARE * budget_seconds
        self._spent, self._now = spent, now
        self._in_flight = self.entered = 0
        self._ceiling = MOST
        self.limit = LEAST * 8
        self._window(now(), spent())

    def has_room(self) -> bool:
        """Costs next to nothing, so it is asked first; who is let in may find none after all."""
        if self._in_flight < self.limit:
            return True
        self._is_full = True
        return False

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def is_tight(self) -> bool:
        """Whether what is left is for those alone who do not crowd."""
        return self._in_flight * 4 >= self.limit * 3

    def turned_away(self) -> None:
        """Somebody was who crowds: to what is learnt it is as if there had been no room."""
        self._is_full = True

    def check(self) -> None:
        """Overloaded when there is no room."""
        if not self.has_room():
            raise Overloaded("more is asked than can be decided in time; ask again in a second")

    def enter(self) -> float:
        """Room for one until it is given back by `leave`, which takes the answer; Overloaded when there is none."""
        self.check()
        now = self._now()
        if not self._in_flight and now - self._since >= _WINDOW_SECONDS:
            self._window(now, self._spent())  # what was spent while nobody asked was not spent on decisions
        self._in_flight += 1
        self.entered += 1
        return now

    def leave(self, began: float) -> None:
        self._in_flight -= 1
        self._count(began)

    def _count(self, began: float) -> None:
        now = self._now()
        self._decisions += 1
        self._taken += now - began
        if now - self._since < _WINDOW_SECONDS:
            return
        spent = self._spent()
        self._learn(now - self._since, spent - self._spent_before)
        self._window(now, spent)

    def _learn(self, elapsed: float, spent: float) -> None:
        """A window in which there was little to do says more of what else was done in it."""
        if spent >= _BUSY * elapsed:
            self._ceiling = max(LEAST, min(MOST, int(self._most_wait * self._decisions / spent)))
        wanted = self.limit
        if self._is_full:
            mean = self._taken / self._decisions
            wanted = round(self.limit * max(0.5, min(1.25, self._most_wait / max(mean, 1e-6))))
        elif spent >= _BUSY * elapsed:
            wanted = max(self.limit, self._ceiling)
        self.limit = max(LEAST, min(self._ceiling, wanted))

    def _window(self, now: float, spent: float) -> None:
        self._since, self._spent_before = now, spent
        self._decisions, self._taken, self._is_full = 0, 0.0, False
