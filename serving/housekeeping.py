"""What the service does beside answering: follow promotions and keys, show measurements, keep the state true."""

import gc
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fradect.turns import give_way

log = logging.getLogger(__name__)
BEAT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so many beats."""

    name: str
    beats: int
    do: Callable[[], object]


class Housekeeping:
    """One background thread. A chore that fails is logged and tried again at its next turn."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        give_way()
        beat = 0
        while not self._stopping.wait(BEAT_SECONDS):
            beat += 1
            for chore in self._chores:
                if beat % chore.beats == 0:
                    self._do(chore)

    def _do(self, chore: Chore) -> None:
        try:
            chore.do()
        except Exception:  # the service goes on deciding, whatever a chore runs into
            log.exception("%s failed", chore.name)


def settle_memory() -> None:
    """Spare the collector everything loaded so far: walking the import heap is what long pauses are made of."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
