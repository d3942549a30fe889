"""The event log on disk: batches of events and outcomes in Parquet, and `log.json`, which says what belongs to it.

A batch becomes part of the log when its events file is renamed into place; `log.json` follows. An import that was
cut off between the two is finished, one cut off before is undone, by whoever opens the log next.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files, quoted
from fradect.adapters.places import scratch
from fradect.errors import Conflict, InvalidInput, NotFound, Refused
from fradect.intake import MOMENT, field_type
from fradect.mapping import Mapping
from fradect.modules import module_of
from fradect.modules.declaration import CostModel, Module

KINDS = ("outcomes", "origins", "events")  # in the order of publishing: events last, they make a batch visible
ROWS_PER_GROUP = 131_072

# `seq` is the event's number, `number` the outcome's own: of an imported row the same. Files written before there was
# one lack the column: read it as `seq`.
OUTCOMES = pa.schema(
    {
        "event_id": pa.string(),
        "seq": pa.int64(),
        "kind": pa.string(),
        "value": pa.bool_(),
        "event_time": MOMENT,
        "known_at": MOMENT,
        "number": pa.int64(),
    }
)
# Which row of which source (by digest) an event came from.
ORIGINS = pa.schema({"seq": pa.int64(), "source": pa.string(), "row": pa.int64()})


def events_schema(module: Module) -> pa.Schema:
    """Identity and times, then every column of the module, null where nothing was mapped."""
    identity = {
        "seq": pa.int64(),
        "event_id": pa.string(),
        "tenant_id": pa.string(),
        "module": pa.string(),
        "event_time": MOMENT,
        "observed_at": MOMENT,
    }
    return pa.schema(identity | {name: field_type(kind) for name, kind in module.columns.items()})


class SourceFacts(msgspec.Struct, frozen=True):
    """A file that was imported. `until` (microseconds) says that later events of it were held back."""

    digest: str
    name: str
    mapping_hash: str
    rows: int
    accepted: int
    rejected: int
    held_back: int
    until: int | None


class BatchFacts(msgspec.Struct, frozen=True):
    """What one import or compaction added, in files called `name`: the lowest and the highest number in it, of events
    and outcomes. Ranges of batches may interleave and have gaps, unless `events` (how many) is None."""

    name: str
    first_seq: int
    last_seq: int
    outcomes: int
    events: int | None = None

    @property
    def count(self) -> int:
        return self.last_seq - self.first_seq + 1 if self.events is None else self.events


class Facts(msgspec.Struct, frozen=True):
    """What is true of a log. Times in microseconds; `key_id` names the key its personal fields are under."""

    module: str
    tenant: str
    contract: str
    base_currency: str
    mapping: str
    mapping_hash: str
    costs: CostModel
    key_id: str | None = None
    first_time: int = 0
    last_time: int = 0
    sources: tuple[SourceFacts, ...] = ()
    batches: tuple[BatchFacts, ...] = ()
    compacted_seq: int = 0  # every event of the ledger up to it is here
    version: int = 1

    @property
    def highest_seq(self) -> int:
        """The highest number that an event or an outcome here has."""
        return max((batch.last_seq for batch in self.batches), default=0)

    @property
    def imports(self) -> tuple[BatchFacts, ...]:
        """Batches that came by an import."""
        return tuple(batch for batch in self.batches if batch.events is None)

    @property
    def imported_seq(self) -> int:
        return max((batch.last_seq for batch in self.imports), default=0)


def facts_of(mapping: Mapping) -> Facts:
    """Of a log that is about to begin."""
    return Facts(
        mapping.module.name,
        mapping.tenant,
        mapping.contract.name,
        mapping.base_currency,
        mapping.name,
        mapping.hash,
        mapping.costs,
    )


class EventLog:
    """One tenant's log of one module. Reading makes nothing; only an import writes, one at a time."""

    def __init__(self, home: Path, module: str, tenant: str) -> None:
        self.module = module_of(module)
        self.tenant = tenant
        self._home = home
        self.folder = home / "log" / module / tenant
        self._facts = self.folder / "log.json"
        self._staging = self.folder / "staging"

    def facts(self) -> Facts | None:
        """None while nothing has been imported."""
        if self._staging.exists():
            with self._locked() as is_ours:
                if is_ours:
                    self._recover()
        return self._read()

    def count(self) -> int:
        """How many events there are."""
        facts = self.facts()
        return 0 if facts is None else sum(batch.count for batch in facts.batches)

    def time_range(self) -> tuple[int, int]:
        """The earliest and the latest event time, both inclusive, in microseconds."""
        facts = self._needed()
        return facts.first_time, facts.last_time

    def scan(
        self, columns: Sequence[str], start: int | None = None, until: int | None = None, order: str = "seq"
    ) -> Iterator[pa.RecordBatch]:
        """Events with `start <= event_time < until`, by `seq` or by `time` (then `seq`), some of their columns."""
        schema = events_schema(self.module)
        unknown = [name for name in columns if name not in schema.names]
        if unknown or order not in ("seq", "time"):
            wrong = f"column {unknown[0]!r}" if unknown else f"order {order!r}"
            raise InvalidInput(f"scan: {wrong} is unknown; choose from {', '.join(schema.names)}; order seq or time")
        batches = [batch for batch in self._needed().batches if batch.count]
        if order == "seq":
            return self._by_seq(batches, columns, start, until)
        return self._sorted(self._paths(batches), columns, (start, until), "event_time, seq")

    @contextmanager
    def importing(self) -> Iterator[Path]:
        """Sole right to add to the log, and an empty folder beside it for the work; Conflict when another has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked() as is_ours:
            if not is_ours:
                raise Conflict(f"another import into {self.folder} is running: wait for it to end")
            self._recover()
            self._staging.mkdir()
            try:
                yield self._staging
            finally:
                shutil.rmtree(self._staging, ignore_errors=True)

    def publish(self, facts: Facts) -> None:
        """Make the batches that are new in `facts` part of the log; staged as `<kind>-<batch>.parquet`."""
        added = self._added(facts)
        for kind in KINDS:
            (self.folder / kind).mkdir(exist_ok=True)
            for batch in added:
                _sync(self._staged(kind, batch))
        following = self._staging / "log.json"
        following.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1))
        _sync(following)
        _sync(self._staging)
        for kind in KINDS:
            for batch in added:
                self._staged(kind, batch).replace(self._published(kind, batch))
            _sync(self.folder / kind)
        following.replace(self._facts)
        _sync(self.folder)

    def _recover(self) -> None:
        """Finish or undo what an import that was cut off left behind."""
        following = self._staging / "log.json"
        facts = _decoded(following)
        added = [] if facts is None else self._added(facts)
        if added and all(self._published("events", batch).exists() for batch in added):
            following.replace(self._facts)
            _sync(self.folder)
        else:
            for batch in added:
                for kind in KINDS:
                    self._published(kind, batch).unlink(missing_ok=True)
        if self._staging.exists():
            shutil.rmtree(self._staging)

    def _added(self, facts: Facts) -> list[str]:
        current = self._read()
        known = {batch.name for batch in current.batches} if current else set()
        return [batch.name for batch in facts.batches if batch.name not in known]

    def _staged(self, kind: str, batch: str) -> Path:
        return self._staging / f"{kind}-{batch}.parquet"

    def _published(self, kind: str, batch: str) -> Path:
        return self.folder / kind / f"{batch}.parquet"

    def _read(self) -> Facts | None:
        try:
            return msgspec.json.decode(self._facts.read_bytes(), type=Facts)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise Refused(f"{self._facts} is damaged ({error}): restore the folder from a backup") from error

    def _needed(self) -> Facts:
        facts = self.facts()
        if facts is None or not facts.batches:
            raise NotFound(f"tenant {self.tenant!r} has no events of {self.module.name}: run fradect import first")
        return facts

    def _paths(self, batches: Sequence[BatchFacts]) -> list[str]:
        return [str(self.folder / "events" / f"{batch.name}.parquet") for batch in batches]

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Whether the log's lock is ours for the while; the system frees it when a process dies."""
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _by_seq(
        self, batches: Sequence[BatchFacts], columns: Sequence[str], start: int | None, until: int | None
    ) -> Iterator[pa.RecordBatch]:
        """Files whose numbers do not interleave with others' are in order already; the rest are sorted together."""
        for together in _interleaved(batches):
            if len(together) == 1:
                yield from _as_written(self._paths(together)[0], columns, start, until)
            else:
                yield from self._sorted(self._paths(together), columns, (start, until), "seq")

    def _sorted(
        self, paths: list[str], columns: Sequence[str], bounds: tuple[int | None, int | None], order: str
    ) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([events_schema(self.module).field(name) for name in columns])
        limits = [
            f"event_time {sign} make_timestamptz({bound:d})"
            for sign, bound in zip((">=", "<"), bounds, strict=True)
            if bound is not None
        ]
        query = (
            f"SELECT {', '.join(map(quoted, columns))} FROM {files(paths)} "  # noqa: S608  names were checked
            f"WHERE {' AND '.join(limits) or 'true'} ORDER BY {order}"
        )
        with scratch(self._home) as spill, connect(spill) as connection:
            for batch in connection.execute(query).to_arrow_reader(ROWS_PER_GROUP):
                yield batch.cast(schema)


