"""The live state kept true: built from log and SQL where it is not, then held against SQL again and again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa

from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.places import Places
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.state_parts import Rebuilt
from fradect.adapters.states import States
from fradect.features.layout import Layout
from fradect.reconcile import Reconciler, Repaired
from fradect.types import Event


class StoredEvents(SqlEvents):
    """All that is stored in SQL, and the ledger's events that have no number yet: what a service reconciles with."""

    def __init__(self, ledger_url: str, shared: sa.Engine, ledger: LedgerReads) -> None:
        super().__init__(ledger_url, shared)
        self._unplaced = ledger

    def unplaced(self, tenant_id: str, module: str) -> list[Event]:
        return self._unplaced.unplaced(tenant_id, module)

    def place(self, event: Event, seq: int) -> None:
        self._unplaced.place(event, seq)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What had to be done before a scope could be used; `rebuilt` is None where it was up to date."""

    rebuilt: Rebuilt | None
    repaired: Repaired


class Upkeep:
    """Of one live state. `alone`: no other process serves from it. `rebuild`: what fills it from log and SQL
    (fradect/adapters/state_sources.py), which takes long to load."""

    def __init__(
        self, state: States, home: Path, stored: SqlEvents, rebuild: Callable[[str, Layout], Rebuilt], *, alone: bool
    ) -> None:
        self._state = state
        self._home = home
        self._rebuild = rebuild
        self._alone = alone
        self._reconciler = Reconciler(state, stored)

    def prepare(self, tenant_id: str, layout: Layout) -> Prepared:
        """Before the scope is used as this layout. What it was kept as before is served until the new one is whole."""
        rebuilt = None
        if self.is_behind(tenant_id, layout):
            rebuilt = self._rebuild(tenant_id, layout)
        else:
            self._state.adopt(tenant_id, layout)
        return Prepared(rebuilt, self._reconciler.at_start(tenant_id, layout.module, alone=self._alone))

    def catch_up(self, tenant_id: str, layout: Layout) -> Rebuilt | None:
        """While the scope is served: what was imported meanwhile comes in. None when nothing was."""
        if not self.is_behind(tenant_id, layout):
            return None
        rebuilt = self._rebuild(tenant_id, layout)
        self._reconciler.meanwhile(tenant_id, layout.module)  # arrivals during the rebuild
        return rebuilt

    def is_behind(self, tenant_id: str, layout: Layout) -> bool:
        """Whether it is kept as another layout, was never built, or the log has imports that it has not."""
        mark = self._state.mark(tenant_id, layout.module)
        return mark.layout != layout.digest or mark.log_seq < imported(Places(self._home, layout.module, tenant_id))

    def reconcile(self, tenant_id: str, module: str) -> Repaired:
        return self._reconciler.meanwhile(tenant_id, module)


def imported(places: Places) -> int:
    """The highest number of the log that came by an import, 0 without one: all else arrived in the live state before
    it was in the log."""
    try:
        facts = msgspec.json.decode((places.log / "log.json").read_bytes(), type=_Facts)
    except FileNotFoundError:
        return 0
    return max((batch.last_seq for batch in facts.batches if batch.events is None), default=0)


class _Batch(msgspec.Struct):
    last_seq: int
    events: int | None = None


class _Facts(msgspec.Struct):
    """What matters here of a log's facts (fradect/adapters/event_log.py)."""

    batches: tuple[_Batch, ...] = ()
