"""Quarantine files: one per source, rows that were kept out with reason, row number and masked value."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.intake import Reject

SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "row": pa.int64(),
        "event_id": pa.string(),
        "field": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "value": pa.string(),
    }
)


class QuarantineFile:
    """Collects the rejects of one source under `path`; no file while there are none."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self._source = source
        self._writer: pq.ParquetWriter | None = None

    @property
    def rows(self) -> int:
        return self.reasons.total()

    def add(self, rejects: Iterable[Reject]) -> None:
        listed = list(rejects)
        if not listed:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, SCHEMA, compression="zstd")
        columns = zip(*listed, strict=True)
        row, event_id, field, reason, detail, value = (list(column) for column in columns)
        self.reasons.update(str(item) for item in reason)
        reasons = [str(item) for item in reason]
        arrays = [[self._source] * len(listed), row, event_id, field, reasons, detail, value]
        self._writer.write_table(
            pa.Table.from_arrays([pa.array(a, f.type) for a, f in zip(arrays, SCHEMA, strict=True)], schema=SCHEMA)
        )

    def start_over(self) -> None:
        """Forget what was collected: the file turned out to be broken as a whole."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.reasons.clear()
        self._writer = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def publish(self, target: Path) -> None:
        """Put the file in its place, or remove the one that is there when nothing is kept out any more."""
        if self._writer is None:
            target.unlink(missing_ok=True)
            return
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
