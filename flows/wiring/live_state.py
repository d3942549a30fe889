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
from fradect.adapters.states import States, open_state
from fradect.features.layout import Layout, layout_of

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
    log's before there is one."""

    state: States
    rebuilder: Rebuilder
    tenant: str
    contract: str
    layout: Layout
    places: Places

    def rebuild(self) -> Rebuilt:
        return self.rebuilder.rebuild(self.tenant, self.layout, lambda words, share: advance(share, 1.0, words))

    def show(self) -> Shown:
        mark = self.state.mark(self.tenant, self.layout.module)
        size = None
        if mark.layout == self.layout.digest:
            self.state.adopt(self.tenant, self.layout)
            size = self.state.size(self.tenant, self.layout.module)
        return Shown(mark, size, self.contract, imported(self.places))


@contextmanager
def live_state(module: str, tenant: str, url: str | None) -> Iterator[Kept]:
    """NotFound where there is neither a champion nor a log."""
    shop = workshop(module, tenant)
    champion = shop.releases.champion(module, tenant)
    contract = shop.contract if champion is None else shop.releases.load(champion).contract
    with sql(shop.settings) as (shared, stored):
        state = open_state(url or shop.settings.state_url)
        try:
            rebuilder = Rebuilder(state, shop.home, shared, stored)
            layout = layout_of(shop.module, contract)
            yield Kept(state, rebuilder, tenant, contract.name, layout, shop.places)
        finally:
            state.close()
