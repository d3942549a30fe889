"""One at a time: a thread of its own for a port that blocks, and a lock for each key in use."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, cast

from fradect.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """What is to be done, and who waits for it."""

    function: Callable[[], object]
    answer: "asyncio.Future[object]"
    loop: asyncio.AbstractEventLoop


class OwnThread:
    """Calls run one after the other, so a port behind one has a single user. The queue is bounded.

    A thread of the standard library's pool does the same for three times the cost.
    """

    def __init__(self, name: str, most_waiting: int = 256) -> None:
        self.name = name
        self._most = most_waiting
        self._asked = self._finished = 0  # each is counted in one thread only
        self._queue: SimpleQueue[_Call | Callable[[], None] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, within: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result, or TimeoutError after `within` seconds: a call that has begun goes on and may still succeed."""
        if self._asked - self._finished >= self._most:
            raise Unavailable(f"{self.name} is too busy; try again in a second")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._put(_Call(partial(function, *args, **kwargs), answer, loop)):
            raise Unavailable(f"{self.name}: the service is stopping; ask again in a second")
        self._asked += 1
        timer = loop.call_later(within, _expire, answer)
        try:
            return cast("T", await answer)
        finally:
            timer.cancel()

    def begin(self, function: Callable[[], None]) -> bool:
        """Have it done at its turn, whoever bounds what waits; False when the thread takes nothing more."""
        return self._put(function)

    def close(self) -> None:
        """Finish what was accepted."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _put(self, what: "_Call | Callable[[], None]") -> bool:
        with self._turn:
            if not self._closed:
                self._queue.put(what)
            return not self._closed

    def _run(self) -> None:
        give_way()
        while (what := self._queue.get()) is not None:
            if isinstance(what, _Call):
                self._answer(what)
                self._finished += 1
            else:
                self._do(what)

    def _answer(self, call: _Call) -> None:
        if call.answer.done():  # nobody waits for it any more
            return
        try:
            result, error = call.function(), None
        except BaseException as raised:  # noqa: BLE001  whatever it is, it is the caller's, and the thread goes on
            result, error = None, raised
        with suppress(RuntimeError):  # the loop is closed, and whoever waited is gone with it
            call.loop.call_soon_threadsafe(_settle, call.answer, result, error)

    def _do(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception:  # nobody waits for it, and a thread that ended would leave everybody after it waiting
            log.exception("%s failed", self.name)


def give_way() -> None:
    """This thread, once woken, waits until the event loop pauses instead of taking its place on the core.

    Without it every answer of a database interrupts the loop, only to find that the loop holds the interpreter's lock:
    two switches for nothing, a quarter of a request's processor time where the two share a core.
    """
    with suppress(AttributeError, OSError):  # not Linux, or not allowed: dearer, and right all the same
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _settle(answer: "asyncio.Future[object]", result: object, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _expire(answer: "asyncio.Future[object]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


class Turn:
    """The turns at one key: `async with` takes the next, and gives it back."""

    __slots__ = ("_key", "_lock", "_taken", "_users")

    def __init__(self, key: Hashable, taken: "dict[Hashable, Turn]") -> None:
        self._key, self._taken = key, taken
        self._lock = asyncio.Lock()
        self._users = 0

    async def __aenter__(self) -> None:
        self._users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_raised: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            del self._taken[self._key]


class Turns:
    """Holders of the same key wait for each other; a key costs nothing when nobody holds it."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, Turn] = {}

    def of(self, key: Hashable) -> Turn:
        """To be entered at once: one that never is stays."""
        turn = self._taken.get(key)
        if turn is None:
            turn = self._taken[key] = Turn(key, self._taken)
        return turn
