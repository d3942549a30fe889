"""A folder as a stream: Parquet, CSV and JSON-lines files, each taken once it is complete, in order of name.

A file is known by the SHA-256 of its bytes. How many of its rows are done is stored with them, so that a file is
gone on with where it was left; what lies under `outcomes/` holds outcomes.
"""

import gzip
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.places import publishing
from fradect.adapters.quarantine import SCHEMA
from fradect.adapters.sources import ENDINGS, BrokenFile, Piece, Source, column_names, file_source, read
from fradect.adapters.staging import column_fault
from fradect.errors import InvalidInput, Unavailable
from fradect.faults import Reason
from fradect.intake import Reject
from fradect.mapping import Mapping as Rules
from fradect.stream import Delivery, Kind, Letter, Message, Part, Place, Portion

LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
DONE = 2**62
"""The position of a file that was read to its end."""

_LOOK = 0.2  # seconds between looks at the folder
_LINE = 1 << 20  # bytes that a line may have


class _Stamp(NamedTuple):
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows at a time, and for how many seconds a file must not have changed."""

    rows: int = 1_000
    settled: float = 1.0


class FolderSource:
    """A Source over a folder; `positions` gives what is stored. Files may be added while it runs."""

    def __init__(
        self, folder: Path, mapping: Rules, positions: Callable[[], Mapping[Part, int]], pace: Pace = Pace()
    ) -> None:
        if not folder.is_dir():
            raise InvalidInput(f"{folder} is no folder: make it, or name another", field="stream")
        self._folder = folder
        self._mapping = mapping
        self._stored = positions
        self._pace = pace
        self._positions: dict[Part, int] | None = None
        self._digests: dict[Path, tuple[_Stamp, Source]] = {}
        self._names: dict[str, str] = {}
        self._pending: list[Path] = []
        self._reading: Iterator[Delivery] | None = None
        self._handed: Delivery | None = None

    def name_of(self, digest: str) -> str:
        """What the file with these bytes is called."""
        return self._names.get(digest, digest)

    def poll(self, seconds: float) -> Delivery | None:
        if self._positions is None:
            self._positions = dict(self._stored())
        if self._handed is not None:
            self._positions |= self._handed.ends
            self._handed = None
        deadline = time.monotonic() + seconds
        while True:
            self._handed = self._next()
            if self._handed is not None or time.monotonic() >= deadline:
                return self._handed
            time.sleep(min(_LOOK, max(0.0, deadline - time.monotonic())))

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def recover(self) -> None:
        self._positions, self._reading, self._handed = None, None, None

    @property
    def is_caught_up(self) -> bool:
        return self._reading is None and not self._pending

    def lag(self) -> Mapping[Part, int]:
        """Files that are not done."""
        return {(self._folder.name, 0): len(self._pending)}

    def close(self) -> None:
        self._reading = None

    def _next(self) -> Delivery | None:
        while True:
            if self._reading is None:
                source = self._look()
                if source is None:
                    return None
                self._reading = self._deliveries(source)
            delivery = next(self._reading, None)
            if delivery is not None:
                return delivery
            self._reading = None

    def _look(self) -> Source | None:
        """The first complete file that is not done; files that are still being written wait."""
        self._pending = []
        ready: list[Source] = []
        for path in sorted(self._files(), key=lambda path: path.relative_to(self._folder).as_posix()):
            source = self._identified(path)
            if source is None or self._at(source) < DONE:
                self._pending.append(path)
                ready += [source] if source is not None else []
        return ready[0] if ready else None

    def _files(self) -> Iterator[Path]:
        for path in self._folder.rglob("*"):
            inside = path.relative_to(self._folder).parts
            hidden = any(part.startswith((".", "_")) for part in inside)
            if path.name.endswith((*ENDINGS, *LINES)) and not hidden and path.is_file():
                yield path

    def _identified(self, path: Path) -> Source | None:
        """None for a file that may still be growing, or has gone meanwhile."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        stamp = _Stamp(found.st_size, found.st_mtime_ns)
        known = self._digests.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        if time.time() - found.st_mtime < self._pace.settled:
            return None
        try:
            source = file_source(path, path.relative_to(self._folder).as_posix())
        except InvalidInput as error:
            raise Unavailable(str(error)) from error
        self._digests[path] = (stamp, source)
        self._names[source.digest] = source.name
        return source

    def _at(self, source: Source) -> int:
        return (self._positions or {}).get((source.digest, 0), 0)

    def _deliveries(self, source: Source) -> Iterator[Delivery]:
        """From where the file was left, to its end."""
        part, start = (source.digest, 0), self._at(source)
        before = start if (self._positions or {}).get(part) is not None else None
        kind = Kind.OUTCOMES if source.name.startswith("outcomes/") else Kind.EVENTS
        try:
            for portions, end in self._portions(source, kind, start):
                yield Delivery(portions, {part: before}, {part: end})
                before = end
        except BrokenFile as error:
            at = Place(source.digest, 0, before or 0)
            fault = Reject(0, None, "", Reason.BROKEN_FILE, error.detail)
            yield Delivery((Portion(kind, [at], [], fault),), {part: before}, {part: DONE})
            return
        yield Delivery((), {part: before}, {part: DONE})

    def _portions(self, source: Source, kind: Kind, start: int) -> Iterator[tuple[tuple[Portion, ...], int]]:
        if source.name.endswith(LINES):
            yield from self._of_lines(source, kind, start)
            return
        names = column_names(source, self._mapping.dialect)
        fault = column_fault(names, self._mapping) if kind is Kind.EVENTS else None
        wanted = sorted(self._mapping.columns) if kind is Kind.EVENTS else names
        for piece in read(source, names[:1] if fault else wanted, self._mapping.dialect):
            yield from self._of_piece(source, kind, (piece, fault), start)

    def _of_piece(
        self, source: Source, kind: Kind, found: tuple[Piece, Reject | None], start: int
    ) -> Iterator[tuple[tuple[Portion, ...], int]]:
        """Rows in steps, each with the misfits before its end."""
        piece, fault = found
        rows, misfits, step = piece.batch.rows, piece.misfits, self._pace.rows
        done = start
        for first in range(0, max(len(rows), 1), step):
            some = rows[first : first + step]
            is_last = first + step >= len(rows)
            end = int(max([*some[-1:], *(misfits[-1:] if is_last else [])], default=0))
            if end <= start:
                continue
            out = misfits[(misfits > done) & (misfits <= end)]
            kept = some > done
            records = piece.batch.records.slice(first, len(some)).filter(pa.array(kept))
            records = records if kind is Kind.EVENTS else _as_texts(records)
            good = Portion(kind, _places(source, some[kept].tolist()), records, fault)
            bad = Portion(kind, _places(source, out.tolist()), [], Reject(0, None, "", Reason.MISFIT))
            yield tuple(portion for portion in (bad, good) if portion.places), end
            done = end

    def _of_lines(self, source: Source, kind: Kind, start: int) -> Iterator[tuple[tuple[Portion, ...], int]]:
        opened = gzip.open if source.name.endswith(".gz") else open
        row = 0
        try:
            with opened(source.path, "rb") as file:
                lines = iter(lambda: file.readline(_LINE), b"")
                while some := list(islice(lines, self._pace.rows)):
                    numbered = list(enumerate(some, row + 1))
                    row += len(some)
                    kept = [(number, line) for number, line in numbered if number > start and line.strip()]
                    places = _places(source, [number for number, _ in kept])
                    portion = Portion(kind, places, [Message(None, line) for _, line in kept])
                    if row > start:
                        yield ((portion,) if kept else ()), row
        except (OSError, EOFError, zlib.error) as error:
            raise BrokenFile(f"reading stopped after row {row} ({type(error).__name__})", row) from error


