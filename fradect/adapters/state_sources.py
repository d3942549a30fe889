"""The live state from everything that is stored: the Parquet log, and what SQL has beside it."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fradect.adapters.erased import Erased
from fradect.adapters.event_log import EventLog
from fradect.adapters.log_erasures import forget
from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.shared_sql import SqlMeasurements
from fradect.adapters.sql_events import SqlEvents
from fradect.adapters.state_parts import Progress, Rebuilt
from fradect.adapters.state_rebuild import Refillable, Sources, Tail, rebuild_from
from fradect.adapters.tables import outcomes
from fradect.errors import Unavailable
from fradect.features.held import Learnt
from fradect.features.layout import Layout
from fradect.ports import Measurement
from fradect.types import Event

_ROWS = 1_000


CAUGHT_UP = "fradect_state_caught_up"
"""A measurement by module and tenant: from then on decisions saw every import up to this number."""

log = logging.getLogger(__name__)


class Rebuilder:
    """Of a live state beside the logs of one home and one SQL. `is_served`: decisions are made from it, so when it
    caught up with imports is put on record."""

    def __init__(
        self, state: Refillable, home: Path, shared: sa.Engine, stored: SqlEvents, *, is_served: bool = True
    ) -> None:
        self._state = state
        self._home = home
        self._shared = shared
        self._stored = stored
        self._is_served = is_served

    def rebuild(self, tenant_id: str, layout: Layout, progress: Progress = lambda _stage, _share: None) -> Rebuilt:
        log = EventLog(self._home, layout.module, tenant_id)
        forget(log, Erased.of(self._shared, tenant_id, layout.module))
        facts = log.facts()
        logged = LoggedEvents(log) if facts else None
        try:
            tail = Tail(self._events(log), self._outcomes(log, logged))
            rebuilt = rebuild_from(Sources(log.folder, None, tail, progress), self._state, tenant_id, layout)
        finally:
            if logged is not None:
                logged.close()
        if self._is_served:
            self._remember(log, 0 if facts is None else facts.imported_seq)
        return rebuilt

    def _remember(self, of: EventLog, imported: int) -> None:
        labels = {"module": of.module.name, "tenant": of.tenant}
        try:
            SqlMeasurements(self._shared).record(
                Measurement(CAUGHT_UP, labels, float(imported), time.time_ns() // 1000)
            )
        except Unavailable as error:  # the state is good; a check of vectors may count what overtook an import
            log.warning("%s", error)

    def _events(self, log: EventLog) -> Iterator[tuple[int, Event]]:
        facts = log.facts()
        after = facts.compacted_seq if facts else 0
        found = self._stored.numbered(log.tenant, log.module.name, after, None)
        erased = Erased.of(self._shared, log.tenant, log.module.name)
        return ((numbered.seq, erased.applied(numbered.seq, numbered.event)) for numbered in found)

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
