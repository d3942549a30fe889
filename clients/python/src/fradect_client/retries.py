"""When a call is sent again: decided here for both clients, with no input or output of its own."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec

from fradect_client.call import Call
from fradect_client.errors import ConnectionFailed, NotFound, ProblemError, UnexpectedAnswer, error_of

T = TypeVar("T")

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_AWAY = (502, 503, 504)
_PERHAPS_DONE = (500, *_AWAY)


@dataclass(frozen=True, slots=True)
class Retry:
    """How long is gone on with. `deadline`: seconds for all tries together; no pause begins that would end after it.

    Pauses are drawn from zero to `first`, twice that, ... up to `most` seconds; an answer's Retry-After comes on top.
    """

    deadline: float = 30.0
    first: float = 0.2
    most: float = 5.0


USUAL = Retry()
NO_RETRY = Retry(deadline=0.0)


class Attempts:
    """The tries of one call, from when this is made."""

    def __init__(self, call: Call[T], retry: Retry, clock: Callable[[], float] = time.monotonic) -> None:
        self._call, self._retry, self._clock = call, retry, clock
        self._ends = clock() + retry.deadline
        self._failed = 0
        self._perhaps_done = False

    def timeout(self, usual: float) -> float:
        """Seconds the next try may wait for anything: the usual, or what the deadline leaves."""
        left = self._ends - self._clock()
        return usual if self._failed == 0 else max(0.05, min(usual, left))

    def after(self, response: httpx.Response) -> float | None:
        """Seconds to pause before the next try; None when the answer is one of success. Raises what stays wrong."""
        if response.is_success or response.status_code in self._call.also:
            return None
        error = error_of(response)
        if self._was_done(error):
            return None
        pause = self._pause(error.retry_after or 0.0) if self._may_repeat(error) else None
        self._perhaps_done |= response.status_code in _PERHAPS_DONE
        if pause is None:
            raise error
        return pause

    def after_failure(self, failure: httpx.TransportError) -> float:
        """The same where no answer came."""
        never_sent = isinstance(failure, _NEVER_SENT)
        pause = self._pause(0.0) if never_sent or self._call.repeatable else None
        self._perhaps_done |= not never_sent
        if pause is None:
            told = str(failure) or type(failure).__name__
            raise ConnectionFailed(f"{self._call.method} {self._call.path}: {told}") from failure
        return pause

    def _may_repeat(self, error: ProblemError) -> bool:
        """Overloaded and limited requests were never begun; of other failures a repeatable call alone is sure."""
        status = error.problem.status
        if status == 429:
            return error.name != "quota-exceeded"  # time does not mend it soon
        if status in _AWAY:
            return self._call.repeatable or error.name == "overloaded"
        return error.name == "request-running" and self._call.repeatable

    def _was_done(self, error: ProblemError) -> bool:
        """What a lost try of ours deleted is not there any more."""
        return self._perhaps_done and self._call.is_gone_done and isinstance(error, NotFound)

    def _pause(self, at_least: float) -> float | None:
        self._failed += 1
        pause = at_least + random.uniform(0, min(self._retry.most, self._retry.first * 2 ** min(self._failed - 1, 16)))
        return pause if self._clock() + pause < self._ends else None


def result(call: Call[T], response: httpx.Response) -> T:
    """What an answer of success says."""
    try:
        return call.read(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        told = f"{call.method} {call.path} answered {response.status_code} with what is none of FRADECT's: {error}"
        raise UnexpectedAnswer(told) from error
