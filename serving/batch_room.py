"""Room for what is decided in the background: what requests leave."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving.admission import Admission

WIDTH = 8
"""Rows at once while nobody asks: enough to share commits, few enough that who asks next does not wait long."""
QUIET_SECONDS = 0.05
TRICKLE_SECONDS = 0.01
_LOOK_SECONDS = 0.002


class SpareRoom:
    """Within the bound on all that is in flight, up to eight at once while no request came for 50 ms. Else one every
    10 ms, so that a batch goes on under lasting traffic; none at all while half of what may be in flight is.

    For the event loop's thread.
    """

    def __init__(self, admission: Admission, now: Callable[[], float] = time.monotonic) -> None:
        self._admission, self._now = admission, now
        self._mine = self._entered = 0
        self._seen = admission.entered
        self._busy_at = self._began_at = float("-inf")

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """As soon as there is room for one more."""
        while not self._has_room():
            await asyncio.sleep(_LOOK_SECONDS)
        began = self._admission.enter()
        self._mine += 1
        self._entered += 1
        self._began_at = self._now()
        try:
            yield
        finally:
            self._mine -= 1
            self._admission.leave(began)

    def _has_room(self) -> bool:
        admission, now = self._admission, self._now()
        others = admission.entered - self._entered
        if others != self._seen or admission.in_flight > self._mine:
            self._seen, self._busy_at = others, now
        if 2 * admission.in_flight >= admission.limit:
            return False
        if now - self._busy_at >= QUIET_SECONDS:
            return self._mine < WIDTH
        return not self._mine and now - self._began_at >= TRICKLE_SECONDS
