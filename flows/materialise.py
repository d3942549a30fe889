"""Materialise: features of every event, snapshots of every customer, and Feast's stores filled from them."""

from prefect import flow

from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import workshop
from fradect.adapters.history_store import build_features


@stage(retries=1)
def materialise(module: str, tenant: str) -> None:
    """Bring everything derived from the log up to date; what is up to date is left alone."""
    with announced("materialise") as result:
        shop = workshop(module, tenant)
        contract = shop.contract
        built = build_features(shop.places, shop.module, contract, lambda what, share: advance(share, 1, what))
        result.words = f"{built.rows:,} events x {len(contract.names)} features" + (", unchanged" if built.reused else "")


materialise_flow = flow(name="materialise", log_prints=True)(materialise)
