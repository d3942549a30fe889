# ruff: noqa: S608  every name in a statement comes from a module's declaration, every path from Places
"""Training sets on disk: every event with its vector as it would have been, its label, and when that became known.

The same join as the feature store's own (a test holds them together), for millions of rows: DuckDB finds each
event's snapshot, and the wide features file, already in order of sequence numbers, is laid beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.duck import connect, files, quoted
from fradect.adapters.history_store import Built, feature_writer, made_from, origin_of
from fradect.adapters.places import Places, publishing, scratch
from fradect.errors import Conflict, NotFound
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.snapshots import TTL, of_customers
from fradect.modules.declaration import Module

_KEYS = ("event_id", "seq", "event_time", "customer_id")


def training_set(places: Places, module: Module, contract: Contract) -> Built:
    """Write the training set, unless nothing it is made of has changed; features and snapshots must exist.

    Columns: event_id, seq, event_time, customer_id (a pseudonym); the contract's features in its order (float64, NaN
    missing); label (true for fraud, null while unknown; of what was told, the last), label_known_at, amount_base; the
    module's protected attributes.
    An event sees a snapshot only when it is of then or before, was known by then, and is not older than TTL; of
    those the one of the latest midnight, as last restated.
    """
    source = places.features(contract)
    if not source.is_file():
        raise NotFound(f"no features of {contract.name} under {places.home}: run the materialise stage first")
    target = places.training_set(contract)
    snapshots = [places.snapshots(contract)] if contract.of_kind(Kind.BATCH) else []
    sources: list[str | Path] = [source, *snapshots, *places.events(), *places.outcomes(), *_told(places)]
    origin = origin_of(contract, sources)
    if made_from(target) == origin:
        return Built(target, pq.read_metadata(target).num_rows, reused=True)
    rows = 0
    with scratch(places.home) as folder, connect(folder) as duck, publishing(target) as staging:
        beside = duck.execute(_beside(places, module, contract)).to_arrow_reader(200_000)
        schema = _schema(contract, beside.schema).with_metadata(origin)
        with feature_writer(staging, schema) as writer:
            for wide, narrow in _side_by_side(source, beside):
                writer.write_batch(_rows(contract, wide, narrow, schema))
                rows += wide.num_rows
    return Built(target, rows, reused=False)


def read_training_set(path: Path, module: Module, contract: Contract) -> dict[str, Any]:
    """A training set in memory, under the names of the fields of `training.dataset.Dataset`."""
    with pq.ParquetFile(path) as file:
        matrix = np.empty((file.metadata.num_rows, len(contract.names)), np.float64)
        row = 0
        for batch in file.iter_batches(columns=list(contract.names)):
            for j, name in enumerate(contract.names):
                matrix[row : row + batch.num_rows, j] = batch[name].to_numpy()
            row += batch.num_rows
        names = ["event_id", "event_time", "customer_id", "label", "label_known_at", "amount_base"]
        rest = file.read(columns=[*names, *module.protected])
    label = rest["label"]
    return {
        "names": contract.names,
        "matrix": matrix,
        "label": label.fill_null(False).to_numpy(),
        "labelled": label.is_valid().to_numpy(),
        "amount": rest["amount_base"].fill_null(0).to_numpy(),
        "time": rest["event_time"].cast(pa.int64()).to_numpy(),
        "known_at": rest["label_known_at"].cast(pa.int64()).fill_null(0).to_numpy(),
        "customer": _codes(rest["customer_id"]),
        "event_id": rest["event_id"].to_numpy(),
        "protected": {name: np.array(rest[name].to_pylist(), object) for name in module.protected},
    }


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.fill_null(-1).to_numpy(), np.int64)


def _beside(places: Places, module: Module, contract: Contract) -> str:
    """What stands beside the features, in order of sequence numbers: snapshot, label, amount, attributes."""
    batch = contract.of_kind(Kind.BATCH)
    snapshots = _snapshots(batch, places.snapshots(contract)) if batch else None
    seen = "".join(f", {_fresh(feature.name)}" for feature in batch)
    protected = "".join(f", e.{quoted(name)}" for name in module.protected)
    asof = f"ASOF LEFT JOIN ({snapshots}) s ON f.customer_id = s.customer_id AND f.event_time >= s.visible_from "
    return (
        f"SELECT f.seq{seen}, {_overruled('label')}, {_overruled('label_known_at')}, e.amount_base{protected} "
        f"FROM (SELECT seq, customer_id, event_time FROM {files([str(places.features(contract))])}) f "
        f"{asof if snapshots else ''}"
        f"LEFT JOIN ({_labels(places)}) o ON f.seq = o.seq JOIN {files(places.events())} e ON f.seq = e.seq "
        f"LEFT JOIN ({_corrections(places)}) t ON e.event_id = t.event_id ORDER BY f.seq"
    )


def _overruled(name: str) -> str:
    """What was told of the decision last, over what the log heard first; told to be unknown, it is no label."""
    return f"CASE WHEN t.event_id IS NULL THEN o.{name} WHEN t.label IS NOT NULL THEN t.{name} END AS {name}"


def _corrections(places: Places) -> str:
    told = _told(places)
    if told:
        return f"SELECT * FROM {files(told)}"
    return "SELECT NULL::VARCHAR AS event_id, NULL::BOOLEAN AS label, NULL::TIMESTAMPTZ AS label_known_at LIMIT 0"


def _told(places: Places) -> list[str]:
    return [str(places.told_labels)] if places.told_labels.is_file() else []


def _fresh(name: str) -> str:
    fresh = f"epoch_us(s.event_timestamp) + {TTL} >= epoch_us(f.event_time)"
    return f"CASE WHEN {fresh} THEN s.{quoted(name)} END AS {quoted(name)}"


def _snapshots(batch: tuple[Feature, ...], path: Path) -> str:
    """From each moment on, the snapshot that is the latest of those known by then.

    A row is visible from max(event_timestamp, created) on. Rows written late may be of an earlier midnight than
    ones that were visible before them, so the latest is a running maximum, found before the ASOF join.
    """
    columns = "".join(f", {quoted(feature.name)} := {quoted(feature.name)}" for feature in batch)
    row = f"struct_pack(event_timestamp := event_timestamp, created := created{columns})"
    return (
        "SELECT customer_id, visible_from, unnest(latest) FROM ("
        "SELECT customer_id, greatest(event_timestamp, created) AS visible_from, "
        f"max({row}) OVER (PARTITION BY customer_id ORDER BY greatest(event_timestamp, created)) AS latest "
        f"FROM {files([str(path)])})"
    )


def _labels(places: Places) -> str:
    if not places.outcomes():
        return "SELECT NULL::BIGINT AS seq, NULL::BOOLEAN AS label, NULL::TIMESTAMPTZ AS label_known_at LIMIT 0"
    return (
        "SELECT seq, arg_max(value, known_at) AS label, max(known_at) AS label_known_at "
        f"FROM {files(places.outcomes())} WHERE kind = 'fraud' AND value IS NOT NULL GROUP BY seq"
    )


def _schema(contract: Contract, beside: pa.Schema) -> pa.Schema:
    moment = pa.timestamp("us", tz="UTC")
    keys = [("event_id", pa.string()), ("seq", pa.int64()), ("event_time", moment), ("customer_id", pa.string())]
    label = [("label", pa.bool_()), ("label_known_at", moment), ("amount_base", pa.int64())]
    first = beside.get_field_index("amount_base") + 1
    protected = [beside.field(i) for i in range(first, len(beside))]
    return pa.schema([*keys, *((name, pa.float64()) for name in contract.names), *label, *protected])


def _side_by_side(source: Path, beside: pa.RecordBatchReader) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Batches of both, cut to equal lengths; both hold every event once, in order."""
    narrow = iter(beside)
    held: pa.RecordBatch | None = None
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=200_000):
            rest = batch
            while rest.num_rows:
                held = held if held is not None and held.num_rows else next(narrow)
                n = min(rest.num_rows, held.num_rows)
                yield rest.slice(0, n), held.slice(0, n)
                rest, held = rest.slice(n), held.slice(n)


def _rows(contract: Contract, wide: pa.RecordBatch, narrow: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if not wide["seq"].equals(narrow["seq"]):
        raise Conflict(f"the log changed while the training set of {contract.name} was joined; run it again")
    named = np.asarray(wide["customer_id"].is_valid())
    cells = {name: wide[name] for name in wide.schema.names} | {name: narrow[name] for name in narrow.schema.names}
    for feature in contract.of_kind(Kind.BATCH):
        values = np.asarray(cells[feature.name].to_numpy(zero_copy_only=False), np.float64)
        cells[feature.name] = pa.array(of_customers(feature, values, named))
    return pa.record_batch([cells[field.name].cast(field.type) for field in schema], schema=schema)
