"""A dependency that keeps failing is left alone for a while, so that nobody waits for what does not answer."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
FAILURES = 5
REST_SECONDS = 1.0


class Breaker:
    """Opens when so many calls in a row failed; then one call in each rest tries whether it answers again.

    For one thread, the event loop's.
    """

    def __init__(
        self,
        name: str,
        failures: int = FAILURES,
        rest: float = REST_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._most = failures
        self._rest = rest
        self._now = now
        self._failed = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        return self._failed >= self._most

    def allows(self) -> bool:
        """Whether to call it at all; who is allowed says how it went, or nothing where it was not its fault."""
        if not self.is_open:
            return True
        now = self._now()
        if now < self._next_try:
            return False
        self._next_try = now + self._rest
        return True

    def succeeded(self) -> None:
        if self.is_open:
            log.warning("%s answers again", self.name)
        self._failed = 0

    def failed(self) -> None:
        self._failed += 1
        if self._failed == self._most:
            log.error("%s failed %d times in a row: it is tried once in %g s", self.name, self._most, self._rest)
            self._next_try = self._now() + self._rest
