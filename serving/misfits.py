"""What does not fit the type of a body, in our words: which field, what stands there, what to send instead."""

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from enum import EnumType
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from fradect.cards import holds_card_number
from fradect.errors import InvalidInput
from fradect.faults import Fault, Reason

_SAID = re.compile(r"(.*?)(?: - at `\$\.?([^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"[^.\[\]]+|\[[^\]]*\]")
_LONGEST = 64

_KINDS = {
    "str": "a text, in quotation marks",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false, without quotation marks",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_FORMS = {"currency": "an ISO 4217 code of three letters, such as RUB"} | dict.fromkeys(
    ("country", "ip_country"), "an ISO 3166 code of two letters, such as DE"
)


def misfit(error: msgspec.ValidationError, body: Any, kind: type) -> InvalidInput:
    """The same error, of a `body` that is no `kind`. Values are told where an enumeration's word stands, no others:
    they may be personal."""
    match = _SAID.fullmatch(str(error))
    said, path = (str(error), "") if match is None else (match[1], match[2] or "")
    for form, told in _TOLD:
        found = form.fullmatch(said)
        if found is not None:
            return told(_Place(path, body, kind), found)
    return InvalidInput(said, path or None)


def leaves(kind: type, above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Paths of all that a type of objects holds, those of objects in it taken apart."""
    for field in msgspec.structs.fields(kind):
        path = f"{above}{field.encode_name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from leaves(field.type, f"{path}.")
        else:
            yield path, field


def shown(value: Any) -> str | None:
    """A value as a message may repeat it; None where it is too long for that, or holds the number of a card."""
    text = str(value)
    return repr(text) if len(text) <= _LONGEST and not holds_card_number(text) else None


class _Place:
    """Where in a body it is, and which type belongs there."""

    def __init__(self, path: str, body: Any, kind: type) -> None:
        self.path, self.value, self.kind, self.root = path, body, kind, kind
        self.may_be_left_out = False
        for step in _STEP.findall(path):
            self._go(step)

    def _go(self, step: str) -> None:
        if step.startswith("["):
            given, self.kind = step[1:-1], _plain((*get_args(self.kind), Any)[0])
            self.value = self.value[int(given)] if given.isdecimal() and isinstance(self.value, list) else None
            self.may_be_left_out = False
            return
        field = next(one for one in msgspec.structs.fields(self.kind) if one.encode_name == step)
        self.kind, self.may_be_left_out = _plain(field.type), not field.required
        self.value = self.value.get(step) if isinstance(self.value, dict) else None

    def says(self, what: str, remedy: str) -> InvalidInput:
        otherwise = ", or leave it out" if self.may_be_left_out else ""
        return InvalidInput(f"{self.path or 'the body'}: {what}; {remedy}{otherwise}", self.path or None)

    def below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _plain(kind: Any) -> Any:
    """Without what is noted beside it, and without null."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return _plain(next(one for one in get_args(kind) if one is not type(None)))
    return kind


def _missing(place: _Place, found: re.Match[str]) -> InvalidInput:
    path = place.below(found[1])
    return Fault(Reason.MISSING, f"send it, as {_wanted(place.kind, found[1])}", path)


def _wanted(kind: type, name: str) -> str:
    if name in _FORMS:
        return _FORMS[name]
    plain = _plain(next(one.type for one in msgspec.structs.fields(kind) if one.encode_name == name))
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        return "an object"
    if isinstance(plain, EnumType):
        return _choice(plain)
    if plain is Any:
        return "a number, such as 1999.90"
    return _KINDS.get(plain.__name__, "a list") if isinstance(plain, type) else "a list"


def _unknown(place: _Place, found: re.Match[str]) -> InvalidInput:
    name = found[1][:_LONGEST]
    near = get_close_matches(name, [one.encode_name for one in msgspec.structs.fields(place.kind)], 1, 0.75)
    meant = [place.below(near[0])] if near else _elsewhere(place, name)
    did_you_mean = f"; did you mean {meant[0]}?" if len(meant) == 1 else ""
    path = place.below(name)
    return InvalidInput(f"{path}: there is no such field; leave it out{did_you_mean}", path)


def _elsewhere(place: _Place, name: str) -> list[str]:
    return [path for path, field in leaves(place.root) if field.encode_name == name]


def _choice(kind: Any) -> str:
    """The words that belong there, of an enumeration or a Literal."""
    return "one of " + ", ".join(str(one) for one in (kind if isinstance(kind, EnumType) else get_args(kind)))


def _other_word(place: _Place, _: re.Match[str]) -> InvalidInput:
    given = shown(place.value)
    return place.says("it is none of the words" if given is None else f"it is {given}", f"send {_choice(place.kind)}")


def _other_kind(place: _Place, found: re.Match[str]) -> InvalidInput:
    wanted, given = (_KINDS.get(name.removesuffix(" | null"), name) for name in (found[1], found[2]))
    if isinstance(place.kind, EnumType):
        wanted = _choice(place.kind)
    if wanted == _KINDS["int"] and found[2] in ("float", "decimal"):
        given = "a number with a fraction"
    return place.says(f"it is {given.partition(',')[0]}", f"send {wanted}")


def _other_length(place: _Place, found: re.Match[str]) -> InvalidInput:
    what, side, many = found.groups()
    form = _FORMS.get(place.path.rpartition(".")[2])
    if form is not None:
        return place.says("it is too short" if side == ">=" else "it is too long", f"send {form}")
    unit = ("character" if what.startswith("str") else "item") + ("" if many == "1" else "s")
    if side == ">=":
        return place.says("it is empty" if many == "1" else "it is too short", f"send at least {many} {unit}")
    return place.says("it is too long", f"send at most {many} {unit}")


def _other_size(place: _Place, found: re.Match[str]) -> InvalidInput:
    side, bound = found.groups()
    if side == ">=":
        return place.says(f"it is below {bound}", f"send {bound} or more")
    return place.says(f"it is above {bound}", f"send {bound} or less")


_TOLD: tuple[tuple[re.Pattern[str], Callable[[_Place, re.Match[str]], InvalidInput]], ...] = (
    (re.compile(r"Object missing required field `(.*)`", re.DOTALL), _missing),
    (re.compile(r"Object contains unknown field `(.*)`", re.DOTALL), _unknown),
    (re.compile(r"Invalid enum value .*", re.DOTALL), _other_word),
    (re.compile(r"Expected `([^`]*)`, got `([^`]*)`"), _other_kind),
    (re.compile(r"Expected `([^`]*)` of length ([<>]=) (\d+)"), _other_length),
    (re.compile(r"Expected `[^`]*` ([<>]=) (-?\d+)"), _other_size),
)
