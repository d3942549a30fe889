"""The live state of one tenant's module, as the settings or a URL say where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.progress import advance
from flows.wiring import workshop
from flows.wiring.compacting import sql
from fradect.adapters.places import Places
from fradect.adapters.state_parts import Mark, Rebuilt, Size
from fradect.adapters.state_sources import Rebuilder
from fradect.adapters.state_upkeep import imported
from fradect.adapters.states import States, missing_file, open_state
from fradect.errors import NotFound
from fradect.features.layout import Layout, layout_of
from fradect.settings import Settings

__all__ = ["Kept", "Rebuilt", "Shown", "live_state"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A scope as it is. `size` is None where it is kept for no contract, or another; `imported`: the log's highest
    number that came by an import."""

    mark: Mark
    size: Size | None
    contract: str
    imported: int

    @property
    def is_behind(self) -> bool:
        return self.size is None or self.mark.log_seq < self.imported


@dataclass(frozen=True, slots=True)
class Kept:
    """A live state, the scope that is meant, and the contract whose windows it is to answer: the champion's, or the
    log's before there is one. `is_served`: the settings name it, so decisions are made from it."""

    state: States
    settings: Settings
    tenant: str
    contract: str
    layout: Layout
    places: Places
    is_served: bool

    def rebuild(self) -> Rebuilt:
        """What was known to be stored before is so after, as far as the state had come."""
        before = self.state.mark(self.tenant, self.layout.module)
        with sql(self.settings) as (shared, stored):
            rebuilder = Rebuilder(self.state, self.settings.home, shared, stored, is_served=self.is_served)
            rebuilt = rebuilder.rebuild(self.tenant, self.layout, lambda words, share: advance(share, 1.0, words))
        if before.layout == self.layout.digest:
            self.state.confirm(self.tenant, self.layout.module, before.confirmed_seq)
        return rebuilt

    def show(self) -> Shown:
        mark = self.state.mark(self.tenant, self.layout.module)
        size = None
        if mark.layout == self.layout.digest:
            self.state.adopt(self.tenant, self.layout)
            size = self.state.size(self.tenant, self.layout.module)
        return Shown(mark, size, self.contract, imported(self.places))


@contextmanager
def live_state(module: str, tenant: str, url: str | None, *, to_read: bool = False) -> Iterator[Kept]:
    """`url`: as the option --state gives it. NotFound where there is neither a champion nor a log; `to_read`: where
    the state has not been made, either."""
    shop = workshop(module, tenant)
    champion = shop.releases.champion(module, tenant)
    contract = shop.contract if champion is None else shop.releases.load(champion).contract
    chosen = (shop.settings.state_url, "FRADECT_STATE_URL") if url is None else (url, "--state")
    missing = missing_file(*chosen) if to_read else None
    if missing is not None:
        raise NotFound(f"no live state at {missing}: `fradect serve` or `fradect state rebuild` makes one")
    state = open_state(chosen[0], named=chosen[1])
    try:
        layout = layout_of(shop.module, contract)
        yield Kept(
            state, shop.settings, tenant, contract.name, layout, shop.places, chosen[0] == shop.settings.state_url
        )
    finally:
        state.close()
