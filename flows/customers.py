"""Customers: the table with everybody's tier and score, as log and ledger have them now."""

from prefect import flow

from flows.fitting import counted
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring.compacting import compacted
from flows.wiring.customers import brought_up


@stage(retries=1)
def customers(module: str, tenant: str) -> None:
    """Bring `customers` up to date, and erased customers out of the log; what is up to date is left alone."""
    with announced("customers") as result:
        compacted(module, tenant)
        seen, changed = brought_up(module, tenant)
        result.words = f"{counted(seen, 'customer')}, {changed:,} new or changed"


customers_flow = flow(name="customers", log_prints=True)(customers)
