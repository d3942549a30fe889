"""What is asked about one customer from the command line: the code of the service's routes, over the same home."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from flows.wiring.compacting import has_shared
from fradect.adapters.customer_export import CustomerExports
from fradect.adapters.customer_holdings import Holdings
from fradect.adapters.customer_reads import CustomerReads
from fradect.adapters.database import open_database, sqlite_path
from fradect.adapters.erasures import Erasures, Stores
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.places import Places
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.states import States, missing_file, open_state
from fradect.adapters.vault import HomeVault
from fradect.customers import Customer, Erasing, Export, Purchase
from fradect.errors import FradectError, NotFound, Refused, Unavailable
from fradect.features.layout import layout_of
from fradect.modules import MODULES
from fradect.settings import Settings

WAITED = 90.0
"""Seconds for a service to do an erasure that only it can do."""


@dataclass(frozen=True, slots=True)
class Files:
    """What is held of a tenant's customers, to be read."""

    reads: CustomerReads
    exports: CustomerExports
    tenant: str

    def pages(self, customer_id: str, most: int = 500) -> Iterator[Export]:
        """NotFound for who is unknown or erased, also where that happens on the way."""
        page, reached = self.exports.page(self.tenant, customer_id, most)
        yield page
        while reached is not None:
            page, reached = self.exports.page(self.tenant, customer_id, most, reached)
            yield page

    def known(self, customer_id: str, most: int) -> tuple[list[Purchase], Customer | None]:
        """What a profile is made of."""
        purchases = self.reads.purchases(self.tenant, customer_id, most)
        return purchases, self.reads.customer(self.tenant, customer_id)


@contextmanager
def customer_files(tenant: str) -> Iterator[Files]:
    """NotFound where nothing was ever decided or imported."""
    settings = Settings.from_env()
    with ExitStack() as opened:
        ledger, shared = _databases(settings, tenant, opened)
        keys = SqlKeys.at(settings.ledger_url)
        opened.callback(keys.close)
        vault = HomeVault(settings.home, keys)
        exports = CustomerExports(settings.home, ledger, shared, vault)
        yield Files(CustomerReads(ledger, shared, vault), exports, tenant)


def erase(asked: Erasing, waiting: Callable[[], None]) -> bytes:
    """The receipt. Where a service is the ledger's only writer, the request is put on record for it, `waiting` is
    called, and its receipt waited for: Unavailable when that takes too long, and the erasure goes on by itself."""
    settings = Settings.from_env()
    with ExitStack() as opened:
        _databases(settings, asked.tenant_id, opened)
        try:
            ledger = SqlLedger(settings.ledger_url)
        except Refused:
            waiting()
            return _left_to_the_service(settings, asked, opened)
        opened.callback(ledger.close)
        return _erasures(settings, asked.tenant_id, ledger.engine, opened).erase(asked)


def _left_to_the_service(settings: Settings, asked: Erasing, opened: ExitStack) -> bytes:
    engine = open_database(settings.ledger_url)
    opened.callback(engine.dispose)
    erasures = _erasures(settings, asked.tenant_id, engine, opened)
    erasure_id = erasures.request(asked)
    ends = time.monotonic() + WAITED
    while (receipt := erasures.receipt(erasure_id)) is None:
        if time.monotonic() > ends:
            raise Unavailable(f"erasure {erasure_id} is on record and goes on by itself: ask again for its receipt")
        time.sleep(0.2)
    return receipt


def _erasures(settings: Settings, tenant: str, ledger: sa.Engine, opened: ExitStack) -> Erasures:
    shared = open_shared(settings.ledger_url)
    opened.callback(shared.dispose)
    keys = SqlKeys(ledger, shared)
    state = None if missing_file(settings.state_url) else open_state(settings.state_url)
    if state is not None:
        opened.callback(state.close)
    adopted = set() if state is None else _adopted(settings, tenant, state)
    held = Holdings(state, settings.online_url, settings.home, lambda: adopted)
    return Erasures(Stores(ledger, shared, keys, HomeVault(settings.home, keys), held))


def _adopted(settings: Settings, tenant: str, state: States) -> set[tuple[str, str]]:
    """Live states that are as their champions read them: another is made anew before it is read, without the erased."""
    found = set()
    releases = ReleasesFolder(settings.home)
    for name, module in MODULES.items():
        champion = releases.champion(name, tenant)
        if champion is None:
            continue
        try:
            layout = layout_of(module, releases.load(champion).contract)
        except FradectError as error:
            raise Refused(f"the champion {champion} cannot be read, so nor can its live state: {error}") from error
        if state.mark(tenant, name).layout == layout.digest:
            state.adopt(tenant, layout)
            found.add((name, tenant))
    return found


def _databases(settings: Settings, tenant: str, opened: ExitStack) -> tuple[sa.Engine | None, sa.Engine]:
    """The ledger, None while there is none, and the shared tables."""
    has_log = any(Places(settings.home, module, tenant).log.exists() for module in MODULES)
    if not has_log and not has_shared(settings):
        raise NotFound(f"nothing was decided or imported under {settings.home}: set FRADECT_HOME to where it was")
    ledger: sa.Engine | None = open_database(settings.ledger_url)
    path = None if ledger is None else sqlite_path(ledger)
    if ledger is not None and path is not None and not path.exists():
        ledger = None
    if ledger is not None:
        opened.callback(ledger.dispose)
    shared = open_shared(settings.ledger_url)
    opened.callback(shared.dispose)
    return ledger, shared
