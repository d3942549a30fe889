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
    """Collects the rejects of one source, in parts beside `path`; nothing is written while there are none."""

    def __init__(self, path: Path, source: str) -> None:
        self.reasons: Counter[str] = Counter()
        self.first: dict[str, tuple[str, int]] = {}  # reason -> field and row where it was met first
        self._path = path
        self._source = source
        self._parts: list[Path] = []
        self._writer: pq.ParquetWriter | None = None

    @property
    def rows(self) -> int:
        return self.reasons.total()

    def add(self, rejects: Iterable[Reject]) -> None:
        listed = [(self._source, *reject) for reject in rejects]
        if not listed:
            return
        if self._writer is None:
            self._parts.append(self._path.with_suffix(f".{len(self._parts)}.parquet"))
            self._writer = pq.ParquetWriter(self._parts[-1], SCHEMA, compression="zstd")
        columns = zip(*listed, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        self.reasons.update(str(reject[_REASON]) for reject in listed)
        for reject in listed:
            self.first.setdefault(str(reject[_REASON]), (str(reject[_FIELD]), int(str(reject[_ROW]))))

    def start_over(self) -> None:
        """Forget what was collected: the file turned out to be broken as a whole."""
        self.close()
        for part in self._parts:
            part.unlink()
        self._parts.clear()
        self.reasons.clear()
        self.first.clear()

    def close(self) -> None:
        """End the part that is being written, and free its memory; more may be added all the same."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def publish(self, target: Path) -> None:
        """Put the file in its place, or remove the one that is there when nothing is kept out any more."""
        self.close()
        if not self._parts:
            target.unlink(missing_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        self._whole().replace(target)

    def _whole(self) -> Path:
        if len(self._parts) == 1:
            return self._parts[0]
        with pq.ParquetWriter(self._path, SCHEMA, compression="zstd") as writer:
            for part in self._parts:
                with pq.ParquetFile(part) as file:
                    for batch in file.iter_batches():
                        writer.write_batch(batch)
        return self._path


_ROW, _FIELD, _REASON = (SCHEMA.get_field_index(name) for name in ("row", "field", "reason"))
