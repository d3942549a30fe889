"""A feature store that may be away: opened when a release is loaded, and again later when that failed."""

import logging
import threading
import time
from collections.abc import Callable

from fradect.errors import Unavailable
from fradect.features.live import Snapshot
from fradect.ports import BatchFeatures
from fradect.types import Event

log = logging.getLogger(__name__)
RETRY_SECONDS = 30.0


class NoBatch:
    """For contracts without batch features."""

    def read(self, _event: Event) -> Snapshot:
        return Snapshot({}, {})


class Reopened:
    """BatchFeatures behind an opener that may fail. While it does, reading is Unavailable, at once."""

    def __init__(self, opener: Callable[[], BatchFeatures]) -> None:
        self._opener = opener
        self._store: BatchFeatures | None = None
        self._next_try = 0.0
        self._turn = threading.Lock()
        self._open()

    def read(self, event: Event) -> Snapshot:
        store = self._store or self._open()
        if store is None:
            raise Unavailable("the feature store does not open")
        return store.read(event)

    def _open(self) -> BatchFeatures | None:
        with self._turn:
            if self._store is None and time.monotonic() >= self._next_try:
                self._next_try = time.monotonic() + RETRY_SECONDS
                try:
                    self._store = self._opener()
                except Exception:  # decisions go on without snapshots, whatever keeps the store from opening
                    log.warning("the feature store does not open", exc_info=True)
            return self._store
