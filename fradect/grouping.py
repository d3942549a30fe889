"""Group commit: what concurrent requests want of a port is gathered while its thread is busy, and done in one go."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fradect.errors import Unavailable
from fradect.turns import OwnThread

A = TypeVar("A")
R = TypeVar("R")

MOST_AT_ONCE = 64
_MOST_WAITING = 1024


class NeverBegun(Unavailable):
    """The time was up while it still waited for its turn: it was not done, and will not be."""


@dataclass(slots=True, eq=False)
class _Wish(Generic[A, R]):
    """What one request wants, and where its answer goes."""

    what: A
    answer: "asyncio.Future[R]"
    begun: bool = False


class Grouped(Generic[A, R]):
    """Calls of a function that takes many and answers each: alone when it is idle, together when it is busy.

    The function gives a result or an error for each, in order; what it raises is everybody's.
    """

    def __init__(
        self, thread: OwnThread, function: Callable[[Sequence[A]], Sequence[R | Exception]], most: int = MOST_AT_ONCE
    ) -> None:
        self._thread = thread
        self._function = function
        self._most = most
        self._waiting: deque[_Wish[A, R]] = deque()
        self._turn = threading.Lock()
        self._called = False  # a run is under way, which takes whoever waits by the time it begins

    async def call(self, within: float, what: A) -> R:
        """Its own result or error. NeverBegun when the time is up before its turn; TimeoutError when it was begun,
        which says nothing of how it ends."""
        loop = asyncio.get_running_loop()
        wish: _Wish[A, R] = _Wish(what, loop.create_future())
        self._join(wish)
        timer = loop.call_later(within, self._expire, wish)
        try:
            return await wish.answer
        except asyncio.CancelledError:
            self._leave(wish)
            raise
        finally:
            timer.cancel()

    def _expire(self, wish: _Wish[A, R]) -> None:
        if wish.answer.done():
            return
        late = NeverBegun(f"{self._thread.name} did not get to it in time; ask again in a second")
        wish.answer.set_exception(late if self._leave(wish) else TimeoutError())

    def _join(self, wish: _Wish[A, R]) -> None:
        with self._turn:
            if len(self._waiting) >= _MOST_WAITING:
                raise NeverBegun(f"{self._thread.name} is too busy; ask again in a second")
            self._waiting.append(wish)
            call, self._called = not self._called, True
        if call and not self._thread.begin(self._run):
            self._leave(wish)
            raise NeverBegun(f"{self._thread.name}: the service is stopping; ask again in a second")

    def _leave(self, wish: _Wish[A, R]) -> bool:
        """Whether it still waited."""
        with self._turn:
            if not wish.begun:
                self._waiting.remove(wish)
        return not wish.begun

    def _take(self) -> list[_Wish[A, R]]:
        with self._turn:
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            for wish in taken:
                wish.begun = True
        return taken

    def _run(self) -> None:
        """In the port's thread: one group, then others have their turn before the next; at the end, all there is."""
        while True:
            taken = self._take()
            if taken:
                self._tell(taken, self._answers([wish.what for wish in taken]))
            with self._turn:
                self._called = again = bool(self._waiting)
            if not again or self._thread.begin(self._run):
                return

    def _answers(self, what: list[A]) -> Sequence[R | Exception]:
        try:
            return self._function(what)
        except Exception as error:  # noqa: BLE001  whatever it is, it is those who wait that must hear of it
            return [error] * len(what)

    def _tell(self, taken: list[_Wish[A, R]], answers: Sequence[R | Exception]) -> None:
        told: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[R], R | Exception]]] = {}
        for wish, answer in zip(taken, answers, strict=True):
            told.setdefault(wish.answer.get_loop(), []).append((wish.answer, answer))
        for loop, pairs in told.items():
            if not loop.is_closed():  # else nobody waits there any more
                loop.call_soon_threadsafe(_settle, pairs)


def _settle(pairs: "list[tuple[asyncio.Future[R], R | Exception]]") -> None:
    for future, answer in pairs:
        if future.done():  # its request was given up
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
