"""A ledger with endpoints and a relay over it, and a clock that can be put forward."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.outward import Guard
from fradect.adapters.tables import outbox
from fradect.adapters.vault import HomeVault
from fradect.adapters.webhook_deliveries import SqlDeliveries
from fradect.adapters.webhook_endpoints import SqlEndpoints
from fradect.adapters.webhook_queue import Kept, WebhookQueue
from fradect.adapters.webhook_relay import Relay, Rhythm
from fradect.adapters.webhook_sender import Limits, WebhookSender
from fradect.deliveries import CREATED, UPDATED, Delivery, Endpoint, Page
from fradect.ports import Stored
from fradect.webhooks import new_secret
from tests.factories_decision import NOON, record
from tests.factories_receiver import ON_LOOPBACK

QUICK = Limits(connect=0.5, whole=1.0)


@dataclass
class Clock:
    """Goes as time goes, from the noon at which the factories decide."""

    ahead: int = 0
    began: float = field(default_factory=time.monotonic)

    def __call__(self) -> int:
        return NOON + self.ahead + int((time.monotonic() - self.began) * 1e6)


class Town:
    """One database and everybody in it."""

    def __init__(self, url: str, home: Path, kept: Kept | None = None) -> None:
        self.ledger = SqlLedger(url)
        self.engine = self.ledger.engine
        self.vault = HomeVault(home)
        self.clock = Clock()
        self.endpoints = SqlEndpoints(self.engine, self.vault)
        self.deliveries = SqlDeliveries(self.engine)
        self._kept = kept

    def close(self) -> None:
        self.ledger.close()

    def queue(self) -> WebhookQueue:
        return WebhookQueue(self.engine, self.vault, self._kept)

    def listen(self, url: str, *events: str, tenant: str = "demo", secret: str | None = None) -> Endpoint:
        """Since a second before anything was decided."""
        asked = Endpoint("", tenant, url, events or (CREATED, UPDATED), "", NOON - 1_000_000)
        return self.endpoints.register(asked, secret or new_secret())

    def decide(self, *names: str, tenant: str = "demo") -> None:
        stored = self.ledger.commit_many([record(name, tenant=tenant) for name in names])
        assert all(isinstance(one, Stored) for one in stored), stored

    def told_of(self, endpoint: Endpoint, **page: object) -> list[Delivery]:
        return self.deliveries.listed(endpoint.tenant_id, endpoint.id, Page(**({"most": 100} | page)))  # type: ignore[arg-type]

    def waiting(self) -> int:
        """Rows of the outbox that were not handed on."""
        with self.engine.connect() as connection:
            count = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.delivered_at.is_(None))
            return int(connection.execute(count).scalar_one())

    def relay_until(self, done: Callable[[], bool], limits: Limits = QUICK, seconds: float = 20.0) -> Relay:
        """A relay works until that is so."""

        async def work() -> Relay:
            sender = WebhookSender(Guard(ON_LOOPBACK), limits)
            relay = Relay(self.queue(), sender, Rhythm(look=0.02, ending=0.2), self.clock, lambda: 0.0)
            stop = asyncio.Event()
            running = asyncio.create_task(relay.run(stop))
            deadline = time.monotonic() + seconds
            try:
                while not done():
                    assert not running.done(), running.result()
                    assert time.monotonic() < deadline, "it never came to that"
                    await asyncio.sleep(0.01)
            finally:
                stop.set()
                await running
                await sender.close()
            return relay

        return asyncio.run(work())
