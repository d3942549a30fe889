# ruff: noqa: S608  every name in a statement comes from a module's declaration, every path from Places
"""History on disk: DuckDB partitions the log by key, the kernel runs over each partition, and the results are laid
side by side again by sequence number. Memory is bounded by the partition's size, whatever the log's.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files, quoted
from fradect.adapters.event_log import EventLog
from fradect.adapters.log_terms import check_key
from fradect.adapters.places import Places, fingerprint, publishing, scratch
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Kind
from fradect.features.globe import NOWHERE
from fradect.features.history import (
    Outcomes,
    Partition,
    complete,
    looked_at,
    outcome_kinds,
    too_late,
    window_features,
)
from fradect.features.request import NO_TIME, Column, fields_read
from fradect.features.windows import Entries, Floats, Ints
from fradect.modules.declaration import FieldType, Module

ROWS_PER_PARTITION = 1_000_000
ROWS_PER_STRETCH = 500_000
_WORKERS = 2
_HERE = Path(__file__).parent
# What turns a log into features: a change there makes published files old.
_CODE = sorted([*(_HERE.parent / "features").glob("*.py"), *_HERE.glob("*_store.py"), _HERE / "pseudonyms.py"])

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Built:
    """A published file, its rows, and whether an earlier run had made it from the same log already."""

    path: Path
    rows: int
    reused: bool


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step of one run needs."""

    places: Places
    module: Module
    contract: Contract
    folder: Path
    duck: duckdb.DuckDBPyConnection
    pseudonyms: Pseudonyms
    rows: int
    last_seq: int


def build_features(
    places: Places, module: Module, contract: Contract, progress: Progress = lambda _stage, _share: None
) -> Built:
    """Every event's request, live and derived features as one Parquet file, in order of sequence numbers.

    Columns: event_id, seq, event_time, created (= event_time: a request computes them), customer_id (a
    pseudonym), then the features as float64, NaN where unknown. Published at once; an unchanged log and contract are
    not computed again.
    """
    target = places.features(contract)
    pseudonyms = Pseudonyms(places)
    facts = EventLog(places.home, places.module, places.tenant).facts()
    if facts is not None:
        check_key(facts, places.tenant, pseudonyms.key_id)
    origin = origin_of(contract, places.events() + places.outcomes(), pseudonyms.key_id)
    if made_from(target) == origin:
        return Built(target, pq.read_metadata(target).num_rows, reused=True)
    with scratch(places.home) as folder, connect(folder) as duck:
        rows, last = duck.execute(f"SELECT count(*), max(seq) FROM {files(places.events())}").fetchall()[0]
        work = _Work(places, module, contract, folder, duck, pseudonyms, rows, last or 0)
        for i, entity in enumerate(contract.entities):
            progress(f"windows of {entity}", i / (len(contract.entities) + 1))
            _build_entity(work, entity)
        progress("joining", len(contract.entities) / (len(contract.entities) + 1))
        with publishing(target) as staging:
            _join(work, staging, origin)
    return Built(target, rows, reused=False)


def origin_of(contract: Contract, sources: Sequence[str | Path], key_id: str = "") -> Mapping[bytes, bytes]:
    """What a file made from these sources for this contract, by the code as it is, carries in its footer. `key_id`:
    of the key that its pseudonyms are made with, where its sources have none."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in _CODE)).hexdigest()
    origin = {"sources": fingerprint(sources), "contract": contract.hash, "code": code, "key": key_id}
    return {f"fradect.{name}".encode(): value.encode() for name, value in origin.items()}


def made_from(path: Path) -> Mapping[bytes, bytes] | None:
    """A published file's origin; None where there is none."""
    if not path.is_file():
        return None
    metadata = pq.read_metadata(path).metadata or {}
    return {name: value for name, value in metadata.items() if name.startswith(b"fradect.")}


