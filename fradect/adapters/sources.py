"""Files to import, read a batch at a time with their row numbers. Row 1 is the first after a CSV's header."""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fradect.errors import InvalidInput
from fradect.intake import Batch
from fradect.mapping_document import Dialect
from fradect.money import Ints

ENDINGS = (".csv", ".csv.gz", ".parquet")
ROWS_PER_BATCH = 65_536
_UNREADABLE = (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, zlib.error)
_BLOCK = 4 << 20  # bytes of CSV per batch; also the longest row


@dataclass(frozen=True, slots=True)
class Source:
    """A file by its content: `digest` is the SHA-256 of its bytes, `name` its path inside what is imported."""

    path: Path
    name: str
    digest: str


class Piece(NamedTuple):
    """Rows as they stand in the file, and the numbers of rows around them that have too few or too many columns."""

    batch: Batch
    misfits: Ints


class BrokenFile(Exception):
    """A file cannot be read, or not to its end. `rows`: how many are known to be in it; `detail` quotes no content."""

    def __init__(self, detail: str, rows: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.rows = rows


def find_sources(path: Path) -> list[Source]:
    """The file itself, or every CSV and Parquet file under a folder, ordered by name."""
    if path.is_file():
        if not path.name.endswith(ENDINGS):
            raise InvalidInput(f"{path}: give a file that ends in {', '.join(ENDINGS)}")
        return [file_source(path, path.name)]
    if not path.is_dir():
        raise InvalidInput(f"{path} does not exist: give a CSV or Parquet file, or a folder of them")
    inside = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if _is_data(file, path))
    if not inside:
        raise InvalidInput(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
    return [file_source(file, name) for name, file in inside]


def column_names(source: Source, dialect: Dialect) -> list[str]:
    """The columns a file has. BrokenFile when even that cannot be read, or a name stands there twice."""
    try:
        names = pq.read_schema(source.path).names if _is_parquet(source) else _header(source.path, dialect)
    except (*_UNREADABLE, csv.Error) as error:
        raise BrokenFile(f"its columns cannot be read ({type(error).__name__})") from error
    if not names:
        raise BrokenFile("it is empty")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BrokenFile("two of its columns have the same name")
    return names


def read(source: Source, columns: list[str], dialect: Dialect) -> Iterator[Piece]:
    """The file's rows, these columns only; CSV columns come as bytes. BrokenFile wherever reading ends early."""
    return _read_parquet(source, columns) if _is_parquet(source) else _read_csv(source, columns, dialect)


def _is_data(file: Path, root: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
    return file.name.endswith(ENDINGS) and file.is_file() and not hidden


def file_source(path: Path, name: str) -> Source:
    """Reads the file through, for its digest."""
    try:
        with path.open("rb") as file:
            return Source(path, name, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}): check its permissions") from error


def _is_parquet(source: Source) -> bool:
    return source.path.name.endswith(".parquet")


def _header(path: Path, dialect: Dialect) -> list[str]:
    encoding = "utf-8-sig" if dialect.encoding.lower() in ("utf-8", "utf8") else dialect.encoding
    with _opened(path, encoding) as file:
        return next(csv.reader(file, delimiter=dialect.delimiter), [])


def _opened(path: Path, encoding: str) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _read_parquet(source: Source, columns: list[str]) -> Iterator[Piece]:
    none, rows = np.empty(0, np.int64), 0
    total = 0
    try:
        with pq.ParquetFile(source.path) as file:
            total = file.metadata.num_rows
            _refuse_nested(file, columns)
            for records in file.iter_batches(ROWS_PER_BATCH, columns=columns):
                numbers = np.arange(rows + 1, rows + 1 + records.num_rows)
                rows += records.num_rows
                yield Piece(Batch(records, numbers), none)
    except _UNREADABLE as error:
        raise BrokenFile(f"reading stopped after row {rows} ({type(error).__name__})", total) from error


def _refuse_nested(file: pq.ParquetFile, columns: list[str]) -> None:
    for name in columns:
        if pa.types.is_nested(file.schema_arrow.field(name).type):
            raise BrokenFile(f"column {name!r} is nested: flatten it first", file.metadata.num_rows)


def _read_csv(source: Source, columns: list[str], dialect: Dialect) -> Iterator[Piece]:
    misfits: list[int] = []

    def keep_out(row: pyarrow.csv.InvalidRow) -> str:
        misfits.append(row.number - 1)  # the header is row 1 there
        return "skip"

    rows = 0
    try:
        for records in _open_csv(source.path, columns, dialect, keep_out):
            out = np.array([number for number in misfits if number > rows], np.int64)
            numbers = _around(rows, records.num_rows, out)
            end = int(numbers[-1]) if len(numbers) else rows
            yield Piece(Batch(records, numbers), out[out < end])
            rows = end
        yield Piece(
            Batch(_no_rows(columns), np.empty(0, np.int64)), np.array([n for n in misfits if n > rows], np.int64)
        )
    except _UNREADABLE as error:
        raise BrokenFile(f"reading stopped after row {rows} ({type(error).__name__})", rows + 1) from error


def _open_csv(path: Path, columns: list[str], dialect: Dialect, keep_out: object) -> pyarrow.csv.CSVStreamingReader:
    return pyarrow.csv.open_csv(
        path,
        # One thread: only then are invalid rows numbered.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK, encoding=dialect.encoding),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=keep_out,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.binary())
        ),
    )


def _around(after: int, count: int, misfits: Ints) -> Ints:
    """The `count` numbers that follow `after`, without those of misfits."""
    numbers = np.arange(after + 1, after + 1 + count + len(misfits))
    return np.setdiff1d(numbers, misfits, assume_unique=True)[:count]


def _no_rows(columns: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], pa.binary()) for _ in columns], names=columns)
