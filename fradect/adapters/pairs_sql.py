"""Pairs in the shared tables."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from fradect.adapters.database import reading, writing
from fradect.adapters.pairs_tables import pairs
from fradect.pairs import UNKNOWN, Pair, PairColumns, Said

MOST_TEXT = 500
PAGE = 100_000
_ACTIONS = ("theirs_action", "theirs_score", "ours_action", "ours_score")
_TEXTS = ("theirs_degraded", "theirs_failed", "ours_degraded", "ours_failed")
_FLAGS = ("by_challenger", *_TEXTS)
_COLUMNS = PairColumns.__struct_fields__


class Trial(NamedTuple):
    """A challenger beside a champion; `since` (microseconds), because the same two may have been tried before."""

    tenant_id: str
    module: str
    challenger: str
    champion: str
    since: int = 0


class SqlPairs:
    """Rows are appended by whoever decides, and read by whoever judges a challenger."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, made: Sequence[Pair]) -> None:
        """Keep them. Unavailable where the database does not answer; none of them is kept then."""
        if made:
            with writing(self._engine, "pairs were not stored") as connection:
                connection.execute(pairs.insert(), [_row(pair) for pair in made])

    def of(self, tenant_id: str, module: str, challenger: str, champion: str) -> PairColumns:
        """All of a challenger beside this champion, in the order in which they were decided."""
        table = pairs.c
        wanted = _wanted(Trial(tenant_id, module, challenger, champion), *(_asked(name) for name in _COLUMNS))
        with reading(self._engine, "pairs could not be read") as connection:
            rows = connection.execute(wanted.order_by(table.decided_at, table.id)).all()
        return _page(list(zip(*rows, strict=True)) or [()] * len(_COLUMNS))

    def pages(self, of: Trial, most: int = PAGE) -> Iterator[PairColumns]:
        """The same, so many at a time."""
        table, at, last = pairs.c, -1, -1
        wanted = _wanted(of, *(_asked(name) for name in _COLUMNS), table.id)
        wanted = wanted.order_by(table.decided_at, table.id).limit(most)
        while True:
            after = sa.tuple_(table.decided_at, table.id) > sa.tuple_(sa.literal(at), sa.literal(last))
            with reading(self._engine, "pairs could not be read") as connection:
                rows = connection.execute(wanted.where(after)).all()
            if not rows:
                return
            *columns, ids = zip(*rows, strict=True)
            page = _page(columns)
            at, last = int(page.decided_at[-1]), ids[-1]
            yield page

    def forget(self, before: int) -> int:
        """Drop those decided before a time; how many."""
        with writing(self._engine, "old pairs were not dropped") as connection:
            return connection.execute(pairs.delete().where(pairs.c.decided_at < before)).rowcount


def _wanted(of: Trial, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    table = pairs.c
    return sa.select(*columns).where(
        table.tenant_id == of.tenant_id,
        table.module == of.module,
        table.challenger == of.challenger,
        table.champion == of.champion,
        table.decided_at >= of.since,
    )


def _page(columns: Sequence[Sequence[Any]]) -> PairColumns:
    typed: dict[str, Any] = {name: _typed(name, held) for name, held in zip(_COLUMNS, columns, strict=True)}
    return PairColumns(**typed)


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "tenant_id": pair.tenant_id,
        "module": pair.module,
        "challenger": pair.challenger,
        "champion": pair.champion,
        "share": pair.share,
        "decision_id": pair.decision_id,
        "decided_at": pair.decided_at,
        "subject": pair.subject,
        "amount": pair.amount,
        "by_challenger": pair.by_challenger,
        "request_us": pair.request_us,
        **_half("theirs", pair.theirs),
        **_half("ours", pair.ours),
    }


def _half(whose: str, said: Said) -> dict[str, Any]:
    return {
        f"{whose}_action": None if said.action is None else int(said.action),
        f"{whose}_score": said.score,
        f"{whose}_degraded": ",".join(said.degraded)[:MOST_TEXT],
        f"{whose}_failed": said.failed[:MOST_TEXT],
        f"{whose}_us": said.took_us,
    }


def _asked(name: str) -> sa.ColumnElement[Any]:
    column = pairs.c[name]
    if name in _ACTIONS:
        return sa.func.coalesce(column, UNKNOWN)
    return column != "" if name in _TEXTS else column


def _typed(name: str, column: Sequence[Any]) -> tuple[str | None, ...] | npt.NDArray[Any]:
    if name == "decision_id":
        return tuple(column)
    return np.array(column, np.bool_ if name in _FLAGS else np.int64)
