"""Feast's stores, and what a check of the service needs to know about them later."""

import time

from flows.wiring import Workshop
from fradect.adapters.feast_store import FeastStore
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.features.contract import Contract, Kind
from fradect.ports import Measurement

ONLINE_UNTIL = "fradect_snapshots_online_until"
"""A measurement: up to which moment (microseconds) customer snapshots were online from then on."""


def fill_feast(shop: Workshop, contract: Contract, until: int) -> None:
    """Register the contract's views and bring the online store up to `until` (microseconds)."""
    feast = FeastStore(shop.places, contract, shop.settings.online_url)
    feast.apply()
    if feast.materialise(until) and contract.of_kind(Kind.BATCH):
        shared = open_shared(shop.settings.ledger_url)
        try:
            found = Measurement(ONLINE_UNTIL, online_labels(shop, contract), float(until), time.time_ns() // 1000)
            SqlMeasurements(shared).record(found)
        finally:
            shared.dispose()


def online_labels(shop: Workshop, contract: Contract) -> dict[str, str]:
    return {"module": shop.module.name, "tenant": shop.tenant, "contract": contract.hash}
