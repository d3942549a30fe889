"""The live state as a stream feeds it: kept for what the service reads of it, and told what is stored by now."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from fradect.adapters.sql_events import SqlEvents
from fradect.errors import Unavailable
from fradect.features import held
from fradect.features.layout import Layout
from fradect.stream import Learnt
from fradect.types import Event

T = TypeVar("T")


class Waits(Protocol):
    """An arrival that is not confirmed."""

    @property
    def seq(self) -> int: ...

    @property
    def event_id(self) -> str: ...


class LiveState(Protocol):
    """What either live state offers."""

    def adopt(self, tenant_id: str, layout: Layout) -> bool: ...

    def apply_many(self, events: Sequence[Event]) -> list[int]: ...

    def learn(self, outcomes: Sequence[held.Learnt]) -> None: ...

    def reserve(self, tenant_id: str, module: str, count: int, at_least: int = 0) -> int: ...

    def withdraw_id(self, tenant_id: str, module: str, event_id: str) -> None: ...

    def unconfirmed(self, tenant_id: str, module: str) -> Sequence[Waits]: ...

    def confirm_exactly(self, tenant_id: str, module: str, seq: int, waiting: int) -> bool: ...

    def confirmed(self, tenant_id: str, module: str) -> int: ...


class StreamState:
    """A stream's State over a live state that a service may be using at the same time.

    `layout` is asked for again when the state says that it is kept for another contract by now.
    """

    def __init__(self, state: LiveState, whose: tuple[str, str], layout: Callable[[], Layout]) -> None:
        self._state = state
        self._tenant, self._module = whose
        self._layout = layout
        self._adopted: str | None = None

    def begin(self, highest: int) -> None:
        """Numbers go on after the highest that is stored anywhere."""
        self._adopt()
        self._state.reserve(self._tenant, self._module, 0, highest)

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        return self._following(lambda: self._state.apply_many(events)) if events else []

    def learn(self, outcomes: Sequence[Learnt]) -> None:
        told = [held.Learnt(o.event, str(o.kind), o.value, o.known_at, o.number) for o in outcomes]
        self._following(lambda: self._state.learn(told))

    def reserve(self, tenant_id: str, module: str, count: int) -> int:
        return self._state.reserve(tenant_id, module, count)

    def withdraw_id(self, tenant_id: str, module: str, event_id: str) -> None:
        self._state.withdraw_id(tenant_id, module, event_id)

    def confirm(self, stored: SqlEvents) -> None:
        """Every arrival up to the first that is not stored; withdrawing others is the service's business."""
        waiting = self._state.unconfirmed(self._tenant, self._module)
        decided = stored.decided(self._tenant, self._module, [one.event_id for one in waiting])
        first = next((i for i, one in enumerate(waiting) if one.event_id not in decided), len(waiting))
        if first:
            self._state.confirm_exactly(self._tenant, self._module, waiting[first - 1].seq, first)

    def _following(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except Unavailable:
            self._adopt()
            raise

    def _adopt(self) -> None:
        """Only a layout that is new here: adopting one anew would take it from whoever has adopted another since."""
        layout = self._layout()
        if layout.digest != self._adopted:
            self._state.adopt(self._tenant, layout)
            self._adopted = layout.digest
