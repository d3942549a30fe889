"""The live state kept true: built from log and SQL where it is not, then held against SQL again and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fradect.adapters.event_log import EventLog
from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.state_rebuild import Progress, Rebuilt, Sources, Tail, rebuild_from
from fradect.adapters.states import States
from fradect.adapters.tables import outcomes
from fradect.errors import Unavailable
from fradect.features.held import Learnt
from fradect.features.layout import Layout
from fradect.reconcile import Reconciler, Repaired
from fradect.types import Event

_ROWS = 1_000


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
    """Of one live state beside one log and one SQL. `alone`: no other process serves from this state."""

    def __init__(self, state: States, home: Path, shared: sa.Engine, stored: SqlEvents, *, alone: bool) -> None:
        self._state = state
        self._home = home
        self._shared = shared
        self._stored = stored
        self._alone = alone
        self._reconciler = Reconciler(state, stored)

    def prepare(self, tenant_id: str, layout: Layout) -> Prepared:
        """Before the scope is used as this layout. What it was kept as before is served until the new one is whole."""
        rebuilt = None
        if self.is_behind(tenant_id, layout):
            rebuilt = self.rebuild(tenant_id, layout)
        else:
            self._state.adopt(tenant_id, layout)
        return Prepared(rebuilt, self._reconciler.at_start(tenant_id, layout.module, alone=self._alone))

    def is_behind(self, tenant_id: str, layout: Layout) -> bool:
        """Whether it is kept as another layout, was never built, or the log has imports that it has not."""
        mark = self._state.mark(tenant_id, layout.module)
        return mark.layout != layout.digest or mark.log_seq < self._imported(tenant_id, layout.module)

    def rebuild(self, tenant_id: str, layout: Layout, progress: Progress = lambda _stage, _share: None) -> Rebuilt:
        log = EventLog(self._home, layout.module, tenant_id)
        logged = LoggedEvents(log) if log.facts() else None
        try:
            tail = Tail(self._events(log), self._outcomes(log, logged))
            return rebuild_from(Sources(log.folder, None, tail, progress), self._state, tenant_id, layout)
        finally:
            if logged is not None:
                logged.close()

    def reconcile(self, tenant_id: str, module: str) -> Repaired:
        return self._reconciler.meanwhile(tenant_id, module)

    def _imported(self, tenant_id: str, module: str) -> int:
        """The highest number that came by an import; what compaction copied arrived here before."""
        facts = EventLog(self._home, module, tenant_id).facts()
        return max((batch.last_seq for batch in facts.batches if batch.events is None), default=0) if facts else 0

    def _events(self, log: EventLog) -> Iterator[tuple[int, Event]]:
        facts = log.facts()
        after = facts.compacted_seq if facts else 0
        found = self._stored.numbered(log.tenant, log.module.name, after, None)
        return ((numbered.seq, numbered.event) for numbered in found)

    def _outcomes(self, log: EventLog, logged: LoggedEvents | None) -> Iterator[Learnt]:
        """Those that the log has not, each about an event of SQL or of the log."""
        c, last = outcomes.c, 0
        wanted = sa.select(c.event_id, c.kind, c.value, c.known_at, c.number).where(
            c.tenant_id == log.tenant, c.module == log.module.name, c.compacted.is_(False), c.number.is_not(None)
        )
        while True:
            rows = self._rows(wanted.where(c.number > last).order_by(c.number).limit(_ROWS))
            about = self._about(log, logged, [row.event_id for row in rows])
            for row in rows:
                if row.event_id in about:
                    yield Learnt(about[row.event_id], row.kind, row.value, row.known_at, row.number)
            if len(rows) < _ROWS:
                return
            last = rows[-1].number

    def _about(self, log: EventLog, logged: LoggedEvents | None, event_ids: Sequence[str]) -> dict[str, Event]:
        stored = self._stored.find(log.tenant, log.module.name, event_ids)
        about = {event_id: numbered.event for event_id, numbered in stored.items()}
        rest = [event_id for event_id in event_ids if event_id not in about]
        if logged is not None and rest:
            about |= {event_id: event for event_id, (_, event) in logged.find(rest).items()}
        return about

    def _rows(self, wanted: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        try:
            with self._shared.connect() as connection:
                return connection.execute(wanted).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the shared tables do not answer: {error.orig}") from error
