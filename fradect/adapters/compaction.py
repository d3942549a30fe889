"""Events and outcomes that SQL has and the Parquet log has not, copied into batches of the log under their numbers.

Published like an import, so that a crash leaves the old log or the new one; what is copied twice is recognised by its
id. Nothing is deleted in SQL, and the ledger, which the service may be writing, is only read.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from fradect.adapters.erased import Erased
from fradect.adapters.event_log import (
    ORIGINS,
    OUTCOMES,
    BatchFacts,
    EventLog,
    Facts,
    events_schema,
    facts_of,
)
from fradect.adapters.logged_events import LoggedEvents
from fradect.adapters.sql_events import Numbered, SqlEvents
from fradect.adapters.tables import outcomes, stream_events
from fradect.adapters.vault import HomeVault, has_key
from fradect.errors import NotFound, Unavailable
from fradect.mapping import Mapping

ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Compaction:
    """What to compact: one tenant's module. `mapping` begins a log that is not there yet; without it there must be
    one. `confirmed`: every event of the ledger up to this number is in SQL (None: unknown, all are looked at)."""

    home: Path
    log: EventLog
    shared: sa.Engine
    stored: SqlEvents
    mapping: Mapping | None = None
    confirmed: int | None = None

    @property
    def whose(self) -> tuple[str, str]:
        return self.log.tenant, self.log.module.name


@dataclass(frozen=True, slots=True)
class Compacted:
    """How much was new to the log."""

    events: int = 0
    outcomes: int = 0


def compact(work: Compaction) -> Compacted:
    """Bring the log up to date; what is in it already is not copied again. Conflict while an import is running."""
    if not _is_pending(work):
        return Compacted()
    with work.log.importing() as staging:
        facts = work.log.facts() or (None if work.mapping is None else facts_of(work.mapping))
        if facts is None:
            raise NotFound(f"tenant {work.log.tenant!r} has no log yet: import a file, or ingest with a mapping")
        logged = LoggedEvents(work.log)
        try:
            batch = _write(work, facts, logged, staging)
        finally:
            logged.close()
        following = _following(work, facts, batch, staging)
        if following != facts and following.batches:
            work.log.publish(following)
    _mark(work, batch)
    return Compacted(batch.events, batch.outcomes)


def begin(log: EventLog, mapping: Mapping, key_id: str | None) -> None:
    """Make the log that a stream is going to fill, so that nothing of another contract, currency or key joins it."""
    if log.facts() is None:
        with log.importing():
            if log.facts() is None:
                log.publish(msgspec.structs.replace(facts_of(mapping), key_id=key_id))


def not_compacted(work: Compaction) -> Iterator[pa.Table]:
    """Pages of event_id, seq and source of events that the log may not have: what an import must know of."""
    facts = work.log.facts()
    found = work.stored.numbered(*work.whose, facts.compacted_seq if facts else 0, None)
    while some := list(islice(found, ROWS)):
        columns = ([n.event.event_id for n in some], [n.seq for n in some], [n.source for n in some])
        yield pa.table(dict(zip(("event_id", "seq", "source"), columns, strict=True)))


@dataclass(slots=True)
class _Batch:
    """A batch as it is written. `streamed` and `told` are the numbers of what is in the log with it."""

    events: int = 0
    outcomes: int = 0
    lowest: int | None = None
    highest: int = 0
    first_time: int | None = None
    last_time: int = 0
    streamed: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def count(self, numbers: Sequence[int]) -> None:
        self.lowest = min(numbers) if self.lowest is None else min(self.lowest, *numbers)
        self.highest = max(self.highest, *numbers)


def _is_pending(work: Compaction) -> bool:
    facts = work.log.facts()
    return (
        next(work.stored.numbered(*work.whose, facts.compacted_seq if facts else 0, None), None) is not None
        or next(_told(work), None) is not None
    )


def _write(work: Compaction, facts: Facts, logged: LoggedEvents, staging: Path) -> _Batch:
    """Outcomes are looked up first: the event of each is then among the events that are read after them."""
    batch, told = _Batch(), list(_told(work))
    with (
        pq.ParquetWriter(staging / "events.parquet", events_schema(work.log.module), compression="zstd") as events,
        pq.ParquetWriter(staging / "origins.parquet", ORIGINS, compression="zstd") as origins,
    ):
        found = work.stored.numbered(*work.whose, facts.compacted_seq, None)
        erased = Erased.of(work.shared, *work.whose)
        found = (numbered._replace(event=erased.applied(numbered.seq, numbered.event)) for numbered in found)
        while some := list(islice(found, ROWS)):
            batch.streamed += [numbered.seq for numbered in some if numbered.source == "stream"]
            held = logged.held([numbered.event.event_id for numbered in some])
            fresh = _once([numbered for numbered in some if numbered.event.event_id not in held], batch)
            if fresh:
                events.write_table(_event_table(fresh, events.schema))
                origins.write_table(_origin_table(fresh))
    with pq.ParquetWriter(staging / "outcomes.parquet", OUTCOMES, compression="zstd") as writer:
        for start in range(0, len(told), ROWS):
            _write_outcomes(told[start : start + ROWS], logged, batch, writer)
    return batch


def _once(fresh: list[Numbered], batch: _Batch) -> list[Numbered]:
    """The same event by stream and by request has one number, and is one event."""
    kept: list[Numbered] = []
    for numbered in fresh:
        if numbered.seq != batch.highest:
            kept.append(numbered)
            batch.count([numbered.seq])
    times = [numbered.event.event_time for numbered in kept]
    if times:
        batch.events += len(kept)
        batch.first_time = min(times) if batch.first_time is None else min(batch.first_time, *times)
        batch.last_time = max(batch.last_time, *times)
    return kept


def _event_table(fresh: Sequence[Numbered], schema: pa.Schema) -> pa.Table:
    events = [numbered.event for numbered in fresh]
    identity: dict[str, list[Any]] = {
        "seq": [numbered.seq for numbered in fresh],
        "event_id": [event.event_id for event in events],
        "tenant_id": [event.tenant_id for event in events],
        "module": [event.module for event in events],
        "event_time": [event.event_time for event in events],
        "observed_at": [event.observed_at for event in events],
    }
    columns = [identity.get(f.name) or [event.fields.get(f.name) for event in events] for f in schema]
    return _table(columns, schema)


def _origin_table(fresh: Sequence[Numbered]) -> pa.Table:
    seqs = [numbered.seq for numbered in fresh]
    return _table([seqs, [numbered.source for numbered in fresh], seqs], ORIGINS)


def _table(columns: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Times come as microseconds."""
    arrays = [
        pa.array(column, pa.int64()).cast(f.type) if pa.types.is_timestamp(f.type) else pa.array(column, f.type)
        for column, f in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _write_outcomes(
    some: Sequence[sa.Row[tuple[Any, ...]]], logged: LoggedEvents, batch: _Batch, writer: pq.ParquetWriter
) -> None:
    batch.told += [row.number for row in some]
    held = {(event_id, str(kind)) for event_id, kind in logged.said([row.event_id for row in some])}
    fresh = [row for row in some if (row.event_id, row.kind) not in held]
    if fresh:
        batch.outcomes += len(fresh)
        batch.count([row.number for row in fresh])
        writer.write_table(_table([[getattr(row, f.name) for row in fresh] for f in OUTCOMES], OUTCOMES))


def _told(work: Compaction) -> Iterator[sa.Row[tuple[Any, ...]]]:
    """Outcomes that have their number, in its order."""
    c = outcomes.c
    tenant, module = work.whose
    wanted = sa.select(*(c[f.name] for f in OUTCOMES)).where(
        c.tenant_id == tenant, c.module == module, c.compacted.is_(False), c.number.is_not(None)
    )
    last = 0
    while True:
        try:
            with work.shared.connect() as connection:
                rows = connection.execute(wanted.where(c.number > last).order_by(c.number).limit(ROWS)).all()
        except sa.exc.DBAPIError as error:
            raise Unavailable(f"the database does not answer: {error.orig}") from error
        yield from rows
        if len(rows) < ROWS:
            return
        last = rows[-1].number


def _following(work: Compaction, facts: Facts, batch: _Batch, staging: Path) -> Facts:
    """The staged files under the name of their batch, and the facts of the log with it."""
    changes: dict[str, Any] = {"compacted_seq": max(facts.compacted_seq, work.confirmed or 0)}
    if batch.events or batch.outcomes:
        lowest = batch.lowest or 0
        name = f"{lowest:012d}-{_fingerprint(staging)}"
        for kind in ("events", "outcomes", "origins"):
            (staging / f"{kind}.parquet").replace(staging / f"{kind}-{name}.parquet")
        sealed = has_key(work.home)
        changes["batches"] = (*facts.batches, BatchFacts(name, lowest, batch.highest, batch.outcomes, batch.events))
        changes["key_id"] = facts.key_id or (HomeVault(work.home).key_id if sealed else None)
    if batch.first_time is not None:
        has_events = any(earlier.count for earlier in facts.batches)
        changes["first_time"] = min(batch.first_time, facts.first_time) if has_events else batch.first_time
        changes["last_time"] = max(batch.last_time, facts.last_time)
    return msgspec.structs.replace(facts, **changes)


def _fingerprint(staging: Path) -> str:
    """Of what goes in, so that the same compaction makes files of the same name."""
    digest = hashlib.sha256()
    for kind in ("events", "outcomes"):
        with (staging / f"{kind}.parquet").open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _mark(work: Compaction, batch: _Batch) -> None:
    """Only saves looking at them again: whoever dies before this looks again."""
    tenant, module = work.whose
    with work.shared.begin() as connection:
        for table, column, numbers in (
            (stream_events, stream_events.c.seq, batch.streamed),
            (outcomes, outcomes.c.number, batch.told),
        ):
            change = table.update().where(
                table.c.tenant_id == tenant, table.c.module == module, column == sa.bindparam("its_number")
            )
            if numbers:
                connection.execute(change.values(compacted=True), [{"its_number": n} for n in numbers])
