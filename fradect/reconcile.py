"""The live state brought into line with the ledger, which is the truth.

Three things can part them: a crash between arrival and commit leaves an arrival without a decision; a power cut
takes the end of the state's file; and an event that was decided while the state was away never arrived in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fradect.types import Event


class Arrivals(Protocol):
    """The live state's side. Arrivals up to the confirmed mark are known to have their decision."""

    def confirmed(self, tenant_id: str, module: str) -> int: ...

    def confirm(self, tenant_id: str, module: str, seq: int) -> None: ...

    def unconfirmed(self, tenant_id: str, module: str) -> list[tuple[int, str]]:
        """Number and event id, in order of numbers."""
        ...

    def withdraw_id(self, tenant_id: str, module: str, event_id: str) -> None: ...

    def apply(self, event: Event, seq: int | None = None) -> int:
        """Append under the number, or a new one; idempotent by event id, whose number is returned."""
        ...


class Decisions(Protocol):
    """The ledger's side."""

    def decided(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]: ...

    def events_after(self, tenant_id: str, module: str, seq: int) -> Iterator[tuple[int, Event]]: ...

    def unplaced(self, tenant_id: str, module: str) -> list[Event]: ...

    def place(self, event: Event, seq: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was out of line."""

    withdrawn: int = 0
    applied: int = 0
    placed: int = 0

    def __bool__(self) -> bool:
        return bool(self.withdrawn or self.applied or self.placed)


class Reconciler:
    """Compares the two. While requests are served an arrival is given until the next comparison to be decided."""

    def __init__(self, state: Arrivals, ledger: Decisions) -> None:
        self._state = state
        self._ledger = ledger
        self._suspects: set[tuple[str, str, str]] = set()

    def at_start(self, tenant_id: str, module: str) -> Repaired:
        """Nobody is being served yet, so every arrival without a decision is a leftover."""
        applied = self._apply_tail(tenant_id, module)
        placed = self._place(tenant_id, module)
        arrivals = self._state.unconfirmed(tenant_id, module)
        leftovers = self._undecided(tenant_id, module, arrivals)
        for event_id in leftovers:
            self._state.withdraw_id(tenant_id, module, event_id)
        if arrivals:
            self._state.confirm(tenant_id, module, arrivals[-1][0])
        return Repaired(len(leftovers), applied, placed)

    def meanwhile(self, tenant_id: str, module: str) -> Repaired:
        """The same while requests are served: an arrival that was undecided last time too is withdrawn."""
        placed = self._place(tenant_id, module)
        arrivals = self._state.unconfirmed(tenant_id, module)
        undecided = {(tenant_id, module, event_id) for event_id in self._undecided(tenant_id, module, arrivals)}
        leftovers = undecided & self._suspects
        for _, _, event_id in leftovers:
            self._state.withdraw_id(tenant_id, module, event_id)
        waiting = undecided - leftovers
        self._suspects = {s for s in self._suspects if s[:2] != (tenant_id, module)} | waiting
        pending = [seq for seq, event_id in arrivals if (tenant_id, module, event_id) in waiting]
        last = min(pending) - 1 if pending else (arrivals[-1][0] if arrivals else 0)
        self._state.confirm(tenant_id, module, last)
        return Repaired(len(leftovers), 0, placed)

    def _apply_tail(self, tenant_id: str, module: str) -> int:
        known = {event_id for _, event_id in self._state.unconfirmed(tenant_id, module)}
        applied = 0
        for seq, event in self._ledger.events_after(tenant_id, module, self._state.confirmed(tenant_id, module)):
            if event.event_id not in known:
                self._state.apply(event, seq)
                applied += 1
        return applied

    def _place(self, tenant_id: str, module: str) -> int:
        unplaced = self._ledger.unplaced(tenant_id, module)
        for event in unplaced:
            self._ledger.place(event, self._state.apply(event))
        return len(unplaced)

    def _undecided(self, tenant_id: str, module: str, arrivals: Sequence[tuple[int, str]]) -> list[str]:
        ids = [event_id for _, event_id in arrivals]
        decided = self._ledger.decided(tenant_id, module, ids)
        return [event_id for event_id in ids if event_id not in decided]
