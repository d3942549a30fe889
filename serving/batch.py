"""Batch features where there is nothing to read."""

from fradect.features.live import Snapshot
from fradect.types import Event


class NoBatch:
    """For contracts without batch features."""

    def read(self, _event: Event) -> Snapshot:
        return Snapshot({}, {})

    def errand(self, _event: Event) -> None:
        return None
