"""What surely hits nothing, told in a few comparisons: most events are of that kind, and the engine need not see them.

Of each rule it is enough that one condition surely fails. Whatever is near a bound, or more than a comparison with what
stands in the table, is not judged here: whether a rule hits, the engine says.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from math import inf, nan
from typing import Any, NamedTuple, TypeGuard

from fradect.rulebook.conditions import Cell, Compare, Const, OneOf, Subject, Test, Value, Within

_NEAR = 2e-9  # of a bound, and of 1: what lies further apart differs in the engine's decimal numbers too


class _Range(NamedTuple):
    """The least and the most that a number may be."""

    path: tuple[str, ...]
    least: float
    most: float

    def allows(self, context: Mapping[str, Any]) -> bool:
        value = _at(self.path, context)
        return value is not None and self.least <= value <= self.most


class _Choice(NamedTuple):
    """What a text or a flag may be."""

    path: tuple[str, ...]
    options: frozenset[Value]

    def allows(self, context: Mapping[str, Any]) -> bool:
        return _at(self.path, context) in self.options


_Need = _Range | _Choice


class Screen:
    """Rules, by what has to be so for them to hit."""

    def __init__(self, rules: Iterable[Mapping[str, Cell]]) -> None:
        """`rules`: the conditions of each, by the value that they are about."""
        needs = [tuple(_needs(cells)) for cells in rules]
        self._blind = not all(needs)
        # A rule mostly fails at its first number, or because nothing is said of the kind that it looks at: no call yet.
        ranged = [(next(filter(_is_plain, some), None), some) for some in needs]
        self._ranged = tuple((one.path[0], one.least, one.most, some) for one, some in ranged if one is not None)
        others: dict[str, list[tuple[_Need, ...]]] = defaultdict(list)
        for _, some in (each for each in ranged if each[0] is None and each[1]):
            others[some[0].path[0]].append(some)
        self._others = tuple((about, tuple(some)) for about, some in others.items())

    def is_quiet(self, context: Mapping[str, Any]) -> bool:
        """Whether no rule can hit; one that lacks a value does not. `context`: as the engine would be given it."""
        if self._blind:
            return False
        get = context.get
        for name, least, most, needs in self._ranged:
            if least <= get(name, nan) <= most and _all_allow(needs, context):
                return False
        for about, rules in self._others:
            if get(about) and any(_all_allow(needs, context) for needs in rules):
                return False
        return True


def _all_allow(needs: tuple[_Need, ...], context: Mapping[str, Any]) -> bool:
    return all(need.allows(context) for need in needs)


def _is_plain(need: _Need) -> TypeGuard[_Range]:
    return isinstance(need, _Range) and len(need.path) == 1


def _at(path: tuple[str, ...], context: Mapping[str, Any]) -> Any:
    found: Any = context
    for name in path:
        found = found.get(name)
    return found


def _needs(cells: Mapping[str, Cell]) -> Iterator[_Need]:
    """What must be so for a rule to hit, as far as it can be told here."""
    for column, cell in cells.items():
        if cell.every or len(cell.tests) == 1:
            for test in cell.tests:
                yield from _need(tuple(column.split(".")), test)


def _need(path: tuple[str, ...], test: Test) -> Iterator[_Need]:
    match test:
        case Compare("==", Subject(), Const(str() | bool() as value)):
            yield _Choice(path, frozenset({value}))
        case Compare("==" | "<" | "<=" | ">" | ">=" as sign, Subject(), Const(Decimal() as value)):
            yield _range(path, value if sign not in ("<", "<=") else None, value if sign not in (">", ">=") else None)
        case Within(Subject(), Const(Decimal() as low), Const(Decimal() as high), _, False):
            yield _range(path, low, high)
        case OneOf(Subject(), options, False):
            yield from _one_of(path, [option.value for option in options if isinstance(option, Const)], len(options))


def _one_of(path: tuple[str, ...], values: list[Value], count: int) -> Iterator[_Need]:
    numbers = [value for value in values if isinstance(value, Decimal)]
    if len(numbers) == count:
        yield _range(path, min(numbers), max(numbers))
    elif len(values) == count and not numbers:
        yield _Choice(path, frozenset(values))


def _range(path: tuple[str, ...], least: Decimal | None, most: Decimal | None) -> _Range:
    low, high = (-inf if least is None else float(least)), (inf if most is None else float(most))
    return _Range(path, low - _NEAR * max(abs(low), 1.0), high + _NEAR * max(abs(high), 1.0))
