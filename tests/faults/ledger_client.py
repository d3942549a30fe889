"""Callers of a ledger, in this process or in one that is killed: each gets its answer, or says that it did not."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from fradect.adapters import ledger_sql
from fradect.adapters.ledger_sql import SqlLedger
from fradect.crash import armed
from fradect.errors import Unavailable, Uncertain
from fradect.grouping import Grouped
from fradect.ports import Asked, Record, Stored
from fradect.turns import OwnThread
from fradect.types import Action, Decision, Event, Value, Vector

CLIENTS = 8


def record_of(event_id: str) -> Record:
    """A purchase decided anew: another decision id and another answer each time it is asked for."""
    drawn = os.urandom(8).hex()
    fields: dict[str, Value] = {"amount": 1000, "currency": "RUB", "customer_id": "c1"}
    decision = Decision(
        decision_id=f"dec_{drawn}",
        request_id="req_1",
        event_id=event_id,
        tenant_id="demo",
        module="ecommerce",
        action=Action.APPROVE,
        score=7,
        probability=0.007,
        factors=(),
        release_id="rel_0000000000000000",
        vector=Vector(("a",), (1.0,)),
        seq=None,
        decided_at=time.time_ns() // 1000,
        degraded=(),
        could_not_run=(),
        timings_us={"total": 1},
    )
    event = Event(event_id, "demo", "ecommerce", 1, 1, fields)
    key = drawn.ljust(64, "0") if event_id.endswith("7") else None
    return Record(event, decision, "transaction", "d" * 64, {}, f'{{"drawn":"{drawn}"}}'.encode(), key)


@dataclass
class Callers:
    """What they were told: answers by event, and for each failure how long it took (seconds) and whether the outcome
    is known."""

    within: float = 0.3
    answers: dict[str, bytes] = field(default_factory=dict)
    failures: list[tuple[float, bool]] = field(default_factory=list)

    async def call(
        self, finding: "Grouped[Asked, Stored | None]", writing: "Grouped[Record, Stored]", name: str
    ) -> bool:
        began = time.monotonic()
        try:
            stored = await finding.call(self.within, Asked("demo", "ecommerce", name))
            stored = stored or await writing.call(self.within, record_of(name))
        except (Unavailable, TimeoutError) as error:
            self.failures.append((time.monotonic() - began, not isinstance(error, Uncertain | TimeoutError)))
            return False
        self.answers[name] = stored.answer
        return True

    async def all(self, ledger: SqlLedger, names: Sequence[str], *, patience: float = 0.0) -> None:
        """Every name once, eight at a time; what failed is asked for again until the patience (seconds) is over."""
        thread = OwnThread("ledger")
        finding: Grouped[Asked, Stored | None] = Grouped(thread, ledger.find_many)
        writing: Grouped[Record, Stored] = Grouped(thread, ledger.commit_many)
        left = list(reversed(names))
        deadline = time.monotonic() + patience

        async def client() -> None:
            while left:
                name = left.pop()
                if not await self.call(finding, writing, name) and time.monotonic() < deadline:
                    left.append(name)
                    await asyncio.sleep(0.02)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        await asyncio.get_running_loop().run_in_executor(None, thread.close)


class Told(dict[str, bytes]):
    """Sends each answer out of the process before the next request is made."""

    def __init__(self, out: Connection) -> None:
        super().__init__()
        self._out = out

    def __setitem__(self, name: str, answer: bytes) -> None:
        self._out.send_bytes(name.encode() + b" " + answer)


def work(url: str, names: Sequence[str], crash_at: str, out: Connection) -> None:
    """In a process of its own: answers go out one by one; dies at the point, if it comes there."""
    vars(ledger_sql)["crash_point"] = armed(crash_at)
    ledger = SqlLedger(url)
    callers = Callers(within=30.0, answers=Told(out))
    out.send_bytes(b"ready")
    asyncio.run(callers.all(ledger, names))
    ledger.close()
