"""Materialise: features of every event, snapshots of every customer, Feast's stores, the training set."""

import time

from prefect import flow

from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import workshop
from flows.wiring.features import derive, fill_feast


@stage(retries=1)
def materialise(module: str, tenant: str) -> None:
    """Bring everything derived from the log up to date; what is up to date is left alone."""
    with announced("materialise") as result:
        shop = workshop(module, tenant)
        contract = shop.contract
        rows = derive(shop, contract)
        advance(0.8, 1, "Feast's registry and online store")
        fill_feast(shop, contract, min(shop.facts.last_time, time.time_ns() // 1000))
        result.words = f"{rows:,} events, {len(contract.names)} features of {contract.name}"


materialise_flow = flow(name="materialise", log_prints=True)(materialise)
