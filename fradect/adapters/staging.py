"""One source at a time into a staged Parquet file of accepted events and a quarantine file of the rest."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from fradect.adapters.quarantine import QuarantineFile
from fradect.adapters.sources import BrokenFile, Piece, Source, column_names, read
from fradect.cards import holds_card_number
from fradect.faults import Reason
from fradect.intake import Reject, Terms, staged_schema, take_in
from fradect.mapping import Mapping

_NAME = re.compile(r"[^\W\d][\w .-]{0,63}")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all sources of an import are judged by, and where they are staged; `on_rows` hears of rows read."""

    mapping: Mapping
    terms: Terms
    folder: Path
    on_rows: Callable[[Source, int], None]


@dataclass(slots=True)
class Staged:
    """A source on its way, and what became of its rows so far. A broken one leaves nothing but a line."""

    source: Source
    path: Path
    quarantine: QuarantineFile
    rows: int = 0
    accepted: int = 0
    held_back: int = 0
    already: int = 0
    duplicates: int = 0
    is_broken: bool = False
    unlisted: int = 0  # rows that one line of the quarantine file stands for, beside that line

    @property
    def rejected(self) -> int:
        return self.quarantine.rows + self.unlisted


def stage(source: Source, number: int, desk: Desk) -> Staged:
    """Read a source to its end. `number` orders it among the import's."""
    mapping = desk.mapping
    quarantine = QuarantineFile(desk.folder / f"rejects-{number:06d}.parquet", source.name)
    staged = Staged(source, desk.folder / f"staged-{number:06d}.parquet", quarantine)
    try:
        names = column_names(source, mapping.dialect)
        misfit = column_fault(names, mapping)
        if misfit is None:
            _accept(staged, number, desk)
        else:
            _reject_all(staged, read(source, names[:1], mapping.dialect), misfit)
    except BrokenFile as error:
        _give_up(staged, error)
    quarantine.close()
    return staged


def _accept(staged: Staged, number: int, desk: Desk) -> None:
    mapping = desk.mapping
    pieces = read(staged.source, sorted(mapping.columns), mapping.dialect)
    with pq.ParquetWriter(staged.path, staged_schema(mapping), compression="lz4") as writer:
        for piece in pieces:
            staged.quarantine.add(Reject(row, None, "", Reason.MISFIT) for row in piece.misfits.tolist())
            if piece.batch.records.num_rows:
                taken = take_in(mapping, desk.terms, piece.batch, number)
                staged.quarantine.add(taken.rejects)
                staged.accepted += taken.accepted.num_rows
                staged.held_back += taken.held_back
                writer.write_batch(taken.accepted)
            staged.rows = staged.accepted + staged.held_back + staged.rejected
            desk.on_rows(staged.source, staged.rows)


def column_fault(names: list[str], mapping: Mapping) -> Reject | None:
    """What is wrong with a file's columns as such; it keeps out each of its rows."""
    there = set(names)
    if not there & mapping.columns:
        return Reject(0, None, "", Reason.ABSENT, "none of the mapped columns is there: is the header missing?")
    absent = sorted(mapping.columns - there)
    if absent:
        return Reject(0, None, absent[0], Reason.ABSENT, f"column {absent[0]!r} is mapped: correct the mapping")
    stray = sorted(there - mapping.columns - mapping.ignore)
    if stray:
        name = stray[0] if _NAME.fullmatch(stray[0]) and not holds_card_number(stray[0]) else "?"
        return Reject(0, None, name, Reason.UNMAPPED, f"column {name!r}: map it, or list it under ignore")
    return None


def _reject_all(staged: Staged, pieces: Iterator[Piece], fault: Reject) -> None:
    for piece in pieces:
        rows = sorted([*piece.batch.rows.tolist(), *piece.misfits.tolist()])
        staged.quarantine.add(fault._replace(row=row) for row in rows)
    staged.rows = staged.rejected


def _give_up(staged: Staged, error: BrokenFile) -> None:
    """A file that cannot be read to its end brings nothing: once repaired it is read as a new one."""
    seen = max(staged.rows, error.rows, 1)
    staged.path.unlink(missing_ok=True)
    staged.quarantine.start_over()
    staged.quarantine.add([Reject(min(staged.rows + 1, seen), None, "", Reason.BROKEN_FILE, error.detail)])
    staged.accepted, staged.held_back, staged.rows, staged.unlisted = 0, 0, seen, seen - 1
    staged.is_broken = True
