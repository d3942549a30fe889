"""Once a day the end of every chain is written down, all writers together, in a chain of its own."""

from typing import Any

import sqlalchemy as sa

from fradect.adapters.chain import GENESIS, checkpoint_link
from fradect.adapters.database import alone, reason
from fradect.adapters.tables import chain_checkpoints
from fradect.errors import Unavailable

# From writer to writer along the index, however many rows each has.
ENDS = sa.text("""
WITH RECURSIVE w(writer) AS (
    SELECT min(writer) FROM risk_decisions
    UNION ALL
    SELECT (SELECT min(d.writer) FROM risk_decisions d WHERE d.writer > w.writer) FROM w WHERE w.writer IS NOT NULL
)
SELECT d.writer, d.chain_seq, d.row_hash FROM w JOIN risk_decisions d ON d.writer = w.writer
    AND d.chain_seq = (SELECT max(m.chain_seq) FROM risk_decisions m WHERE m.writer = w.writer)
WHERE w.writer IS NOT NULL ORDER BY d.writer
""")


class Checkpoints:
    """Takes the checkpoint of a day, once, whichever of several services comes first."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._taken = ""

    def take(self, day: str) -> int:
        """How many chains had grown since the last one; 0 when it was taken already. `day`: like 2026-11-05, UTC."""
        if day == self._taken:
            return 0
        try:
            with self._engine.begin() as connection:
                alone(connection)
                written = _take(connection, day)
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the checkpoint of {day} was not written ({reason(error)})") from error
        self._taken = day
        return written


def _take(connection: sa.Connection, day: str) -> int:
    c = chain_checkpoints.c
    if connection.execute(sa.select(c.number).where(c.day >= day).limit(1)).first() is not None:
        return 0
    last = connection.execute(sa.select(c.number, c.hash).order_by(c.number.desc()).limit(1)).one_or_none()
    number, previous = (0, GENESIS) if last is None else (last.number, last.hash)
    newest = sa.select(c.writer, sa.func.max(c.chain_seq)).group_by(c.writer)
    seen = {row[0]: row[1] for row in connection.execute(newest)}
    rows: list[dict[str, Any]] = []
    for end in connection.execute(ENDS):
        if seen.get(end.writer) != end.chain_seq:
            number += 1
            row = {"number": number, "day": day, **end._mapping, "prev_hash": previous}
            previous = row["hash"] = checkpoint_link(previous, row)
            rows.append(row)
    if rows:
        connection.execute(chain_checkpoints.insert(), rows)
    return len(rows)
