"""What an event's decision could see: the vector, from what live state and feature store answered, and what they did
not."""

from collections.abc import Mapping

from fradect.features.contract import Contract, Kind
from fradect.features.live import NO_LONGER, OTHER_LAYOUT, TOO_LATE, Snapshot
from fradect.judgement import Loaded
from fradect.ports import Arrival
from fradect.types import Event, Value, Vector

LIVE_STATE, BATCH_FEATURES, LISTS = "live_state", "batch_features", "lists"
NOTHING_READ = Snapshot({}, {})


def seen(
    release: Loaded,
    event: Event,
    arrival: Arrival | None,
    snapshot: Snapshot | None,
    signals: Mapping[str, Value] | None,
) -> tuple[Vector, tuple[str, ...]]:
    """The vector, and what it and the signals had to be made without."""
    view = None if arrival is None else arrival.view
    vector = release.reader.vector(event, view, snapshot or _absent(release.contract), f"{LIVE_STATE} did not answer")
    blind = arrival is None or not _LOST.isdisjoint(vector.missing.values())
    gone = (*((LIVE_STATE,) if blind else ()), *((BATCH_FEATURES,) if snapshot is None else ()))
    if signals is None and release.rules.reads_signals:
        gone = (*gone, LISTS)
    return vector, gone


_LOST = frozenset({TOO_LATE, NO_LONGER, OTHER_LAYOUT})
"""Why windows are missing although the live state answered: nobody gets past velocity by coming late."""


def _absent(contract: Contract) -> Snapshot:
    return Snapshot({}, {f.name: f"{BATCH_FEATURES} did not answer" for f in contract.of_kind(Kind.BATCH)})
