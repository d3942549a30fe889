"""Finds pickles: files that are one, that hold one somewhere, zipped or in base64, and cells of databases that do.

Nothing is unpickled for it: opcodes are walked, as a disassembler does.
"""

import base64
import binascii
import gzip
import io
import pickletools
import re
import sqlite3
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_BEGINS = re.compile(rb"\x80[\x02-\x05]")
_BASE64 = re.compile(rb"gA[I-Z][A-Za-z0-9+/_-]{6,}={0,2}")
_OBJECTS = re.compile(rb"\x93NUMPY[^\n]{0,200}\|O")
_LONGEST = 1 << 20  # of what is walked from one beginning

# What makes a pickle call something, or name it.
_CALLS = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"}


def pickles_in(raw: bytes, name: str = "") -> Iterator[str]:
    """What in these bytes is a pickle, by where it stands."""
    if _is_whole(raw):
        yield f"{name}: is a pickle"
    yield from (f"{name}: holds a pickle at {at}" for at in _inside(raw))
    if _OBJECTS.match(raw):
        yield f"{name}: an array of objects, which numpy pickles"
    for found in _BASE64.finditer(raw):
        text = found.group().rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        try:
            clear = base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue
        if _is_whole(clear) or any(_inside(clear)):
            yield f"{name}: holds a pickle in base64 at {found.start()}"
    yield from _unpacked(raw, name)


def pickles_under(folder: Path) -> list[str]:
    """Of every file under the folder."""
    found: list[str] = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        name, raw = str(path.relative_to(folder)), path.read_bytes()
        found += pickles_in(raw, name)
        if raw.startswith(b"SQLite format 3\x00"):
            found += _cells(path, name)
    return found


def _is_whole(raw: bytes) -> bool:
    """From the first byte to the last. Old protocols have no mark: a text that happens to be one calls nothing."""
    names = _walked(raw)
    return names is not None and (bool(_BEGINS.match(raw)) or bool(_CALLS & names)) and raw[-1:] == b"."


def _inside(raw: bytes) -> Iterator[int]:
    """Where a stream begins that calls or names something, and ends well."""
    for match in _BEGINS.finditer(raw):
        names = _walked(raw[match.start() : match.start() + _LONGEST])
        if match.start() and names is not None and _CALLS & names:
            yield match.start()


def _walked(raw: bytes) -> set[str] | None:
    """Names of the opcodes up to STOP; None where they do not fit together."""
    try:
        with warnings.catch_warnings(action="ignore"):  # texts that are no escapes
            return _names(raw)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError, MemoryError):
        return None


def _names(raw: bytes) -> set[str]:
    pickletools.dis(io.BytesIO(raw), out=_Nowhere())
    return {opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO(raw))}


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def _unpacked(raw: bytes, name: str) -> Iterator[str]:
    if raw.startswith(b"PK\x03\x04") and zipfile.is_zipfile(io.BytesIO(raw)):
        with zipfile.ZipFile(io.BytesIO(raw)) as held:
            for member in held.namelist():
                yield from pickles_in(held.read(member), f"{name}!{member}")
    elif raw.startswith(b"\x1f\x8b"):
        try:
            yield from pickles_in(gzip.decompress(raw), f"{name}!")
        except (OSError, EOFError, zlib.error):
            return
    elif raw[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
        try:
            yield from pickles_in(zlib.decompress(raw), f"{name}!")
        except zlib.error:
            return


def _cells(path: Path, name: str) -> Iterator[str]:
    """Values that lie across pages of the file are whole only here."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  its own names
                for cell in row:
                    raw = cell if isinstance(cell, bytes) else cell.encode() if isinstance(cell, str) else b""
                    yield from pickles_in(raw, f"{name}:{table}")
