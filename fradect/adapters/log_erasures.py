"""Erased customers in the Parquet log: their events of before are of a pseudonym, without personal fields.

So windows of the past stay what they were, whoever the customer was, and one who comes back begins anew: in history as
in the live state. The ledger keeps its bytes; what is read from there is re-filed on the way.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.erased import Erased
from fradect.adapters.event_log import ROWS_PER_GROUP, EventLog
from fradect.adapters.places import publishing


def forget(log: EventLog, erased: Erased) -> int:
    """Rewrite the log's files that hold events of erased customers; how many events were re-filed. Conflict while an
    import is running. A file is replaced whole; cut off, the next call does what is left."""
    if not erased.found or log.facts() is None:
        return 0
    paths = [path for path in sorted((log.folder / "events").glob("[!.]*.parquet")) if _is_concerned(path, erased)]
    if not paths:
        return 0
    with log.importing():
        return sum(_rewritten(path, erased) for path in paths)


def _is_concerned(path: Path, erased: Erased) -> bool:
    with pq.ParquetFile(path) as file:
        batches = file.iter_batches(ROWS_PER_GROUP, columns=["seq", erased.owner])
        return any(_whose(batch, erased) for batch in batches)


def _whose(batch: pa.RecordBatch, erased: Erased) -> dict[int, str]:
    """By row the pseudonym that it is to be of."""
    named = pc.indices_nonzero(pc.fill_null(pc.is_in(batch[erased.owner], pa.array(list(erased.found))), False))
    rows = zip(
        named.to_pylist(),
        batch["seq"].take(named).to_pylist(),
        batch[erased.owner].take(named).to_pylist(),
        strict=True,
    )
    return {row: whose for row, seq, customer in rows if (whose := erased.whose(seq, customer)) != customer}


def _rewritten(path: Path, erased: Erased) -> int:
    refiled = 0
    with (
        pq.ParquetFile(path) as file,
        publishing(path) as staging,
        pq.ParquetWriter(staging, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(ROWS_PER_GROUP):
            whose = _whose(batch, erased)
            refiled += len(whose)
            writer.write_batch(_refiled(batch, whose, erased) if whose else batch)
    return refiled


def _refiled(batch: pa.RecordBatch, whose: Mapping[int, str], erased: Erased) -> pa.RecordBatch:
    owners = batch[erased.owner].to_pylist()
    hit = pa.array([row in whose for row in range(batch.num_rows)])
    columns = {name: batch[name] for name in batch.schema.names}
    columns[erased.owner] = pa.array([whose.get(row, owner) for row, owner in enumerate(owners)], pa.string())
    for name in erased.blanked:
        if name in columns and name not in erased.kept:
            columns[name] = pc.if_else(hit, pa.scalar(None, columns[name].type), columns[name])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
