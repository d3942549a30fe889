"""The service's part of customers, put together: whose keys seal, what is shown of them, what erases."""

from collections.abc import Callable, Collection

import sqlalchemy as sa

from fradect.adapters.customer_export import CustomerExports
from fradect.adapters.customer_holdings import Holdings
from fradect.adapters.customer_reads import CustomerReads
from fradect.adapters.erasures import Erasures, Stores
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.states import States
from fradect.adapters.vault import HomeVault
from fradect.settings import Settings
from fradect.turns import OwnThread
from fradect.types import MINUTE
from serving.customers import Customers


class CustomerParts:
    """`vault` seals for everybody, `routes` is what the routes stand on; `settle` is for one worker of the service."""

    def __init__(
        self,
        settings: Settings,
        databases: tuple[sa.Engine, sa.Engine],
        state: States,
        adopted: Callable[[], Collection[tuple[str, str]]],
        now: Callable[[], int],
    ) -> None:
        """`databases`: the ledger's and the shared one; `adopted`: whose live state is used here."""
        ledger, shared = databases
        keys = SqlKeys(ledger, shared)
        self.vault = HomeVault(settings.home, keys)
        held = Holdings(state, settings.online_url, settings.home, adopted)
        self._erasures = Erasures(Stores(ledger, shared, keys, self.vault, held))
        self._now, self._followed = now, now()
        reads = CustomerReads(ledger, shared, self.vault)
        exports = CustomerExports(settings.home, ledger, shared, self.vault)
        self._thread = OwnThread("customers")
        self.routes = Customers(reads, exports, self._erasures, self._thread)

    def close(self) -> None:
        self._thread.close()

    def follow(self) -> None:
        """Keys that another process destroyed are used no more."""
        began = self._now()
        self._erasures.follow(self._followed - MINUTE)
        self._followed = began

    def settle(self) -> None:
        self._erasures.settle(self._now())
