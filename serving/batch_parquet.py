"""The rows of a batch from Parquet. Its columns are paths of a request, as those of CSV are."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.errors import InvalidInput
from fradect.faults import Fault, Reason
from fradect.jobs import MOST_ROW_BYTES, MOST_ROWS
from serving.batch_rows import NUMBERS, Row, check_columns, nested

MOST_GROUP_BYTES = 256 << 20
"""Of one row group, by what the file says of itself."""
_AT_ONCE = 250
_BUFFER = 1 << 20
_TEXTS = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


def count(file: BinaryIO) -> int:
    """How many rows it has. InvalidInput when it cannot be read as a batch."""
    with _opened(file) as parquet:
        return int(parquet.metadata.num_rows)


def rows(file: BinaryIO, position: int, taken: int) -> Iterator[Row]:
    """From row `position` (the first is 0) on. InvalidInput where the file ends to be readable."""
    with _opened(file) as parquet:
        begin = 0
        for group in range(parquet.num_row_groups):
            end = begin + parquet.metadata.row_group(group).num_rows
            if end > position:
                for cells in _cells(parquet, group, skip=position - begin):
                    taken += 1
                    position += 1
                    yield _row(taken, position, cells)
            begin = end


def _opened(file: BinaryIO) -> pq.ParquetFile:
    """Texts stay dictionaries, so that one long text in a million rows is there once."""
    try:
        file.seek(0)
        schema = pq.ParquetFile(file).schema
        texts = [schema.column(i).path for i in range(len(schema)) if schema.column(i).physical_type in _TEXTS]
        file.seek(0)
        parquet = pq.ParquetFile(file, read_dictionary=texts, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidInput("it cannot be read as Parquet: write it again", "file") from error
    _check(parquet)
    return parquet


def _check(parquet: pq.ParquetFile) -> None:
    nests = [field.name for field in parquet.schema_arrow if pa.types.is_nested(field.type)]
    if nests:
        raise InvalidInput(f"column {nests[0][:64]!r} is nested: write columns such as transaction.amount", "columns")
    check_columns(parquet.schema_arrow.names)
    about = parquet.metadata
    if about.num_rows > MOST_ROWS:
        raise InvalidInput(f"it has {about.num_rows} rows; a batch has at most {MOST_ROWS}", "file")
    for group in range(about.num_row_groups):
        if about.row_group(group).total_byte_size > MOST_GROUP_BYTES:
            raise InvalidInput(f"a row group has more than {MOST_GROUP_BYTES} bytes: write smaller ones", "file")


def _cells(parquet: pq.ParquetFile, group: int, skip: int) -> Iterator[dict[str, Any]]:
    try:
        for records in parquet.iter_batches(_AT_ONCE, row_groups=[group], use_threads=False):
            some = records.slice(max(0, skip))
            skip -= records.num_rows
            if some.num_rows:
                _check_texts(some)
                yield from some.to_pylist()
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise InvalidInput(f"row group {group} cannot be read: write the file again", "file") from error


def _check_texts(records: pa.RecordBatch) -> None:
    for name, column in zip(records.schema.names, records.columns, strict=True):
        texts = column.dictionary if pa.types.is_dictionary(column.type) else None
        longest = None if texts is None or not len(texts) else pc.max(pc.binary_length(texts)).as_py()
        if longest is not None and longest > MOST_ROW_BYTES:
            raise InvalidInput(f"column {name!r} has a text of {longest} bytes: the limit is {MOST_ROW_BYTES}", "file")


def _row(number: int, end: int, cells: dict[str, Any]) -> Row:
    if sum(len(value) for value in cells.values() if isinstance(value, str | bytes)) > MOST_ROW_BYTES:
        return Row(number, end, {}, Fault(Reason.TOO_LONG, f"a row has at most {MOST_ROW_BYTES} bytes"))
    return Row(number, end, nested({name: _plain(name, value) for name, value in cells.items()}))


def _plain(name: str, value: Any) -> Any:
    """As it would stand in JSON. Money may be decimal, whole or floating; nothing else becomes a number."""
    if isinstance(value, float):
        if math.isnan(value):  # how data frames write that there is none
            return None
        return Decimal(repr(value)) if name in NUMBERS and math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, date) or (isinstance(value, int) and not isinstance(value, bool) and name not in NUMBERS):
        return str(value)
    return value or None if isinstance(value, str) else value
