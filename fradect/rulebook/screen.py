"""What surely hits and what surely does not, told in a few comparisons: most events need the engine for neither.

A rule surely hits when every condition surely holds, and surely misses when one surely fails. A number that is near a
bound, and a condition that is more than comparisons with what stands in the table, are not judged here: the engine is.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from math import inf, nan, nextafter
from typing import Any, NamedTuple

from fradect.rulebook.conditions import Cell, Const, everything
from fradect.rulebook.meaning import holds
from fradect.rulebook.rows import Rule
from fradect.rulebook.vocabulary import Domain, Sort

_NEAR = 2e-9  # of a bound, and of 1: what lies further apart differs in the engine's decimal numbers too
_EXACT = 2**53  # below it whole numbers are the same in both forms

Said = Callable[[Any], bool | None]
"""Whether a condition surely holds for a value, None where only the engine can tell; it fails where there is none."""


class _Condition(NamedTuple):
    """`part`: of what the engine is given, empty for the features. A number below `least`, or not below `most`, fails.

    No feature is anything but a number.
    """

    part: str
    name: str
    said: Said
    least: float = nan
    most: float = nan


class Screen:
    """Rules, by what has to be so for them to hit."""

    def __init__(self, rules: Iterable[tuple[Rule, Mapping[str, Cell]]], known: Mapping[str, Domain]) -> None:
        """`rules`: each with its conditions by the value that they are about, in the order in which hits are told."""
        self._rules = tuple(
            (rule, tuple(_condition(column, cell, known[column].sort) for column, cell in cells.items()))
            for rule, cells in rules
        )
        # A rule mostly fails at its first feature, or because nothing is said of its kind: no call for that yet.
        firsts = [next((one for one in some if not one.part), some[0]) for _, some in self._rules]
        self._features = tuple((one.name, one.least, one.most, i) for i, one in enumerate(firsts) if not one.part)
        others: dict[str, list[tuple[str, Said, int]]] = defaultdict(list)
        for i, one in enumerate(firsts):
            if one.part:
                others[one.part].append((one.name, one.said, i))
        self._others = tuple(others.items())

    def hits(self, context: Mapping[str, Any], unable: frozenset[str]) -> list[Rule] | None:
        """The rules that hit; None where only the engine can tell.

        `context`: as the engine would be given it. `unable`: ids of the rules that lack a value.
        """
        get = context.get
        likely = [i for name, least, most, i in self._features if least <= get(name, nan) < most]
        for part, firsts in self._others:
            if given := context[part]:
                likely += [i for name, said, i in firsts if said(given.get(name)) is not False]
        return self._judged(sorted(likely), context, unable) if likely else []

    def _judged(self, likely: list[int], context: Mapping[str, Any], unable: frozenset[str]) -> list[Rule] | None:
        found = []
        for i in likely:
            rule, conditions = self._rules[i]
            held = _every(conditions, context)
            if held is False or rule.id in unable:
                continue
            if held is None:
                return None
            found.append(rule)
        return found


def _every(conditions: tuple[_Condition, ...], context: Mapping[str, Any]) -> bool | None:
    every: bool | None = True
    for part, name, said, _, _ in conditions:
        held = said((context[part] if part else context).get(name))
        if held is False:
            return False
        every = every and held
    return every


def _condition(column: str, cell: Cell, sort: Sort) -> _Condition:
    part, _, name = column.rpartition(".")
    constants = [one.value for one in everything(cell) if isinstance(one, Const)]
    match sort:
        case Sort.NUMBER:
            return _of_number(part, name, cell, [value for value in constants if isinstance(value, Decimal)])
        case Sort.TEXT:
            return _Condition(part, name, _of_text(cell, [value for value in constants if isinstance(value, str)]))
    flags: dict[bool | None, bool | None] = {True: holds(cell, True), False: holds(cell, False), None: False}
    return _Condition(part, name, flags.get)


def _of_text(cell: Cell, named: list[str]) -> Said:
    """Every text that the cell does not name is as good as any other."""
    held: dict[str | None, bool | None] = {None: False, **{text: holds(cell, text) for text in named}}
    other = holds(cell, "".join(named) + ".")
    return lambda value: held.get(value, other)


def _of_number(part: str, name: str, cell: Cell, bounds: list[Decimal]) -> _Condition:
    """The line of numbers in stretches on which the cell's comparisons agree, or are too close to tell."""
    around = [_around(bound) for bound in bounds]
    starts = sorted({start for low, at, high, _ in around for start in (low, at, nextafter(at, inf), high)})
    held = [_held(cell, start, around) for start in (starts[0] - 1 if starts else 0.0, *starts)]

    def said(value: float | None) -> bool | None:
        return False if value is None else held[bisect_right(starts, value)]

    stretches = zip(pairwise((-inf, *starts, inf)), held, strict=True)
    possible = [ends for ends, one in stretches if one is not False] or [(nan, nan)]
    return _Condition(part, name, said, possible[0][0], possible[-1][1])


def _around(bound: Decimal) -> tuple[float, float, float, bool]:
    """From where a number is close to a bound, the bound, where that ends, and whether its own number is sure."""
    at = float(bound)
    near = _NEAR * max(abs(at), 1.0)
    return at - near, at, at + near, bound == bound.to_integral_value() and abs(bound) < _EXACT


def _held(cell: Cell, value: float, around: list[tuple[float, float, float, bool]]) -> bool | None:
    if any(low <= value < high and not (exact and value == at) for low, at, high, exact in around):
        return None
    return holds(cell, Decimal(value))
