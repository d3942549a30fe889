"""The service's part of webhooks, put together: routes' stores, the guard before URLs, the relay's process."""

from collections.abc import Callable

import sqlalchemy as sa

from fradect.adapters.outward import Guard
from fradect.adapters.webhook_deliveries import SqlDeliveries
from fradect.adapters.webhook_endpoints import SqlEndpoints
from fradect.adapters.webhook_queue import WebhookQueue
from fradect.ports import Vault
from fradect.settings import Outward, Settings
from serving.launch import environment
from serving.metrics import Metrics
from serving.relay import RelayProcess
from serving.webhooks import Webhooks


class WebhookParts:
    """`routes` is what the routes stand on; `tending` is for one worker of the service."""

    def __init__(self, settings: Settings, ledger: sa.Engine, vault: Vault, metrics: Metrics) -> None:
        self._guard = Guard(Outward.from_env())
        self.routes = Webhooks(SqlEndpoints(ledger, vault), SqlDeliveries(ledger), self._guard.check)
        self._environment, self._metrics = environment(settings), metrics
        self._queue = WebhookQueue(ledger, vault)
        self._relay: RelayProcess | None = None

    def tending(self, now: Callable[[], int]) -> Callable[[], None]:
        """What keeps the relay running."""
        self._relay = RelayProcess(self._queue, self._environment, self._metrics, now)
        return self._relay.tend

    def close(self) -> None:
        if self._relay is not None:
            self._relay.stop()
        self._guard.close()
