"""The vectors that decisions were made with, read from the ledger: an even sample of a time."""

from dataclasses import dataclass

import msgspec
import numpy as np
import sqlalchemy as sa

from fradect.adapters.database import open_database, sqlite_path
from fradect.adapters.tables import risk_decisions
from fradect.errors import NotFound, Unavailable
from fradect.features.logged import Logged

COLUMNS = ("entity_id", "seq", "created_at", "vector", "missing", "degraded", "model_version")


@dataclass(frozen=True, slots=True)
class Sample:
    """Decisions by the release that made them, and how many there were in all."""

    by_release: dict[str, list[Logged]]
    decisions: int


def logged_vectors(url: str, scope: tuple[str, str], since: int, most: int) -> Sample:
    """Of a tenant's module (`scope`) since a moment (microseconds), every k-th, so that at most so many come.

    NotFound while there is no ledger. It may be another process's: nothing is locked.
    """
    engine = open_database(url)
    path = sqlite_path(engine)
    if path is not None and not path.exists():
        raise NotFound(f"there is no ledger at {path}: start the service first")
    table = risk_decisions.c
    wanted = (table.tenant_id == scope[0], table.module == scope[1], table.created_at >= since)
    place = sa.func.row_number().over(order_by=(table.created_at, table.id)).label("place")
    numbered = sa.select(*(table[name] for name in COLUMNS), place).where(*wanted).subquery()
    try:
        with engine.connect() as connection:
            decisions = connection.execute(sa.select(sa.func.count()).select_from(risk_decisions).where(*wanted))
            total = int(decisions.scalar_one())
            step = max(1, -(-total // most))
            rows = connection.execute(sa.select(numbered).where(numbered.c.place % step == 0)).all()
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the ledger does not answer: {error.orig}") from error
    finally:
        engine.dispose()
    by_release: dict[str, list[Logged]] = {}
    for row in rows:
        by_release.setdefault(row.model_version, []).append(_logged(row))
    return Sample(by_release, total)


def _logged(row: sa.Row[tuple[object, ...]]) -> Logged:
    return Logged(
        event_id=row.entity_id,
        seq=row.seq,
        decided_at=row.created_at,
        values=tuple(np.frombuffer(row.vector, "<f8").tolist()),
        missing=msgspec.json.decode(row.missing),
        degraded=tuple(msgspec.json.decode(row.degraded)),
    )
