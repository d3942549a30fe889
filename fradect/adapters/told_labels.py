"""What decisions turned out to be, as it stands now, beside the log: labels of training sets, which it overrules.

The log keeps the first outcome of an event, because windows must not change their mind; a correction is for labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from fradect.adapters.database import open_database, reason, sqlite_path
from fradect.adapters.places import Places, publishing
from fradect.adapters.tables import decision_outcomes, risk_decisions
from fradect.errors import Unavailable
from fradect.outcomes import IS_FRAUD

# `label`: null where what was told before has been taken back.
SCHEMA = pa.schema(
    {"event_id": pa.string(), "label": pa.bool_(), "label_known_at": pa.timestamp("us", tz="UTC")},
)


def leave_told_labels(ledger_url: str, places: Places) -> int:
    """Write them anew, unless they are as they were; how many there are. Of a ledger that is not there, none."""
    told = _told(ledger_url, places)
    target = places.told_labels
    if told is None or (not told.num_rows and not target.is_file()):
        return 0
    if not target.is_file() or not pq.read_table(target).equals(told):
        with publishing(target) as staging:
            pq.write_table(told, staging, compression="zstd")
    return int(told.num_rows)


def told_fraud(ledger_url: str, tenant_id: str, module: str, since: int) -> dict[str, bool]:
    """By id of decisions made since then (microseconds): whether they were fraud, of those that stand as either."""
    c = risk_decisions.c
    wanted = sa.select(c.id, c.outcome).where(
        c.tenant_id == tenant_id, c.module == module, c.created_at >= since, c.outcome.in_(list(IS_FRAUD))
    )
    with _ledger(ledger_url) as engine:
        if engine is None:
            return {}
        with engine.connect() as connection:
            return {row.id: IS_FRAUD[row.outcome] for row in connection.execute(wanted)}


def _told(ledger_url: str, places: Places) -> pa.Table | None:
    with _ledger(ledger_url) as engine:
        return None if engine is None else _read(engine, places)


@contextmanager
def _ledger(ledger_url: str) -> Iterator[sa.Engine | None]:
    """None where there is no ledger yet, or one that knows no outcomes. Unavailable where it does not answer."""
    engine = open_database(ledger_url)
    path = sqlite_path(engine)
    try:
        is_there = (path is None or path.exists()) and sa.inspect(engine).has_table(decision_outcomes.name)
        yield engine if is_there else None
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger does not answer ({reason(error)})") from error
    finally:
        engine.dispose()


def _read(engine: sa.Engine, places: Places) -> pa.Table:
    c, told = risk_decisions.c, decision_outcomes.c
    last = sa.select(sa.func.max(told.id)).where(told.tenant_id == places.tenant).group_by(told.decision_id)
    wanted = (
        sa.select(c.entity_id, told.outcome, told.known_at)
        .join_from(decision_outcomes, risk_decisions, told.decision_id == c.id)
        .where(c.tenant_id == places.tenant, c.module == places.module, told.id.in_(last))
    )
    with engine.connect() as connection:
        rows = connection.execute(wanted.order_by(c.entity_id)).all()
    columns = (
        pa.array([row.entity_id for row in rows], pa.string()),
        pa.array([IS_FRAUD.get(row.outcome) for row in rows], pa.bool_()),
        pa.array([row.known_at for row in rows], pa.int64()).cast(SCHEMA.field("label_known_at").type),
    )
    return pa.Table.from_arrays(list(columns), schema=SCHEMA)
