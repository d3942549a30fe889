"""What is read back from the ledger, by the service to reconcile and by other processes to measure. Never locks it."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fradect.adapters.database import open_database, reading, reason, sqlite_path
from fradect.adapters.tables import events, risk_decisions
from fradect.errors import NotFound, Unavailable
from fradect.features.contract import Contract
from fradect.types import Action, Event


@dataclass(frozen=True, slots=True)
class Traffic:
    """Decisions of one release, oldest first: `vectors` is (n, features), NaN missing, columns in contract order."""

    decided_at: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float64]
    scores: npt.NDArray[np.int64]
    actions: npt.NDArray[np.int64]


class LedgerReads:
    """Queries, each bound to a tenant and a module."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def at(cls, url: str) -> "LedgerReads":
        """Over a ledger that another process may be writing; NotFound while there is none."""
        engine = open_database(url, kept=False)
        path = sqlite_path(engine)
        if path is not None and not path.exists():
            raise NotFound(f"there is no ledger at {path}: start the service first")
        return cls(engine)

    def traffic(self, tenant_id: str, module: str, contract: Contract, release_id: str, since: int = 0) -> Traffic:
        """What a release decided since a moment (microseconds); the contract is the release's."""
        table = risk_decisions.c
        wanted = sa.select(table.created_at, table.vector, table.score, table.decision).where(
            table.tenant_id == tenant_id,
            table.module == module,
            table.model_version == release_id,
            table.created_at >= since,
        )
        rows = self._all(wanted.order_by(table.created_at, table.id))
        vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f8").reshape(-1, len(contract.names))
        return Traffic(
            np.array([row.created_at for row in rows], np.int64),
            vectors,
            np.array([row.score for row in rows], np.int64),
            np.array([Action[row.decision] for row in rows], np.int64),
        )

    def scopes(self) -> list[tuple[str, str]]:
        """Every (tenant, module) that has events."""
        rows = self._all(sa.select(events.c.tenant_id, events.c.module).distinct())
        return [(row.tenant_id, row.module) for row in rows]

    def unplaced(self, tenant_id: str, module: str) -> list[Event]:
        """Events that were decided without the live state, and have no number yet."""
        return [_event(row) for row in self._all(_events(tenant_id, module).where(events.c.seq.is_(None)))]

    def place(self, event: Event, seq: int) -> None:
        """Give such an event its number."""
        same = (events.c.tenant_id == event.tenant_id, events.c.module == event.module)
        change = events.update().where(*same, events.c.event_id == event.event_id, events.c.seq.is_(None))
        try:
            with self._engine.begin() as connection:
                connection.execute(change.values(seq=seq))
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the ledger does not answer ({reason(error)})") from error

    def _all(self, statement: sa.Select[tuple[object, ...]]) -> Sequence[sa.Row[tuple[object, ...]]]:
        with reading(self._engine, "the ledger does not answer") as connection:
            return connection.execute(statement).all()


def _events(tenant_id: str, module: str) -> sa.Select[tuple[object, ...]]:
    table = events.c
    columns = (table.seq, table.event_id, table.event_time, table.observed_at, table.fields)
    return sa.select(*columns, table.tenant_id, table.module).where(
        table.tenant_id == tenant_id, table.module == module
    )


def _event(row: sa.Row[tuple[object, ...]]) -> Event:
    fields = msgspec.json.decode(row.fields)
    return Event(row.event_id, row.tenant_id, row.module, row.event_time, row.observed_at, fields)
