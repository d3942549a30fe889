"""The live state as a stream feeds it: kept for what the service reads of it, which may be using it as well."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from fradect.adapters.state_upkeep import Upkeep
from fradect.adapters.states import States
from fradect.errors import Unavailable
from fradect.features import held
from fradect.features.layout import Layout
from fradect.stream import Learnt
from fradect.types import Event

T = TypeVar("T")


class StreamState:
    """A stream's State for one tenant's module.

    `layout` is asked for again when the state says that it is kept for another contract by now.
    """

    def __init__(self, state: States, upkeep: Upkeep, tenant_id: str, layout: Callable[[], Layout]) -> None:
        self._state = state
        self._upkeep = upkeep
        self._tenant = tenant_id
        self._layout = layout
        self._prepared = layout()

    def begin(self, highest: int) -> None:
        """The state as log and SQL have it; numbers go on after the highest that is stored anywhere."""
        self._upkeep.prepare(self._tenant, self._prepared)
        self._state.reserve(self._tenant, self._prepared.module, 0, highest)

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        return self._following(lambda: self._state.apply_many(events)) if events else []

    def learn(self, outcomes: Sequence[Learnt]) -> None:
        told = [held.Learnt(o.event, str(o.kind), o.value, o.known_at, o.number) for o in outcomes]
        self._following(lambda: self._state.learn(told))

    def reserve(self, tenant_id: str, module: str, count: int) -> int:
        return self._state.reserve(tenant_id, module, count)

    def withdraw_id(self, tenant_id: str, module: str, event_id: str) -> None:
        self._state.withdraw_id(tenant_id, module, event_id)

    def confirm(self) -> None:
        """What is stored is confirmed, and what agrees no longer is brought into line."""
        self._upkeep.reconcile(self._tenant, self._prepared.module)

    def _following(self, do: Callable[[], T]) -> T:
        """A new champion may look at other things: then the state is kept for it, by whoever comes first."""
        try:
            return do()
        except Unavailable:
            layout = self._layout()
            if layout.digest != self._prepared.digest:
                self._upkeep.prepare(self._tenant, layout)
                self._prepared = layout
            raise
