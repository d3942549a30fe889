"""The bytes in which Feast 0.67 keeps customer snapshots online, written out: importing Feast for them takes seconds.

An entity key (serialisation 3) is, little-endian: 1 (join keys), 2 (text), length, name, 2 (text), length, value.
A value is a protobuf: nothing when absent, else one tag byte and a double. SQLite holds a row for each feature, Redis
a hash for each key and project, its fields named by murmur3. tests/adapters/test_feast_online.py holds all of it to
Feast's own functions and API.
"""

import calendar
import struct
import time

import mmh3

from fradect.errors import Unavailable
from fradect.types import SECOND

CUSTOMERS = "customer_features"
JOIN_KEY = "customer_id"
_TEXT, _DOUBLE_TAG = 2, 0x29
KEY = struct.pack("<III", 1, _TEXT, len(JOIN_KEY)) + JOIN_KEY.encode() + struct.pack("<I", _TEXT)
STAMP = f"_ts:{CUSTOMERS}".encode()  # the field of a hash that holds its time
_double = struct.Struct("<d").unpack_from
_length = struct.Struct("<I")


def entity_key(customer: str) -> bytes:
    text = customer.encode()
    return KEY + _length.pack(len(text)) + text


def customer_of(key: bytes, project: bytes) -> str | None:
    """Whose key it is; None for a key of another entity or project."""
    start = len(KEY) + _length.size
    if len(key) < start or not key.startswith(KEY):
        return None
    end = start + _length.unpack_from(key, len(KEY))[0]
    whole = len(key) == end + len(project) and key.endswith(project)
    return key[start:end].decode() if whole else None


def number(cell: bytes) -> float | None:
    """The double in a value; None when absent, Unavailable when it is something else."""
    if not cell:
        return None
    if len(cell) != 9 or cell[0] != _DOUBLE_TAG:
        raise Unavailable(f"{CUSTOMERS} holds {cell[:16].hex()} where a double belongs: materialise it again")
    return float(_double(cell, 1)[0])


def field_name(name: str) -> bytes:
    return struct.pack("<I", mmh3.hash(f"{CUSTOMERS}:{name}", signed=False))


def local_moment(stamp: int) -> int:
    """Feast takes a moment's UTC digits for local time when it turns them into seconds; taken back."""
    return calendar.timegm(time.localtime(stamp)) * SECOND


def proto_moment(raw: bytes) -> int:
    """Microseconds of a protobuf Timestamp: field 1 seconds, field 2 nanoseconds, both varints."""
    parts, at = [0, 0, 0], 0
    while at < len(raw):
        field, at = raw[at] >> 3, at + 1
        value = shift = 0
        while True:
            byte, at = raw[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        parts[field] = value
    seconds = parts[1] - (1 << 64) if parts[1] >> 63 else parts[1]
    return seconds * SECOND + parts[2] // 1000
