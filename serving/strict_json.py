"""JSON that means one thing only: UTF-8, no key twice, no NaN, numbers with a point exact, nesting bounded."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from fradect.errors import InvalidInput
from serving.problems import Malformed

MAX_DEPTH = 16
_MAX_DIGITS = 40
_MAX_PLAIN = 18  # digits of a whole number that is read as int
# A string that does not end takes all that is left, so that no text is looked through twice.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+\\?(?:"|\Z)', re.DOTALL)


def read(body: bytes) -> Any:
    """The value. Whole numbers are int, others Decimal (and a negative zero too). Malformed, or InvalidInput for
    a number that is none."""
    try:
        return read_plainly(body)
    except (InDoubt, InvalidInput, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return read_carefully(body)


class InDoubt(Exception):
    """Whether the body is strict cannot be told from what was read of it."""


def read_plainly(body: bytes) -> Any:
    """As `read_carefully` reads it, several times faster; any error means only that the other has the word.

    The decoder takes the last of two equal names. Before every name's colon stands a quotation mark, and in texts
    such pairs may stand besides: where there are as many of them as names were read, no name was dropped.
    """
    value = _decoder.decode(body)
    if not isinstance(value, dict) or _names(value, MAX_DEPTH) != body.translate(None, b" \t\n\r").count(b'":'):
        raise InDoubt
    return value


def read_carefully(body: bytes) -> Any:
    """What `read` promises, and what is wrong where something is."""
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
    except InvalidInput as error:
        raise _placed(text, error) from error


def despite_numbers(body: bytes) -> Any:
    """What can be read of a body that `read` found a number wrong in: it, and others like it, are exceptions there."""
    return _marked(body.decode("utf-8"))


def _names(members: dict[str, Any], room: int) -> int:
    """How many stand in it and below. InDoubt: too deep, a list, a whole number that may have lost its sign."""
    if not room:
        raise InDoubt
    found = len(members)
    for value in members.values():
        kind = type(value)
        if kind is dict:
            found += _names(value, room - 1)
        elif kind is list or (kind is int and not 0 < value < 10**_MAX_PLAIN):
            raise InDoubt
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    for name in members:
        if not name.isascii() and _has_surrogate(name):
            raise InvalidInput("a field's name is no valid text (a lone surrogate); send valid UTF-8")
    if len(members) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise Malformed(f"{twice[:64]!r} stands there twice; send it once")
    return members


def _placed(text: str, error: InvalidInput) -> InvalidInput:
    """The same error with the place of the first number that is wrong, where one is. The body is read once more for it:
    nothing that is right pays for that."""
    for path, wrong in _wrong_numbers(_marked(text), ""):
        return InvalidInput(f"{path}: {wrong}", path) if path else wrong
    return error


def _marked(text: str) -> Any:
    """The errors of numbers in their places; None of a text that goes on to be no JSON."""
    constant, real, whole = map(_or_error, (_not_finite, _decimal, _whole))
    try:
        return json.loads(text, parse_constant=constant, parse_float=real, parse_int=whole)
    except json.JSONDecodeError:
        return None


def _or_error(law: Callable[[str], Any]) -> Callable[[str], Any]:
    def marked(text: str) -> Any:
        try:
            return law(text)
        except InvalidInput as error:
            return error

    return marked


def _wrong_numbers(value: Any, path: str) -> Iterator[tuple[str, InvalidInput]]:
    if isinstance(value, InvalidInput):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _wrong_numbers(inner, f"{path}.{name[:64]}" if path else name[:64])
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _wrong_numbers(inner, f"{path}[{place}]")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _not_finite(constant: str) -> NoReturn:
    raise InvalidInput(f"{constant} is no number; send a finite one")


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise InvalidInput(f"a number has more than {_MAX_DIGITS} digits; send fewer")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidInput(f"{text} is out of range; send a smaller one") from error


def _whole(text: str) -> int | Decimal:
    return _decimal(text) if len(text) > _MAX_PLAIN or text == "-0" else int(text)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for sign in _STRING.sub("", text):
        depth += (sign in "{[") - (sign in "}]")
        if depth > MAX_DEPTH:
            raise Malformed(f"nested more than {MAX_DEPTH} deep")


_decoder = msgspec.json.Decoder(float_hook=_decimal)
