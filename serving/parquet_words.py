"""What the service and the process that reads a Parquet file for it say to each other, each message after its length.

The process has no file: it asks for bytes of it, as far as it needs them.
"""

import struct
from decimal import Decimal
from typing import Any

import msgspec

LENGTH = struct.Struct(">I")
MOST_LOOK, MOST_MESSAGE = 1 << 20, 64 << 20
"""Bytes of the file that are given at once, and bytes of a message."""
_NUMBER = 1


class Wanted(msgspec.Struct, frozen=True):
    """The first word: a file of so many bytes, and its rows from `position` on; without, only how many it has."""

    size: int
    position: int | None = None


class Look(msgspec.Struct, frozen=True, tag=True):
    """The bytes from `offset` on are wanted. What is answered is bytes without more, and may be fewer than `size`."""

    offset: int
    size: int


class Some(msgspec.Struct, frozen=True, tag=True):
    """Rows: cells in the order of `names`; None for a row that is too long."""

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...] | None, ...]


class Said(msgspec.Struct, frozen=True, tag=True):
    """The last word: how many rows there are, or why they cannot be read."""

    count: int = 0
    refused: str | None = None
    field: str | None = None


def encoded(message: msgspec.Struct) -> bytes:
    return with_length(_encoder.encode(message))


def with_length(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def _plain(value: object) -> object:
    return msgspec.msgpack.Ext(_NUMBER, value.text.encode()) if isinstance(value, Number) else str(value)


class Number:
    """A number whose digits matter, on its way."""

    __slots__ = ("text",)

    def __init__(self, value: Decimal) -> None:
        self.text = str(value)


def _number(code: int, data: memoryview) -> Decimal:
    if code != _NUMBER:
        raise ValueError(f"nothing is said by {code}")
    return Decimal(bytes(data).decode())


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
heard: msgspec.msgpack.Decoder[Look | Some | Said] = msgspec.msgpack.Decoder(Look | Some | Said, ext_hook=_number)
