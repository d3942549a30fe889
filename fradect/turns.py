"""One at a time: a thread of its own for a port that blocks, and a lock for each key in use."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from fradect.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


class OwnThread:
    """Calls run one after the other, so a port behind one has a single user. The queue is bounded."""

    def __init__(self, name: str, most_waiting: int = 256) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.name = name
        self._most = most_waiting
        self._waiting = 0

    async def call(self, within: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result, or TimeoutError after `within` seconds: a call that has begun goes on and may still succeed."""
        if self._waiting >= self._most:
            raise Unavailable(f"{self.name} is too busy; try again in a second")
        self._waiting += 1
        future = self._executor.submit(function, *args, **kwargs)
        future.add_done_callback(self._done)
        async with asyncio.timeout(within):
            return await asyncio.wrap_future(future)

    def begin(self, function: Callable[[], None]) -> bool:
        """Have it done at its turn, whoever bounds what waits; False when the thread takes nothing more."""
        try:
            self._executor.submit(function)
        except RuntimeError:  # the executor's word for closed
            return False
        return True

    def close(self) -> None:
        """Finish what was accepted."""
        self._executor.shutdown(wait=True)

    def _done(self, _: object) -> None:
        self._waiting -= 1


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Turns:
    """Holders of the same key wait for each other; a key costs nothing when nobody holds it."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, _Turn] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        turn = self._taken.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._taken[key]
