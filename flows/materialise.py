"""Materialise: features of every event, snapshots of every customer, the training set, Feast's stores."""

import time

from prefect import flow

from expectations import features
from expectations.report import require
from flows.moments import moment
from flows.progress import advance
from flows.progress import stage as announced
from flows.quality import hold
from flows.stage import stage
from flows.wiring import workshop
from flows.wiring.compacting import compacted
from flows.wiring.derived import derive
from flows.wiring.features import fill_feast
from fradect.types import DAY


@stage(retries=1)
def materialise(module: str, tenant: str, until: str | None = None) -> None:
    """Bring everything derived from the log up to date; what is up to date is left alone.

    `until`: the moment (ISO 8601, UTC) that is to be now online, where the log is of another time than the clock.
    """
    with announced("materialise") as result:
        compacted(module, tenant)
        shop = workshop(module, tenant)
        contract = shop.contract
        rows = derive(shop, contract)
        advance(0.75, 1, "expectations of features")
        require(hold(shop, features.suite(shop.module, contract), [str(shop.places.training_set(contract))]))
        advance(0.8, 1, "Feast's registry and online store")
        midnight = (shop.facts.last_time // DAY + 1) * DAY  # the first whose snapshots know every event
        now = moment("until", until) or time.time_ns() // 1000
        fill_feast(shop, contract, min(midnight, now))
        result.words = f"{rows:,} events, {len(contract.names)} features of {contract.name}"


materialise_flow = flow(name="materialise", log_prints=True)(materialise)
