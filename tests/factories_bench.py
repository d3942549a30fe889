"""A decider over memory, for tests that break one of the things it stands on."""

import threading
from dataclasses import dataclass, field

from fradect.decide import Champion, Decided, Decider, Ports, Request, Source
from fradect.ports import Record, Stored
from fradect.turns import OwnThread
from fradect.types import Event
from tests.factories_decision import NOON, MemoryBatch, MemoryLedger, MemoryState, purchase, toy_loaded


@dataclass
class Bench:
    """A decider over memory, and what it stands on."""

    state: MemoryState = field(default_factory=MemoryState)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    batch: MemoryBatch = field(default_factory=MemoryBatch)
    threads: tuple[OwnThread, OwnThread, OwnThread, OwnThread] = field(
        default_factory=lambda: (OwnThread("state"), OwnThread("batch"), OwnThread("ledger"), OwnThread("reads"))
    )
    budget_ms: int = 2_000
    contract: str = "ecommerce/standard"
    made: int = 0

    def decider(self) -> Decider:
        return Decider(Ports(self.state, self.ledger, *self.threads), self.budget_ms, self.source)

    @property
    def source(self) -> Source:
        return Source(lambda: NOON + 1, self._new_id)

    @property
    def champion(self) -> Champion:
        return Champion(toy_loaded(self.contract), self.batch)

    def _new_id(self) -> str:
        self.made += 1
        return f"dec_{self.made}"

    async def decide(self, request: Request) -> Decided:
        return await self.decider().decide(request, self.champion)


@dataclass
class SlowLedger(MemoryLedger):
    """Writes when it is released, or after five seconds."""

    release: threading.Event = field(default_factory=threading.Event)

    def commit(self, record: Record) -> Stored:
        self.release.wait(5)
        return super().commit(record)


def asked(event: Event | None = None, digest: str = "d1", *, explain: bool = True) -> Request:
    return Request(event or purchase(), "req_1", digest, explain)
