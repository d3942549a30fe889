# ruff: noqa: S608  statements are made of paths of our own and declared names
"""Staged events made one batch of the log: repeats found, the rest ordered and numbered, out of core by DuckDB."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files
from fradect.adapters.event_log import ORIGINS, OUTCOMES, ROWS_PER_GROUP, EventLog, Facts, events_schema
from fradect.intake import PLACE, ROWS_PER_SOURCE
from fradect.mapping import Mapping
from fradect.types import OutcomeKind

STORED = ("stream", "ledger")
"""What stands for a file's digest where an event came by SQL; its `row` is its number."""


class Repeat(NamedTuple):
    """A staged row whose event id came before: in `row` of the source with this digest."""

    source: int
    at: int
    event_id: str
    digest: str
    row: int


class Merged(NamedTuple):
    """What a batch holds; times in microseconds."""

    events: int
    outcomes: int
    first_time: int
    last_time: int


class Merge:
    """A connection over the staged files of one import; `digests` names the sources they came from."""

    def __init__(self, log: EventLog, staging: Path, paths: Sequence[Path], digests: Sequence[str]) -> None:
        self._log, self._staging, self._digests = log, staging, digests
        self._connection = connect(staging / "spill")
        self._connection.execute(f"CREATE VIEW staged AS SELECT * FROM {files([str(path) for path in paths])}")

    def limit(self, memory_mb: int) -> None:
        """DuckDB needs some 50 MB a thread to spill; two sort as fast as the disks and Python around them."""
        self._connection.execute(f"SET memory_limit = '{memory_mb}MB'")
        self._connection.execute(f"SET threads = {2 if memory_mb >= 128 else 1}")

    def find_repeats(self, facts: Facts | None, elsewhere: Iterable[pa.Table] = ()) -> None:
        """Rows whose id stands earlier among the staged, in the log already, or `elsewhere`; the last two come first.

        `elsewhere`: pages of event_id, seq and source (one of STORED) of events that are not in the log yet.
        """
        run = self._connection.execute
        run(
            "CREATE TABLE repeats AS SELECT s.place, s.event_id, "
            f"f.first // {ROWS_PER_SOURCE} AS source, f.first % {ROWS_PER_SOURCE} AS row, NULL::VARCHAR AS digest "
            "FROM staged s JOIN (SELECT event_id, min(place) AS first FROM staged GROUP BY event_id "
            "HAVING count(*) > 1) f ON s.event_id = f.event_id AND s.place <> f.first"
        )
        run("CREATE TABLE known (place BIGINT, event_id VARCHAR, row BIGINT, digest VARCHAR)")
        if facts is not None and facts.batches:
            self._find_logged(facts)
        for page in elsewhere:
            self._find_stored(page)
        run("DELETE FROM repeats WHERE place IN (SELECT place FROM known)")
        run("INSERT INTO repeats SELECT place, event_id, NULL, row, digest FROM known")

    def _find_logged(self, facts: Facts) -> None:
        events, origins = (self._published(kind, facts) for kind in ("events", "origins"))
        self._connection.execute(
            "INSERT INTO known SELECT s.place, s.event_id, o.row, o.source FROM staged s "
            f"JOIN (SELECT event_id, seq FROM {events}) e ON s.event_id = e.event_id "
            f"JOIN {origins} o ON e.seq = o.seq"
        )

    def _find_stored(self, page: pa.Table) -> None:
        self._connection.register("page", page)
        self._connection.execute(
            "INSERT INTO known SELECT s.place, s.event_id, p.seq, p.source FROM staged s "
            "JOIN page p ON s.event_id = p.event_id WHERE s.place NOT IN (SELECT place FROM known)"
        )
        self._connection.unregister("page")

    def repeats(self) -> Iterator[list[Repeat]]:
        """In the order of sources and rows, a batch at a time."""
        cursor = self._connection.cursor().execute(
            "SELECT place, event_id, source, row, digest FROM repeats ORDER BY place"
        )
        while rows := cursor.fetchmany(ROWS_PER_GROUP):
            yield [self._repeat(*row) for row in rows]

    def write(self, mapping: Mapping, batch: str, first_seq: int) -> Merged:
        """Stage what is left as `<kind>-<batch>.parquet`, in the order of (event_time, source, row)."""
        ordered = self._connection.execute(
            "SELECT * FROM staged s WHERE NOT EXISTS (SELECT 1 FROM repeats r WHERE r.place = s.place) "
            "ORDER BY event_time, place"
        ).to_arrow_reader(ROWS_PER_GROUP)
        writer = _BatchWriter(self._staging, batch, mapping, self._digests)
        seq = first_seq
        for records in even(ordered, ROWS_PER_GROUP):
            writer.add(records, seq)
            seq += records.num_rows
        return writer.close()

    def close(self) -> None:
        self._connection.close()

    def _published(self, kind: str, facts: Facts) -> str:
        return files([str(self._log.folder / kind / f"{batch.name}.parquet") for batch in facts.batches])

    def _repeat(self, place: int, event_id: str, source: int | None, row: int, digest: str | None) -> Repeat:
        first = digest if source is None else self._digests[source]
        return Repeat(place // ROWS_PER_SOURCE, place % ROWS_PER_SOURCE, event_id, first or "", row)


class _BatchWriter:
    """The three files of a batch, written side by side."""

    def __init__(self, staging: Path, batch: str, mapping: Mapping, digests: Sequence[str]) -> None:
        self._mapping, self._digests = mapping, pa.array(digests, pa.string())
        self._schema = events_schema(mapping.module)
        schemas = {"events": self._schema, "outcomes": OUTCOMES, "origins": ORIGINS}
        self._writers = {
            kind: pq.ParquetWriter(staging / f"{kind}-{batch}.parquet", schema, compression="zstd")
            for kind, schema in schemas.items()
        }
        self._events, self._outcomes = 0, 0
        self._first, self._last = 0, 0

    def add(self, records: pa.Table, seq: int) -> None:
        n = records.num_rows
        numbers = pa.array(np.arange(seq, seq + n))
        micros = records["event_time"].cast(pa.int64())
        self._first = self._first if self._events else micros[0].as_py()
        self._last, self._events = micros[n - 1].as_py(), self._events + n
        given = {
            "seq": numbers,
            "tenant_id": pa.repeat(self._mapping.tenant, n),
            "module": pa.repeat(self._mapping.module.name, n),
        }
        self._write("events", {name: given.get(name, _column(records, name, n)) for name in self._schema.names})
        place = records[PLACE].to_numpy()
        source = self._digests.take(pa.array(place // ROWS_PER_SOURCE))
        self._write("origins", {"seq": numbers, "source": source, "row": pa.array(place % ROWS_PER_SOURCE)})
        for label in self._mapping.outcomes:
            self._add_outcomes(records, numbers, label.kind)

    def _add_outcomes(self, records: pa.Table, numbers: pa.Array, kind: OutcomeKind) -> None:
        value, known_at = records[f"{kind}_value"], records[f"{kind}_known_at"]
        known = pc.and_(pc.is_valid(value), pc.is_valid(known_at))
        columns = {
            "event_id": records["event_id"],
            "seq": numbers,
            "kind": pa.repeat(str(kind), records.num_rows),
            "value": value,
            "event_time": records["event_time"],
            "known_at": known_at,
            "number": numbers,
        }
        kept = {name: column.filter(known) for name, column in columns.items()}
        self._outcomes += len(kept["seq"])
        self._write("outcomes", kept)

    def _write(self, kind: str, columns: dict[str, Any]) -> None:
        schema = self._writers[kind].schema
        if len(columns["seq"]):
            table = pa.table([columns[name] for name in schema.names], names=schema.names)
            self._writers[kind].write_table(table.cast(schema))

    def close(self) -> Merged:
        for writer in self._writers.values():
            writer.close()
        return Merged(self._events, self._outcomes, self._first, self._last)


def even(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `size`, the last one shorter, so that files do not depend on chance."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        while count >= size:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size)
            waiting = table.slice(size).to_batches()
            count -= size
    if count:
        yield pa.Table.from_batches(waiting)


def _column(records: pa.Table, name: str, n: int) -> Any:
    return records[name] if name in records.schema.names else pa.nulls(n)