class QuarantineLetters:
    """Dead letters as quarantine files, like an import's: one for each time that rows are kept out."""

    def __init__(self, folder: Path, name_of: Callable[[str], str]) -> None:
        self._folder = folder
        self._name_of = name_of

    def bury(self, letters: Sequence[Letter]) -> None:
        for digest in dict.fromkeys(letter.place.topic for letter in letters):
            mine = [letter for letter in letters if letter.place.topic == digest]
            rows = [(self._name_of(digest), *letter.reject._replace(row=letter.place.offset + 1)) for letter in mine]
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
            first = min(letter.place.offset for letter in mine)
            try:
                with publishing(self._folder / f"{digest}.{first:012d}-{len(mine)}.parquet") as staging:
                    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), staging, compression="zstd")
            except OSError as error:
                raise Unavailable(f"{self._folder} cannot be written ({error.strerror})") from error


def _places(source: Source, rows: Iterable[int]) -> list[Place]:
    return [Place(source.digest, 0, int(row) - 1) for row in rows]


def _as_texts(records: pa.RecordBatch) -> pa.RecordBatch:
    """What Parquet has types for, as outcomes are written elsewhere."""
    columns = [c if pa.types.is_binary(c.type) else c.cast(pa.string()) for c in records.columns]
    return pa.RecordBatch.from_arrays(columns, names=records.schema.names)
