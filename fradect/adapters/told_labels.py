"""What decisions turned out to be, as it stands now, beside the log: labels of training sets, which it overrules.

The log keeps the first outcome of an event, because windows must not change their mind; a correction is for labels.
"""

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


def _told(ledger_url: str, places: Places) -> pa.Table | None:
    engine = open_database(ledger_url)
    path = sqlite_path(engine)
    try:
        if path is not None and not path.exists():
            return None
        if not sa.inspect(engine).has_table(decision_outcomes.name):
            return None
        return _read(engine, places)
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