def _build_entity(work: _Work, entity: str) -> None:
    """Windows of one entity: partition by key, compute, leave the results in sequence order by stretch."""
    count = max(1, -(-work.rows // ROWS_PER_PARTITION))
    values = looked_at(work.module, work.contract, entity)
    _partition_events(work, entity, values, count)
    kinds = outcome_kinds(work.contract, entity)
    if kinds:
        _partition_outcomes(work, entity, kinds, count)
    parts = [part for part in range(count) if (work.folder / entity / f"part={part}").is_dir()]
    with ThreadPoolExecutor(_WORKERS) as pool:  # numpy and Arrow let go of the interpreter where the time goes
        for _ in pool.map(lambda part: _compute(work, entity, part, values, kinds), parts):
            pass
    shutil.rmtree(work.folder / entity, ignore_errors=True)


def _partition_events(work: _Work, entity: str, values: Mapping[str, FieldType], count: int) -> None:
    columns = [_whole(name, kind) if kind in _ABSENT else quoted(name) for name, kind in values.items()]
    key = quoted(work.module.entities[entity])
    named = "".join(f", {column} AS v{i}" for i, column in enumerate(columns))
    work.duck.execute("SET preserve_insertion_order = false")
    work.duck.execute(
        f"COPY (SELECT hash({key}) % {count} AS part, {key} AS key, epoch_us(event_time) AS time, seq{named} "
        f"FROM {files(work.places.events())} WHERE {key} IS NOT NULL) TO '{work.folder / entity}' "
        "(FORMAT parquet, COMPRESSION uncompressed, PARTITION_BY (part))"
    )


def _partition_outcomes(work: _Work, entity: str, kinds: Sequence[str], count: int) -> None:
    key = quoted(work.module.entities[entity])
    wanted = ", ".join(f"'{kind}'" for kind in kinds)
    outcomes = files(work.places.outcomes()) if work.places.outcomes() else _NO_OUTCOMES
    held = {str(name) for (name, *_) in work.duck.execute(f"DESCRIBE SELECT * FROM {outcomes}").fetchall()}
    number = "coalesce(o.number, o.seq)" if "number" in held else "o.seq"
    work.duck.execute(
        f"COPY (SELECT hash({key}) % {count} AS part, {key} AS key, {number} AS number, "
        f"epoch_us(e.event_time) AS event_time, epoch_us(o.known_at) AS known_at, o.value::BIGINT AS value, o.kind "
        f"FROM {outcomes} o JOIN {files(work.places.events())} e ON o.seq = e.seq "
        f"WHERE {key} IS NOT NULL AND o.kind IN ({wanted}) AND o.value IS NOT NULL) "
        f"TO '{work.folder / entity}_outcomes' "
        "(FORMAT parquet, COMPRESSION uncompressed, PARTITION_BY (part))"
    )


_NO_OUTCOMES = (
    "(SELECT NULL::BIGINT AS seq, NULL::VARCHAR AS kind, NULL::BOOLEAN AS value, NULL::TIMESTAMPTZ AS known_at LIMIT 0)"
)


# What stands for a value that is not there, in fields that are whole numbers.
_ABSENT = {FieldType.MONEY: 0, FieldType.PLACE: NOWHERE}


def _whole(name: str, kind: FieldType) -> str:
    return f"coalesce({quoted(name)}, {_ABSENT[kind]})::BIGINT"


def _compute(work: _Work, entity: str, part: int, values: Mapping[str, FieldType], kinds: Sequence[str]) -> None:
    texts = [f"v{i}" for i, kind in enumerate(values.values()) if kind not in _ABSENT]
    table = _read_part(work.folder / entity / f"part={part}", ["key", *texts])
    table = table.take(np.argsort(_ints(table["seq"]), kind="stable"))
    held = {name: _ints(table[f"v{i}"]) for i, name in enumerate(values)}
    keys = table["key"].combine_chunks()
    events = Entries(_ints(keys), _ints(table["time"]), _ints(table["seq"]), held)
    folder = work.folder / f"{entity}_outcomes" / f"part={part}"
    outcomes = {kind: _outcomes(folder, kind, keys.dictionary) for kind in kinds}
    columns = window_features(work.contract, entity, Partition(events, outcomes))
    _leave(work.folder / f"{entity}-{part}.arrow", events.seq, columns)


def _read_part(folder: Path, texts: Sequence[str]) -> pa.Table:
    table = pq.read_table(folder, partitioning=None, read_dictionary=list(texts))
    return table.unify_dictionaries().combine_chunks()


def _outcomes(folder: Path, kind: str, keys: pa.Array) -> Outcomes:
    if not folder.is_dir():
        empty = np.zeros(0, np.int64)
        return Outcomes(empty, empty, empty, empty, empty)
    table = pq.read_table(folder, partitioning=None, filters=[("kind", "=", kind)])
    columns = [_ints(table[name]) for name in ("number", "event_time", "known_at", "value")]
    return Outcomes(_ints(pc.index_in(table["key"], keys)), *columns)


def _ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    """Whole numbers as they are, dictionary-coded text as its codes, -1 for null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.DictionaryArray):
        array = array.indices
    if array.null_count:
        array = pc.fill_null(array, -1)
    return np.asarray(array.to_numpy(zero_copy_only=False), np.int64)


def _leave(path: Path, seq: Ints, columns: Mapping[str, Floats]) -> None:
    """Results as Arrow, one record batch per stretch of sequence numbers (a stretch may be empty)."""
    everything = pa.record_batch({"seq": seq, **columns})
    edges = np.searchsorted(seq, np.arange(0, int(seq[-1]) + 1 + ROWS_PER_STRETCH, ROWS_PER_STRETCH))
    with pa.ipc.new_file(str(path), everything.schema) as writer:
        for start, end in pairwise(edges):
            writer.write_batch(everything.slice(start, end - start))


def feature_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """For features as float64: their bytes, split by significance, compress better and twice as fast."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    return pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=["customer_id"], use_byte_stream_split=floats
    )


def _join(work: _Work, staging: Path, origin: Mapping[bytes, bytes]) -> None:
    schema = _schema(work.contract).with_metadata(origin)
    work.duck.execute("SET preserve_insertion_order = true")
    parts = sorted(work.folder.glob("*.arrow"))
    newest = 0
    buffers = cycle([_Buffer(work.contract), _Buffer(work.contract)])  # one is filled while the other is written
    with feature_writer(staging, schema) as writer, ThreadPoolExecutor(1) as pool:
        written = pool.submit(bool)
        for stretch in range(work.last_seq // ROWS_PER_STRETCH + 1):
            fields = _fields(work, stretch)
            if fields.num_rows:
                windows = next(buffers).fill(parts, stretch, _ints(fields["seq"]))
                late, newest = too_late(_ints(fields["event_time"].cast(pa.int64())), newest)
                table = _rows(work, fields, windows, late, schema)
                written.result()
                written = pool.submit(writer.write_table, table)
        written.result()


class _Buffer:
    """Memory for one stretch's windows, taken once: fresh pages cost more than what is written to them."""

    def __init__(self, contract: Contract) -> None:
        self._columns = {feature.name: np.empty(ROWS_PER_STRETCH) for feature, _ in contract.windows}

    def fill(self, parts: Sequence[Path], stretch: int, seq: Ints) -> dict[str, Floats]:
        """Every part's results at the places of their numbers in `seq`, NaN where there are none."""
        columns = {name: column[: seq.size] for name, column in self._columns.items()}
        for column in columns.values():
            column.fill(np.nan)
        for part in parts:
            with pa.memory_map(str(part)) as mapped:  # no longer than needed: mapped pages count as memory
                held = pa.ipc.open_file(mapped)
                if stretch >= held.num_record_batches:
                    continue
                batch = held.get_batch(stretch)
                at = np.searchsorted(seq, batch["seq"].to_numpy())
                for name in batch.schema.names[1:]:
                    columns[name][at] = batch[name].to_numpy()
        return columns


def _schema(contract: Contract) -> pa.Schema:
    moment = pa.timestamp("us", tz="UTC")
    keys = [("event_id", pa.string()), ("seq", pa.int64()), ("event_time", moment), ("created", moment)]
    kinds = contract.of_kind(Kind.REQUEST, Kind.LIVE, Kind.DERIVED)
    return pa.schema([*keys, ("customer_id", pa.string()), *((f.name, pa.float64()) for f in kinds)])


def _fields(work: _Work, stretch: int) -> pa.Table:
    """The events of one stretch, with what request features read, in order of their numbers."""
    customer = work.module.entities.get("customer")
    owner = quoted(customer) if customer else "NULL::VARCHAR"
    read = "".join(f", {quoted(name)} AS f{i}" for i, name in enumerate(fields_read(work.contract)))
    start = stretch * ROWS_PER_STRETCH
    table = work.duck.execute(
        f"SELECT event_id, seq, event_time, {owner} AS customer_id{read} FROM {files(work.places.events())} "
        f"WHERE seq >= {start} AND seq < {start + ROWS_PER_STRETCH}"
    ).to_arrow_table()
    seq = _ints(table["seq"])
    if not bool(np.all(seq[1:] > seq[:-1])):
        table = table.take(np.argsort(seq, kind="stable"))
        seq = _ints(table["seq"])
        if bool(np.any(seq[1:] == seq[:-1])):
            raise InvalidInput(f"{work.places.log}: sequence numbers repeat; remove the log and import again")
    return table


def _rows(
    work: _Work, table: pa.Table, windows: Mapping[str, Floats], late: npt.NDArray[np.bool_], schema: pa.Schema
) -> pa.Table:
    time = table["event_time"].cast(pa.int64())
    frame: dict[str, Column] = {"event_time": _ints(time)}
    for i, name in enumerate(fields_read(work.contract)):
        frame[name] = _column(table[f"f{i}"], work.module.columns[name])
    columns = complete(work.contract, frame, windows, late)
    moment = table["event_time"].cast(schema.field("event_time").type)
    keys = [table["event_id"], table["seq"], moment, moment, work.pseudonyms.column(table["customer_id"])]
    return pa.Table.from_arrays([*keys, *(pa.array(columns[name]) for name in schema.names[5:])], schema=schema)


def _column(column: pa.ChunkedArray, kind: FieldType) -> Column:
    """A field as request features read it (fradect/features/request.py)."""
    if kind is FieldType.TIME:
        moments = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        return np.asarray(moments.fill_null(NO_TIME).to_numpy(), np.int64)
    if kind in _ABSENT:
        return np.asarray(column.fill_null(_ABSENT[kind]).to_numpy(), np.int64)
    if kind is FieldType.NUMBER:
        return np.asarray(column.fill_null(np.nan).to_numpy(), np.float64)
    return np.asarray(column.to_numpy(), object)
