"""Feast's stores, from what is derived of the log."""

from flows.wiring import Workshop
from flows.wiring.online import remember
from fradect.adapters.feast_store import FeastStore
from fradect.features.contract import Contract


def fill_feast(shop: Workshop, contract: Contract, until: int) -> None:
    """Register the contract's views and bring the online store up to `until` (microseconds)."""
    feast = FeastStore(shop.places, contract, shop.settings.online_url)
    feast.apply()
    if feast.materialise(until):
        remember(shop, contract, until)
