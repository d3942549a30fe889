"""The relay of webhooks: one event loop that hands on, leases, sends and settles, turn by turn.

Every endpoint is a lane of its own. A lane that delivers widens until it sends sixteen at once; one that fails sends
one at a time. So a receiver that hangs holds up its own messages, and never more than one connection of everybody's.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fradect.adapters.webhook_queue import LEASE, Leased, Told, Tried, WebhookQueue
from fradect.deliveries import Attempt, State, fate
from fradect.errors import Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

_WIDEST = 16
_AT_ONCE = 256
"""Tries under way beyond which every lane gets one at a time."""


class Sender(Protocol):
    """One try."""

    async def send(self, told: Told, leased: Leased) -> Attempt: ...


@dataclass(frozen=True, slots=True)
class Rhythm:
    """In seconds: how often there is a look for work, and for what is old; how long to leave a database alone that
    failed; how long tries under way are waited for when it ends."""

    look: float = 0.25
    prune: float = 0.5
    away: float = 2.0
    ending: float = 5.0


@dataclass(slots=True)
class _Lane:
    width: int = 1
    sending: int = 0


@dataclass(slots=True)
class Relay:
    """`counts` grows: tries by what came of them, "delivered", "failed" (tried again later) and "dead"."""

    queue: WebhookQueue
    sender: Sender
    rhythm: Rhythm = field(default_factory=Rhythm)
    now: Callable[[], int] = lambda: time.time_ns() // 1000
    draw: Callable[[], float] = random.random
    counts: Counter[str] = field(default_factory=Counter)
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _tried: list[Tried] = field(default_factory=list)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "webhook queue"))
    _pruned: float = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until it is told to stop. A database that is away is asked again; nothing is lost by it."""
        while not stop.is_set():
            try:
                is_busy = await self.turn()
            except Unavailable as error:
                log.warning("%s", error)
                await _sleep(stop, self.rhythm.away)
                continue
            if not is_busy:
                await self._rest(stop)
        await self._end()

    async def turn(self) -> bool:
        """Settle, hand on, lease and begin to send; whether the next turn has work already."""
        await self._settle()
        now = self.now()
        told = await self._do(self.queue.told, now)
        handed_on, fresh = await self._do(self.queue.hand_on, told, now)
        by_id = {one.id: one for one in told}
        await self._send(by_id, {one.id for one in told if one.is_due} | fresh)
        self._lanes = {id_: lane for id_, lane in self._lanes.items() if lane.sending or id_ in by_id}
        await self._prune(is_wanted=bool(told))
        return handed_on > 0

    async def _settle(self) -> None:
        tried = self._tried[:]
        if tried:
            await self._do(self.queue.settle, tried)
            del self._tried[: len(tried)]

    async def _send(self, told: Mapping[str, Told], due: set[str]) -> None:
        wanted = {endpoint_id: free for endpoint_id in due if (free := self._free(endpoint_id)) > 0}
        if not wanted:
            return
        for leased in await self._do(self.queue.lease, wanted, self.now()):
            self._lanes[leased.endpoint_id].sending += 1
            task = asyncio.create_task(self._try(told[leased.endpoint_id], leased))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    def _free(self, endpoint_id: str) -> int:
        lane = self._lanes.setdefault(endpoint_id, _Lane())
        width = lane.width if len(self._sending) < _AT_ONCE else 1
        return width - lane.sending

    async def _try(self, told: Told, leased: Leased) -> None:
        lane = self._lanes[leased.endpoint_id]
        try:
            if self.now() > leased.until - LEASE // 2:  # this process slept: somebody else may have it by now
                return
            attempt = await self.sender.send(told, leased)
            lane.width = min(2 * lane.width, _WIDEST) if attempt.is_delivered else 1
            now = self.now()
            its = fate(attempt, leased.attempts, now, self.draw())
            self.counts["failed" if its.state == State.WAITING else str(its.state)] += 1
            self._tried.append(Tried(leased, attempt, its, now))
        finally:
            lane.sending -= 1

    async def _prune(self, *, is_wanted: bool) -> None:
        if time.monotonic() - self._pruned >= self.rhythm.prune:
            self._pruned = time.monotonic()
            await self._do(lambda: self.queue.prune(self.now(), is_wanted=is_wanted))

    async def _rest(self, stop: asyncio.Event) -> None:
        """Until a try is over, or it is time to look."""
        if self._tried:
            return
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait(
                {stopping, *self._sending}, timeout=self.rhythm.look, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
        await asyncio.sleep(0.01)  # what ends together is settled together

    async def _end(self) -> None:
        """What is not over by then is due again when its lease ends."""
        if self._sending:
            _, late = await asyncio.wait(set(self._sending), timeout=self.rhythm.ending)
            for task in late:
                task.cancel()
        try:
            await self._settle()
        except Unavailable as error:
            log.warning("%s", error)
        self._thread.shutdown()

    async def _do(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
