"""What is derived from the log for a contract: features, snapshots, training sets. Feast has a file of its own."""

from flows.progress import advance
from flows.wiring import Workshop
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
