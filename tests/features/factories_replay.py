"""A replay in memory: events, outcomes and snapshots as a test plants them, against history's own functions."""

from fradect.ports import Arrival
from fradect.types import Event
from tests.features.factories_state import MemoryState


class ReplayMemory(MemoryState):
    """The state in memory, with what a replay asks beside arrivals."""

    def arrive(self, event: Event) -> Arrival:  # type: ignore[override]
        view = super().arrive(event)
        return Arrival(view.seq, event.event_time, view.newest, view.seen)

    def reserve(self, _tenant_id: str, _module: str, count: int) -> int:
        self.last_seq += count
        return self.last_seq - count + 1

    def confirm(self, _tenant_id: str, _module: str, seq: int) -> None:
        self.confirmed = seq
