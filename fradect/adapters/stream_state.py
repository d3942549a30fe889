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

    `layout` is asked for again when the state is kept for another contract by now; `highest` is the highest number
    that is stored anywhere.
    """

    def __init__(
        self,
        state: States,
        upkeep: Upkeep,
        tenant_id: str,
        layout: Callable[[], Layout],
        highest: Callable[[], int],
    ) -> None:
        self._state = state
        self._upkeep = upkeep
        self._tenant = tenant_id
        self._layout = layout
        self._highest = highest
        self._module = layout().module

    def begin(self) -> None:
        """The state as log and SQL have it, its numbers after all that are stored."""
        self._prepare(self._layout())

    def apply_many(self, events: Sequence[Event]) -> list[int]:
        return self._following(lambda: self._state.apply_many(events)) if events else []

    def learn(self, outcomes: Sequence[Learnt]) -> list[int]:
        told = [held.Learnt(o.event, str(o.kind), o.value, o.known_at, o.number) for o in outcomes]
        return self._following(lambda: self._learnt(told))

    def withdraw_id(self, tenant_id: str, module: str, event_id: str, kind: str = "") -> None:
        self._state.withdraw_id(tenant_id, module, event_id, kind)

    def confirm(self) -> None:
        """What is stored is confirmed, and what agrees no longer is brought into line."""
        self._upkeep.reconcile(self._tenant, self._module)

    def _learnt(self, told: Sequence[held.Learnt]) -> list[int]:
        if any(one.number is None for one in told):
            self._pass_stored()
        return self._state.learn(told)

    def _pass_stored(self) -> None:
        self._state.reserve(self._tenant, self._module, 0, self._highest())

    def _following(self, do: Callable[[], T]) -> T:
        """A new champion may look at other things, and a state may be lost: then whoever comes first makes it anew."""
        try:
            return do()
        except Unavailable:
            self._prepare(self._layout())
            raise

    def _prepare(self, layout: Layout) -> None:
        self._upkeep.prepare(self._tenant, layout)
        self._pass_stored()
