"""Webhooks as a state machine: whatever happens in whatever order, everybody is told what they are owed."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.vault import HomeVault
from fradect.adapters.webhook_deliveries import SqlDeliveries
from fradect.adapters.webhook_endpoints import SqlEndpoints
from fradect.adapters.webhook_queue import LEASE, Leased, Tried, WebhookQueue
from fradect.deliveries import CREATED, Attempt, Endpoint, Page, State, fate
from fradect.types import MINUTE
from tests.factories_decision import NOON, record

TENANTS = ("demo", "other")
ATTEMPTS = (Attempt(200), Attempt(500, "status"), Attempt(error="timeout"), Attempt(410, "status"))
SECRET = "whsec_" + "A" * 40


class Webhooks(RuleBasedStateMachine):
    """Two relays, two tenants, one clock. `owed`: messages by endpoint, as the events were decided."""

    endpoints = Bundle("endpoints")
    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        home = Path(self._folder.name)
        self.ledger = SqlLedger(f"sqlite:///{home}/ledger.db")
        vault = HomeVault(home)
        self.hooks, self.deliveries = SqlEndpoints(self.ledger.engine, vault), SqlDeliveries(self.ledger.engine)
        self.relays = [WebhookQueue(self.ledger.engine, vault) for _ in range(2)]
        self.now, self.decided = NOON, 0
        self.active: dict[str, str] = {}
        self.owed: dict[str, int] = {}
        self.held: dict[str, tuple[int, int]] = {}

    @rule(target=endpoints, tenant=st.sampled_from(TENANTS))
    def register(self, tenant: str) -> Any:
        if sum(its == tenant for its in self.active.values()) >= 4 or len(self.owed) >= 12:
            return multiple()
        self.now += 1  # what is decided in the same microsecond is told as well
        made = self.hooks.register(Endpoint("", tenant, "https://a.example/", (CREATED,), "", self.now), SECRET)
        self.active[made.id], self.owed[made.id] = tenant, 0
        return made

    @rule(tenant=st.sampled_from(TENANTS), count=st.integers(1, 3))
    def decide(self, tenant: str, count: int) -> None:
        names = [f"tx{self.decided + n}" for n in range(count)]
        self.decided += count
        self.ledger.commit_many([record(name, tenant=tenant, decided_at=self.now) for name in names])
        for endpoint_id, its in self.active.items():
            self.owed[endpoint_id] += count * (its == tenant)
        self._hand_on(0)

    @rule(endpoint=endpoints)
    def disable(self, endpoint: Endpoint) -> None:
        self.hooks.disable(endpoint.tenant_id, endpoint.id, self.now)
        self.active.pop(endpoint.id, None)

    @rule(endpoint=endpoints)
    def enable(self, endpoint: Endpoint) -> None:
        self.now += 1
        self.hooks.enable(endpoint.tenant_id, endpoint.id, self.now)
        self.active[endpoint.id] = endpoint.tenant_id

    @rule(endpoint=endpoints, data=st.data())
    def replay(self, endpoint: Endpoint, data: st.DataObject) -> None:
        dead = self._of(endpoint, State.DEAD)
        if dead and endpoint.id in self.active:
            chosen = data.draw(st.sampled_from([one.id for one in dead]))
            self.deliveries.replay(endpoint.tenant_id, endpoint.id, chosen, self.now)

    @rule(target=leases, most=st.integers(1, 3), relays=st.sampled_from([(0,), (1,), (0, 1)]))
    def lease(self, most: int, relays: tuple[int, ...]) -> Any:
        """One relay, or both at the same moment."""
        return multiple(*((which, one) for which in relays for one in self._leased(which, most)))

    @rule(lease=consumes(leases), attempt=st.sampled_from(ATTEMPTS))
    def settle(self, lease: tuple[int, Leased], attempt: Attempt) -> None:
        which, leased = lease
        if self.held[leased.id][1] == leased.attempts:
            del self.held[leased.id]  # whoever asks next may have it
        self.relays[which].settle([Tried(leased, attempt, fate(attempt, leased.attempts, self.now, 0.5), self.now)])
        self._see_who_is_left()

    @rule(lease=consumes(leases))
    def die(self, lease: tuple[int, Leased]) -> None:
        """The relay never says what came of it."""

    @rule(ahead=st.sampled_from([1, MINUTE, LEASE, 60 * MINUTE, 26 * 60 * MINUTE]))
    def wait(self, ahead: int) -> None:
        self.now += ahead

    @invariant()
    def everything_owed_is_there_once(self) -> None:
        for endpoint_id, owed in getattr(self, "owed", {}).items():
            found = [one for tenant in TENANTS for one in self._found(tenant, endpoint_id)]
            assert len(found) == owed == len({one.message_id for one in found})
            if endpoint_id not in self.active:
                assert State.WAITING not in {one.state for one in found}

    def teardown(self) -> None:
        """In the end everything that waits is delivered."""
        if not hasattr(self, "ledger"):
            return
        self.now += 30 * 60 * 60 * MINUTE
        while taken := self.relays[0].lease(dict.fromkeys(self.active, 5), self.now):
            done = [Tried(one, Attempt(200), fate(Attempt(200), one.attempts, self.now, 0), self.now) for one in taken]
            self.relays[0].settle(done)
        for endpoint_id in self.owed:
            states = {one.state for tenant in TENANTS for one in self._found(tenant, endpoint_id)}
            assert State.WAITING not in states
        self.ledger.close()
        self._folder.cleanup()

    def _leased(self, which: int, most: int) -> list[Leased]:
        taken = self.relays[which].lease(dict.fromkeys(self.active, most), self.now)
        for one in taken:
            until, _ = self.held.get(one.id, (0, 0))
            assert until <= self.now, "two relays have it at the same time"
            self.held[one.id] = (self.now + LEASE, one.attempts)
        return taken

    def _hand_on(self, which: int) -> None:
        queue = self.relays[which]
        while queue.hand_on(queue.told(self.now), self.now)[0]:
            pass

    def _see_who_is_left(self) -> None:
        for endpoint_id, tenant in list(self.active.items()):
            if self.hooks.shown(tenant, endpoint_id).disabled_at is not None:
                del self.active[endpoint_id]

    def _of(self, endpoint: Endpoint, state: State) -> Any:
        return self.deliveries.listed(endpoint.tenant_id, endpoint.id, Page(100, state))

    def _found(self, tenant: str, endpoint_id: str) -> Any:
        mine = {one.id for one in self.hooks.listed(tenant)}
        return self.deliveries.listed(tenant, endpoint_id, Page(1000)) if endpoint_id in mine else []


Webhooks.TestCase.settings = settings(phases=[Phase.generate], max_examples=15, stateful_step_count=30, deadline=None)
TestWebhooks = Webhooks.TestCase
