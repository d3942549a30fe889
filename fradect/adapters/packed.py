"""Columns as PostgreSQL takes arrays on the wire, packed without a driver's search for the way to write each value.

The format is the binary one of `array_send` and of the types' own: numbers big-endian, each value after its length.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

BYTEA = 17  # its number among types

# What an encoder raises where a value is not what its column takes.
MISFITS = (ValueError, TypeError, AttributeError, OverflowError, struct.error)

_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_HEAD = struct.Struct(">iiIii")  # dimensions, whether values are null, type, how many, the first one's number
_EMPTY = struct.Struct(">iiI")


def _texts(values: Sequence[str | None]) -> list[bytes]:
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = value.encode()
            parts += (_LENGTH.pack(len(encoded)), encoded)
    return parts


def _blobs(values: Sequence[bytes | None]) -> list[bytes]:
    parts: list[bytes] = []
    for value in values:
        parts += (_NULL,) if value is None else (_LENGTH.pack(len(value)), value)
    return parts


def _numbers(format_: str) -> Callable[[Sequence[Any]], list[bytes]]:
    one = struct.Struct(f">i{format_}")
    pack, size = one.pack, one.size - _LENGTH.size
    return lambda values: [_NULL if value is None else pack(size, value) for value in values]


# By the type's name in SQL: its number in every PostgreSQL, and how its values are written.
_TYPES: dict[str, tuple[int, Callable[[Sequence[Any]], list[bytes]]]] = {
    "text": (25, _texts),
    "bigint": (20, _numbers("q")),
    "integer": (23, _numbers("i")),
    "double precision": (701, _numbers("d")),
    "bytea": (BYTEA, _blobs),
}


def column(type_: str) -> Callable[[Sequence[Any]], bytes]:
    """What packs a column of that type; a value that is none of it raises one of MISFITS."""
    number, parts_of = _TYPES[type_]
    empty = _EMPTY.pack(0, 0, number)

    def pack(values: Sequence[Any]) -> bytes:
        return b"".join((_HEAD.pack(1, 1, number, len(values), 1), *parts_of(values))) if values else empty

    return pack