def _decoded(following: Path) -> Facts | None:
    """None as well for a file that was not written to its end: nothing was published before it was."""
    try:
        return msgspec.json.decode(following.read_bytes(), type=Facts)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _interleaved(batches: Sequence[BatchFacts]) -> Iterator[list[BatchFacts]]:
    """Batches in order of their numbers, those together whose ranges overlap."""
    together: list[BatchFacts] = []
    end = 0
    for batch in sorted(batches, key=lambda batch: batch.first_seq):
        if together and batch.first_seq > end:
            yield together
            together = []
        together.append(batch)
        end = max(end, batch.last_seq)
    if together:
        yield together


def _as_written(path: str, columns: Sequence[str], start: int | None, until: int | None) -> Iterator[pa.RecordBatch]:
    wanted = list(dict.fromkeys([*columns, "event_time"]))
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=wanted):
            kept = _between(batch, start, until)
            if kept.num_rows:
                yield kept.select(list(columns))


def _between(batch: pa.RecordBatch, start: int | None, until: int | None) -> pa.RecordBatch:
    micros = batch["event_time"].cast(pa.int64())
    if start is not None:
        batch, micros = batch.filter(pc.greater_equal(micros, start)), micros.filter(pc.greater_equal(micros, start))
    return batch if until is None else batch.filter(pc.less(micros, until))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
