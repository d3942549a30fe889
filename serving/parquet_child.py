"""The process that reads a Parquet file for the service: whatever the file does to the one who parses it, it does here.

Its columns are paths of a request, as those of CSV are.
"""

import io
import math
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, NoReturn

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.errors import FradectError, InvalidInput
from fradect.jobs import MOST_ROW_BYTES
from serving.batch_rows import NUMBERS, check_columns
from serving.child import bound
from serving.parquet_words import LENGTH, Look, Number, Said, Some, Wanted, encoded

MOST_GROUP_BYTES = 256 << 20
"""Of one row group, by what the file says of itself."""
MOST_GROUPS = 100_000
_MEMORY, _SECONDS = 1 << 30, 1800
_AT_ONCE = 250
_BUFFER = 1 << 20
_TEXTS = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


class Wire:
    """Words to the service, and what it answers."""

    def __init__(self, heard: BinaryIO, said: BinaryIO) -> None:
        self._heard, self._said = heard, said

    def hear(self) -> bytes:
        """EOFError when the service is gone."""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return self._exactly(length)

    def say(self, message: msgspec.Struct) -> None:
        self._said.write(encoded(message))
        self._said.flush()

    def _exactly(self, size: int) -> bytes:
        data = self._heard.read(size)
        if len(data) < size:
            raise EOFError
        return data


class Far(io.RawIOBase):
    """The file, which the service has."""

    def __init__(self, wire: Wire, size: int) -> None:
        super().__init__()
        self._wire, self._size, self._at = wire, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size or not len(buffer):
            return 0
        self._wire.say(Look(self._at, len(buffer)))
        some = self._wire.hear()
        buffer[: len(some)] = some
        self._at += len(some)
        return len(some)


def answer(wanted: Wanted, file: BinaryIO) -> Iterator[Some | Said]:
    """Rows, if they are wanted, and the last word."""
    try:
        with _opened(file) as parquet:
            if wanted.position is not None:
                yield from _rows(parquet, wanted.position)
            yield Said(parquet.metadata.num_rows)
    except InvalidInput as error:
        yield Said(refused=str(error), field=error.field)
    except FradectError as error:
        yield Said(refused=str(error))


def _rows(parquet: pq.ParquetFile, position: int) -> Iterator[Some]:
    begin = 0
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if begin + rows > position:
            came = 0
            for records in _records(parquet, group):
                came += records.num_rows
                some = records.slice(max(0, position - begin - came + records.num_rows))
                if some.num_rows:
                    yield _some(some)
            if came != rows:
                raise _unreadable(f"row group {group} has {came} rows and says {rows}")
        begin += rows


def _opened(file: BinaryIO) -> pq.ParquetFile:
    """Texts stay dictionaries, so that one long text in a million rows is there once."""
    try:
        file.seek(0)
        schema = pq.ParquetFile(file).schema
        texts = [schema.column(i).path for i in range(len(schema)) if schema.column(i).physical_type in _TEXTS]
        file.seek(0)
        parquet = pq.ParquetFile(file, read_dictionary=texts, buffer_size=_BUFFER, pre_buffer=False)
        names, types = parquet.schema_arrow.names, parquet.schema_arrow.types
    except _BROKEN as error:
        raise _unreadable("it cannot be read as Parquet") from error
    _check(parquet.metadata, names, types)
    return parquet


def _check(about: pq.FileMetaData, names: list[str], types: list[pa.DataType]) -> None:
    nests = [name for name, kind in zip(names, types, strict=True) if pa.types.is_nested(kind)]
    if nests:
        raise InvalidInput(f"column {nests[0][:64]!r} is nested: write columns such as transaction.amount", "columns")
    check_columns(names)
    if about.num_row_groups > MOST_GROUPS:
        raise InvalidInput(f"it has {about.num_row_groups} row groups, more than {MOST_GROUPS}", "file")
    groups = [about.row_group(group) for group in range(about.num_row_groups)]
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != about.num_rows:
        raise _unreadable("it contradicts itself in how many rows it has")
    if any(not 0 <= group.total_byte_size <= MOST_GROUP_BYTES for group in groups):
        raise InvalidInput(f"a row group has more than {MOST_GROUP_BYTES} bytes: write smaller ones", "file")


def _records(parquet: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    try:
        for records in parquet.iter_batches(_AT_ONCE, row_groups=[group], use_threads=False):
            _check_texts(records)
            yield records
    except _BROKEN as error:
        raise _unreadable(f"row group {group} cannot be read") from error


def _check_texts(records: pa.RecordBatch) -> None:
    for name, column in zip(records.schema.names, records.columns, strict=True):
        texts = column.dictionary if pa.types.is_dictionary(column.type) else None
        longest = None if texts is None or not len(texts) else pc.max(pc.binary_length(texts)).as_py()
        if longest is not None and longest > MOST_ROW_BYTES:
            raise InvalidInput(f"column {name!r} has a text of {longest} bytes: the limit is {MOST_ROW_BYTES}", "file")


def _some(records: pa.RecordBatch) -> Some:
    names = tuple(records.schema.names)
    try:
        columns = [column.to_pylist() for column in records.columns]
    except _BROKEN as error:
        raise _unreadable("a value is none of its column's type") from error
    return Some(names, tuple(_cells(names, values) for values in zip(*columns, strict=True)))


def _cells(names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if sum(len(value) for value in values if isinstance(value, str | bytes)) > MOST_ROW_BYTES:
        return None
    return tuple(_plain(name, value) for name, value in zip(names, values, strict=True))


def _plain(name: str, value: Any) -> Any:
    """As it would stand in JSON. Money may be decimal, whole or floating; nothing else becomes a number."""
    if isinstance(value, str | None | bool):
        return value or None if isinstance(value, str) else value
    if isinstance(value, float):
        if math.isnan(value):  # how data frames write that there is none
            return None
        return Number(Decimal(repr(value))) if name in NUMBERS and math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return Number(value)
    if isinstance(value, bytes | int):
        return value if isinstance(value, bytes) or (name in NUMBERS and abs(value) < 1 << 63) else str(value)
    return _written(value) if isinstance(value, datetime) else str(value)


def _written(moment: datetime) -> str:
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _unreadable(what: str) -> InvalidInput:
    return InvalidInput(f"{what}: write the file again", "file")


_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, TypeError, KeyError)
"""What its parser raises at a damaged file."""


def main() -> NoReturn:
    """What is wanted comes on standard input, and bytes of the file when they are asked for."""
    bound(_MEMORY, _SECONDS)
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no word of ours
    wire = Wire(sys.stdin.buffer, said)
    wanted = msgspec.msgpack.decode(wire.hear(), type=Wanted)
    file: Any = io.BufferedReader(Far(wire, wanted.size), 1 << 16)
    for message in answer(wanted, file):
        wire.say(message)
    os._exit(0)  # nothing is left that could take long, or fail
