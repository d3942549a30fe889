"""Marks in SQL of what the log has already, which must go where the log gives something up."""

import sqlalchemy as sa

from fradect.adapters.database import sqlite_path
from fradect.adapters.shared_sql import open_shared, shared_url
from fradect.adapters.tables import outcomes, stream_events


def unmark(ledger_url: str, module: str, tenant: str) -> None:
    """Let the next compaction look at everything again; it takes nothing twice."""
    path = sqlite_path(sa.create_engine(shared_url(ledger_url)))
    if path is not None and not path.exists():
        return
    shared = open_shared(ledger_url)
    try:
        with shared.begin() as connection:
            for table in (stream_events, outcomes):
                whose = sa.and_(table.c.tenant_id == tenant, table.c.module == module, table.c.compacted)
                connection.execute(table.update().where(whose).values(compacted=False))
    finally:
        shared.dispose()
