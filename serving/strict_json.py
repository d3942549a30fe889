"""JSON that means one thing only: UTF-8, no key twice, no NaN, numbers with a point exact, nesting bounded."""

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from fradect.errors import InvalidInput
from serving.problems import Malformed

MAX_DEPTH = 16
_MAX_DIGITS = 40
# A string that does not end takes all that is left, so that no text is looked through twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+\\?(?:"|\Z)', re.DOTALL)


def read(body: bytes) -> Any:
    """The value. Whole numbers are int, others Decimal (and a negative zero too). Malformed, or InvalidInput for
    a number that is none."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from error
    _check_depth(text)
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_not_finite, parse_float=_decimal, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"{error.msg}, line {error.lineno} column {error.colno}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    for name in members:
        if not name.isascii() and _has_surrogate(name):
            raise InvalidInput("a field's name is no valid text (a lone surrogate); send valid UTF-8")
    if len(members) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise Malformed(f"{twice[:64]!r} stands there twice; send it once")
    return members


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _not_finite(constant: str) -> NoReturn:
    raise InvalidInput(f"{constant} is no number; send a finite one, or leave the field out")


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise InvalidInput(f"a number has more than {_MAX_DIGITS} digits")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidInput(f"{text} is out of range") from error


def _whole(text: str) -> int | Decimal:
    return _decimal(text) if len(text) > 18 or text == "-0" else int(text)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for sign in _STRING.sub("", text):
        depth += (sign in "{[") - (sign in "}]")
        if depth > MAX_DEPTH:
            raise Malformed(f"nested more than {MAX_DEPTH} deep")
