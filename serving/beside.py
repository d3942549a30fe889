"""While a challenger is tried: whoever did not decide an event is asked afterwards, and what both said is kept.

Nobody waits for it. What waits is bounded: more than that is left out, and counted.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from fradect.beside import said_beside
from fradect.decide import Champion, Decided, Decider, Request
from fradect.errors import Conflict, InvalidInput, Unavailable
from fradect.pairs import Pair, Said
from fradect.ports import Pairs
from fradect.turns import give_way
from fradect.types import DAY
from serving.champions import Deciding

MOST_WAITING = 2_000  # decisions that nobody was asked about yet
MOST_UNKEPT = 10_000  # pairs, while the database is away
KEPT = 400 * DAY
TOGETHER, EVERY_SECONDS = 64, 0.5  # more at once would hold the interpreter longer than requests like to wait

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One event that a release decided, or failed to, and who could have."""

    deciding: Deciding
    by: Champion
    request: Request
    decided: Decided | None
    took_us: int
    failed: str = ""


class Beside:
    """Decides, and has what was decided looked at by the other release. `part`: a keyed hash; see fradect/rollout.py.

    `counted` is told of each pair: its module, and whether they agreed, differed, failed, or were left out.
    """

    def __init__(
        self, pairs: Pairs, part: Callable[[bytes], bytes], now: Callable[[], int], counted: Callable[[str, str], None]
    ) -> None:
        self._pairs, self._part, self._now, self._counted = pairs, part, now, counted
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._unkept: list[Pair] = []
        self._alike: dict[tuple[str, str], bool] = {}
        self._thread = threading.Thread(target=self._run, name="beside", daemon=True)
        self._thread.start()

    async def decide(self, decider: Decider, deciding: Deciding, request: Request) -> Decided:
        """The decision of whoever decides this event; see Decider.decide."""
        by = deciding.of(request.event)
        if deciding.challenger is None:
            return await decider.decide(request, by)
        began = time.perf_counter()
        try:
            decided = await decider.decide(request, by)
        except (Conflict, InvalidInput, asyncio.CancelledError):  # the caller's own
            raise
        except Exception as error:
            took_us = int((time.perf_counter() - began) * 1e6)
            self._put(_Asked(deciding, by, request, None, took_us, type(error).__name__))
            raise
        if decided.decision is not None:
            self._put(_Asked(deciding, by, request, decided, decided.decision.timings_us["total"]))
        return decided

    def sweep(self) -> None:
        """Forget pairs that no trial can still be judged by. For one worker of the service."""
        self._pairs.forget(self._now() - KEPT)

    def close(self) -> None:
        """Finish what waits, keep it once more."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, asked: _Asked) -> None:
        if self._queue.qsize() >= MOST_WAITING:
            self._counted(asked.request.event.module, "left_out")
        else:
            self._queue.put(asked)

    def _run(self) -> None:
        give_way()
        goes_on, due = True, time.monotonic() + EVERY_SECONDS
        while goes_on:
            with suppress(Empty):
                asked = self._queue.get(timeout=max(0.0, due - time.monotonic()))
                goes_on = asked is not None
                if asked is not None:
                    self._ask(asked)
                    time.sleep(0)  # the interpreter's lock goes to whoever answers
            if len(self._unkept) >= TOGETHER or time.monotonic() >= due or not goes_on:
                self._keep()
                due = time.monotonic() + EVERY_SECONDS

    def _ask(self, asked: _Asked) -> None:
        try:
            pair = self._pair(asked)
        except Exception:  # a thread that ended would end the trial without a word
            log.exception("a decision could not be laid beside another")
            return
        self._counted(pair.module, _result(pair))
        self._unkept.append(pair)

    def _keep(self) -> None:
        """Those that the database does not take wait for the next time, as long as there are not too many."""
        try:
            self._pairs.record(self._unkept)
        except Unavailable as error:
            log.warning("%s", error)
            for pair in self._unkept[:-MOST_UNKEPT]:
                self._counted(pair.module, "left_out")
            del self._unkept[:-MOST_UNKEPT]
        else:
            self._unkept.clear()

    def _pair(self, asked: _Asked) -> Pair:
        deciding, event = asked.deciding, asked.request.event
        rollout, decision = deciding.rollout, asked.decided and asked.decided.decision
        by_challenger = asked.by is deciding.challenger
        here, there = self._said(asked), self._said_by_other(asked)
        amount = event.fields.get("amount_base")
        subject = self._part(f"pair\0{event.tenant_id}\0{deciding.subject(event)}".encode())
        return Pair(
            tenant_id=event.tenant_id,
            module=event.module,
            challenger=rollout.challenger or "",
            champion=rollout.release,
            share=rollout.share,
            decision_id=decision.decision_id if decision else None,
            decided_at=decision.decided_at if decision else self._now(),
            subject=int.from_bytes(subject[:8], "big", signed=True),
            amount=int(amount) if isinstance(amount, int) else 0,
            by_challenger=by_challenger,
            request_us=asked.took_us,
            theirs=there if by_challenger else here,
            ours=here if by_challenger else there,
        )

    def _said(self, asked: _Asked) -> Said:
        decided = asked.decided
        if decided is None or decided.decision is None:
            return Said(failed=asked.failed)
        decision = decided.decision
        return Said(decision.judged, decision.score, decision.degraded, decision.timings_us["judgement"])

    def _said_by_other(self, asked: _Asked) -> Said:
        """Where nothing was decided, there is nothing to look at."""
        deciding, made = asked.deciding, asked.decided and asked.decided.made
        other = deciding.champion if asked.by is deciding.challenger else deciding.challenger
        if not made or other is None:
            return Said()
        return said_beside(made, other, alike=self._are_alike(asked.by, other))

    def _are_alike(self, one: Champion, other: Champion) -> bool:
        """Whether both read the same features: to compare contracts takes as long as a decision."""
        names = (one.release.id, other.release.id)
        if names not in self._alike:
            self._alike[names] = one.release.contract == other.release.contract
        return self._alike[names]


def _result(pair: Pair) -> str:
    if pair.ours.action is None or pair.theirs.action is None:
        return "failed"
    return "agreed" if pair.ours.action == pair.theirs.action else "differed"
