"""Everything derived from the log: features, snapshots, Feast's stores, training sets."""

from flows.progress import advance
from flows.wiring import Workshop
from fradect.adapters.feast_store import FeastStore
from fradect.adapters.history_store import build_features
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.training_store import training_set
from fradect.features.contract import Contract


def derive(shop: Workshop, contract: Contract) -> int:
    """Features, snapshots and training set of a contract on disk, made anew where the log changed; the events."""
    built = build_features(shop.places, shop.module, contract, lambda what, share: advance(0.6 * share, 1, what))
    advance(0.6, 1, "customer snapshots")
    build_snapshots(shop.places, shop.module, contract)
    advance(0.7, 1, "training set, point in time")
    training_set(shop.places, shop.module, contract)
    return built.rows


def fill_feast(shop: Workshop, contract: Contract, until: int) -> None:
    """Register the contract's views and bring the online store up to `until` (microseconds)."""
    feast = FeastStore(shop.places, contract, shop.settings.online_url)
    feast.apply()
    feast.materialise(until)
