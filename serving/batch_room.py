"""Room for what is decided in the background: what requests leave."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from serving.admission import Admission

WIDTH, WIDEST = 8, 64
"""Rows at once while nobody asks: enough to share commits, few enough that who asks next does not wait long. Where
somebody just asked the next is soon; the longer nobody did, the fewer there are to wait for more."""
QUIET_SECONDS, DOUBLING_SECONDS = 0.05, 0.2
TRICKLE_SECONDS = 0.01
_LOOK_SECONDS = 0.002
_DOUBLINGS = (WIDEST // WIDTH).bit_length() - 1


class SpareRoom:
    """Within the bound on all that is in flight, eight at once while no request came for 50 ms, and twice as many with
    every 0.2 s more, up to 64. Else one every 10 ms, so that a batch goes on under lasting traffic; none at all while
    half of what may be in flight is.

    For the event loop's thread.
    """

    def __init__(self, admission: Admission, now: Callable[[], float] = time.monotonic) -> None:
        self._admission, self._now = admission, now
        self._mine = self._entered = 0
        self._seen = admission.entered
        self._left = asyncio.Event()
        self._busy_at = self._began_at = float("-inf")

    async def enter(self) -> float:
        """As soon as there is room for one more, which is given back by `leave` with what this returned."""
        while not self._has_room():
            self._left.clear()
            with suppress(TimeoutError):  # what requests do is not told here
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._left.wait()
        began = self._admission.enter()
        self._mine += 1
        self._entered += 1
        self._began_at = self._now()
        return began

    def leave(self, began: float) -> None:
        self._mine -= 1
        self._left.set()
        self._admission.leave(began)

    def _has_room(self) -> bool:
        admission, now = self._admission, self._now()
        others = admission.entered - self._entered
        if others != self._seen or admission.in_flight > self._mine:
            self._seen, self._busy_at = others, now
        if 2 * admission.in_flight >= admission.limit:
            return False
        quiet = now - self._busy_at
        if quiet >= QUIET_SECONDS:
            return self._mine < WIDTH << int(min((quiet - QUIET_SECONDS) / DOUBLING_SECONDS, _DOUBLINGS))
        return not self._mine and now - self._began_at >= TRICKLE_SECONDS
