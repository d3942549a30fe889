"""Parsed JSON as the types that describe a body, and texts of it as values; whatever does not fit names its field."""

import re
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from fradect.errors import InvalidInput
from fradect.events import Clock, check_time, to_micros
from fradect.faults import Fault, Reason
from serving.misfits import misfit

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UTC = Clock(ZoneInfo("UTC"))

T = TypeVar("T")


def typed(body: Any, kind: type[T]) -> T:
    """InvalidInput names the field as the caller wrote it."""
    try:
        return msgspec.convert(body, kind)
    except UnicodeEncodeError as error:  # a text where something else is wanted, and not even a text
        raise InvalidInput("a lone surrogate stands where no text belongs; send valid UTF-8") from error
    except msgspec.ValidationError as error:
        raise misfit(error, body, kind) from error


def moment_of(path: str, text: str | None, now: int) -> int | None:
    """Microseconds of an RFC 3339 time that is not in the future."""
    if text is None:
        return None
    if not _RFC_3339.fullmatch(text):
        raise Fault(Reason.TIME, "write it like 2026-01-31T12:00:00Z", path)
    try:
        return check_time(to_micros(text.upper().replace(" ", "T"), _UTC), now)
    except Fault as fault:
        raise fault.at(path) from None
