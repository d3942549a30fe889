"""A customer's events that no decision was made about: of the Parquet log (imports), and of streams on the way there.

The log has no index by customer: the column is read through, a batch of rows at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from fradect.adapters.database import reason
from fradect.adapters.erased import Erased
from fradect.adapters.places import Places
from fradect.adapters.sql_events import event_of
from fradect.adapters.tables import events, outcomes, stream_events
from fradect.errors import NotFound, Unavailable
from fradect.types import Event

_ROWS = 50_000
_PAGE = 500
_IDENTITY = ("seq", "event_id", "tenant_id", "module", "event_time", "observed_at")


class Told(NamedTuple):
    """What became known of an event, and when (microseconds)."""

    kind: str
    value: bool
    known_at: int


class Undecided(NamedTuple):
    """An event under its number, and what became known of it. `source`: log or stream."""

    seq: int
    event: Event
    source: str
    told: tuple[Told, ...]


class CustomerLog:
    """Of one home. Unavailable when a database does not answer, or the log changed while it was read."""

    def __init__(self, home: Path, ledger: sa.Engine | None, shared: sa.Engine) -> None:
        self._home, self._ledger, self._shared = home, ledger, shared

    def is_here(self, tenant_id: str, module: str) -> bool:
        """Whether the tenant's log lies on this machine."""
        return bool(_events(Places(self._home, module, tenant_id)))

    def page(self, whose: tuple[str, str, str], after: int, most: int) -> tuple[list[Undecided], bool]:
        """Of a tenant's module's customer, events with higher numbers, at most so many, in their order; and whether
        there are more. What is an erased customer's is nobody's."""
        tenant_id, module, customer = whose
        places, erased = Places(self._home, module, tenant_id), Erased.of(self._shared, tenant_id, module)
        try:
            found = dict(_logged(places, erased.owner, customer, after))
            streamed = {seq: event for seq, event in self._streamed(whose, erased.owner, after) if seq not in found}
            found |= {seq: event.event_id for seq, event in streamed.items()}
            own = [(seq, found[seq]) for seq in sorted(found) if erased.whose(seq, customer) == customer]
            chosen = self._undecided(tenant_id, module, own, most + 1)
            logged = _rows(places, [seq for seq in chosen[:most] if seq not in streamed])
            told = _said(places, [*logged])
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise Unavailable("the log changed while it was read: ask again") from error
        whole = streamed | logged
        told |= self._said_in_sql(tenant_id, module, {whole[seq].event_id: seq for seq in chosen[:most]}, told)
        page = [Undecided(s, whole[s], "log" if s in logged else "stream", told.get(s, ())) for s in chosen[:most]]
        return page, len(chosen) > most

    def _undecided(self, tenant_id: str, module: str, own: Sequence[tuple[int, str]], most: int) -> list[int]:
        """The first so many of those that the ledger does not have."""
        chosen: list[int] = []
        for start in range(0, len(own), _PAGE):
            some = own[start : start + _PAGE]
            decided = self._decided(tenant_id, module, [event_id for _, event_id in some])
            chosen += [seq for seq, event_id in some if event_id not in decided]
            if len(chosen) >= most:
                break
        return chosen[:most]

    def _decided(self, tenant_id: str, module: str, event_ids: Sequence[str]) -> set[str]:
        if self._ledger is None:
            return set()
        c = events.c
        wanted = sa.select(c.event_id).where(c.tenant_id == tenant_id, c.module == module, c.event_id.in_(event_ids))
        return {row.event_id for row in _all(self._ledger, wanted)}

    def _streamed(self, whose: tuple[str, str, str], owner: str, after: int) -> Iterator[tuple[int, Event]]:
        """What is not in the log yet: no more than came since it was compacted last."""
        tenant_id, module, customer = whose
        c, last, written = stream_events.c, after, msgspec.json.encode(customer)
        waiting = stream_events.select().where(c.tenant_id == tenant_id, c.module == module, c.compacted.is_(False))
        while rows := _all(self._shared, waiting.where(c.seq > last).order_by(c.seq).limit(_PAGE)):
            for row in rows:
                if written in bytes(row.fields) and (event := event_of(row)).fields.get(owner) == customer:
                    yield row.seq, event
            last = rows[-1].seq

    def _said_in_sql(
        self, tenant_id: str, module: str, seqs: Mapping[str, int], known: Mapping[int, tuple[Told, ...]]
    ) -> dict[int, tuple[Told, ...]]:
        c = outcomes.c
        wanted = outcomes.select().where(c.tenant_id == tenant_id, c.module == module, c.event_id.in_(list(seqs)))
        found = {seq: {one.kind: one for one in told} for seq, told in known.items()}
        for row in _all(self._shared, wanted):
            found.setdefault(seqs[row.event_id], {}).setdefault(row.kind, Told(row.kind, row.value, row.known_at))
        return {seq: tuple(told.values()) for seq, told in found.items()}


def _events(places: Places) -> list[str]:
    try:
        return places.events()
    except NotFound:
        return []


def _logged(places: Places, owner: str, customer: str, after: int) -> Iterator[tuple[int, str]]:
    """Number and id."""
    for path in _events(places):
        with pq.ParquetFile(path) as file:
            groups = [i for i in range(file.num_row_groups) if _highest(file.metadata.row_group(i)) > after]
            for batch in file.iter_batches(_ROWS, row_groups=groups, columns=["seq", "event_id", owner]):
                mine = pc.and_(pc.equal(batch[owner], customer), pc.greater(batch["seq"], after))
                kept = batch.filter(pc.fill_null(mine, False))
                yield from zip(kept["seq"].to_pylist(), kept["event_id"].to_pylist(), strict=True)


def _highest(group: Any) -> int:
    numbers = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "seq")
    return (1 << 62) if numbers.statistics is None else int(numbers.statistics.max)


def _rows(places: Places, seqs: Sequence[int]) -> dict[int, Event]:
    found: dict[int, Event] = {}
    for row in _of_numbers(_events(places), seqs):
        seq, event_id, tenant_id, module, happened, observed = (row.pop(name) for name in _IDENTITY)
        found[seq] = Event(event_id, tenant_id, module, happened, observed, row)
    return found


def _said(places: Places, seqs: Sequence[int]) -> dict[int, tuple[Told, ...]]:
    found: dict[int, list[Told]] = {}
    for row in _of_numbers(places.outcomes(), seqs):
        if row["value"] is not None:
            found.setdefault(row["seq"], []).append(Told(row["kind"], row["value"], row["known_at"]))
    return {seq: tuple(told) for seq, told in found.items()}


def _of_numbers(paths: Sequence[str], seqs: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Rows with these numbers; times in microseconds."""
    for path in paths if seqs else ():
        table = pq.read_table(path, filters=[("seq", "in", list(seqs))])
        for i, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):
                table = table.set_column(i, field.name, table.column(i).cast(pa.int64()))
        yield from table.to_pylist()


def _all(engine: sa.Engine, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    try:
        with engine.connect() as connection:
            return connection.execute(statement).all()
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer ({reason(error)})") from error
