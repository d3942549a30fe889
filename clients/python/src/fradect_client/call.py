"""One request as a value, and what such values are made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from fradect_client.errors import InvalidArgument

T = TypeVar("T")

_JSON = {"Content-Type": "application/json"}
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. `repeatable`: when nobody can say whether it was done, it is sent again.

    `also`: statuses that are read like those of success. `is_gone_done`: 404 after a lost try means that it was done.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path | None = None
    repeatable: bool = True
    also: tuple[int, ...] = ()
    is_gone_done: bool = False


def reads(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode


def get(path: str, read: Callable[[bytes], T], **query: Any) -> Call[T]:
    return Call("GET", path, read, {name: _written(value) for name, value in query.items() if value is not None})


def post(
    path: str,
    read: Callable[[bytes], T],
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    repeatable: bool = True,
) -> Call[T]:
    if body is None:
        return Call("POST", path, read, repeatable=repeatable)
    try:
        raw = _encode(body)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"the request cannot be written as JSON: {error}") from error
    return Call("POST", path, read, headers={**_JSON, **(headers or {})}, body=raw, repeatable=repeatable)


def given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def part_of_path(name: str) -> str:
    """A part of a path, so that no id leads elsewhere."""
    if not name or name in (".", ".."):
        raise InvalidArgument(f"{name!r} is no id")
    return quote(name, safe="")


def _written(value: str | float | datetime) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidArgument(f"{value} says no time zone; give datetime(..., tzinfo=UTC) or the like")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)
