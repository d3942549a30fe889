"""When which customer snapshots went online, and when decisions began to see which imports: what a check of logged
vectors has to know later."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.wiring import Workshop
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.adapters.state_sources import CAUGHT_UP
from fradect.features.contract import Contract
from fradect.ports import Measurement

ONLINE_UNTIL = "fradect_snapshots_online_until"


@contextmanager
def measurements(shop: Workshop) -> Iterator[SqlMeasurements]:
    shared = open_shared(shop.settings.ledger_url)
    try:
        yield SqlMeasurements(shared)
    finally:
        shared.dispose()


def remember(shop: Workshop, contract: Contract, until: int) -> None:
    """From now on snapshots up to `until` (microseconds) are online."""
    with measurements(shop) as told:
        told.record(Measurement(ONLINE_UNTIL, _labels(shop, contract), float(until), time.time_ns() // 1000))


def remembered(shop: Workshop, contract: Contract) -> list[tuple[int, int]]:
    """Each time that snapshots had gone online, and up to which moment; in order."""
    with measurements(shop) as told:
        return [(one.measured_at, int(one.value)) for one in told.all_of(ONLINE_UNTIL, _labels(shop, contract))]


def caught_up(shop: Workshop) -> list[tuple[int, int]]:
    """Each time that the live state had been made anew, and up to which number it had every import; in order."""
    labels = {"module": shop.module.name, "tenant": shop.tenant}
    with measurements(shop) as told:
        return [(one.measured_at, int(one.value)) for one in told.all_of(CAUGHT_UP, labels)]


def _labels(shop: Workshop, contract: Contract) -> dict[str, str]:
    return {"module": shop.module.name, "tenant": shop.tenant, "contract": contract.hash}
