"""What the table of customers is made from, opened for one tenant's module."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.wiring import workshop
from flows.wiring.compacting import sql
from fradect.adapters.customer_table import Ground, bring_up
from fradect.adapters.database import open_database, sqlite_path
from fradect.adapters.erased import Erased
from fradect.adapters.log_erasures import forget
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.vault import HomeVault, has_key


def brought_up(module: str, tenant: str) -> tuple[int, int]:
    """Customers, and how many rows were new or changed."""
    with customer_ground(module, tenant) as ground:
        return bring_up(ground)


@contextmanager
def customer_ground(module: str, tenant: str) -> Iterator[Ground]:
    """Erased customers are of a pseudonym in the log by then. NotFound while there is no log."""
    shop = workshop(module, tenant)
    shop.facts  # noqa: B018  says so where there is none
    ledger = open_database(shop.settings.ledger_url)
    path = sqlite_path(ledger)
    with sql(shop.settings) as (shared, _):
        keys = SqlKeys.at(shop.settings.ledger_url)
        erased = Erased.of(shared, tenant, module)
        forget(shop.log, erased)
        vault = HomeVault(shop.home, keys) if has_key(shop.home) else None
        there = ledger if path is None or path.exists() else None
        try:
            yield Ground(shop.places, there, shared, vault, erased, time.time_ns() // 1000)
        finally:
            keys.close()
            ledger.dispose()
