"""Conditions over columns: what surely holds, what surely does not, and what only the engine can tell.

The engine counts in decimal numbers, columns in binary ones. Where a comparison hangs on their difference, and where a
condition is more than comparisons and sums, nothing is claimed: such events are asked of the engine one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from fradect.rulebook.conditions import Cell, Compare, Const, Holds, Name, OneOf, Operand, Subject, Sum, Test, Within
from fradect.rulebook.meaning import holds

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_NEAR = 1e-9  # of the numbers compared, and of 1; their binary and decimal forms differ by far less
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts, or flags: the different ones, and which of them each event has, -1 for none."""

    values: tuple[str | bool, ...]
    codes: npt.NDArray[np.int64]


Column = Floats | Texts
"""Numbers with NaN where an event has none, or texts."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Of n events: for which something surely holds, and for which it surely does not. Neither: ask the engine."""

    yes: Flags
    no: Flags

    def __invert__(self) -> "Truth":
        return Truth(self.no, self.yes)

    def __and__(self, other: "Truth") -> "Truth":
        return Truth(self.yes & other.yes, self.no | other.no)

    def __or__(self, other: "Truth") -> "Truth":
        return Truth(self.yes | other.yes, self.no & other.no)


@dataclass(frozen=True, slots=True)
class _Number:
    """A value of each event, or of all. `size`: of the largest number it was made of; `whole`: no digit was lost."""

    value: Floats
    size: Floats
    whole: Flags


def truth(cell: Cell, column: str, columns: Mapping[str, Column]) -> Truth:
    """Of every event; where a value that the cell looks at is missing, the answer means nothing."""
    subject = columns[column]
    if isinstance(subject, Texts):
        return _of_texts(cell, subject)
    found = [_test(test, column, columns, subject.size) for test in cell.tests]
    whole = found[0]
    for one in found[1:]:
        whole = whole & one if cell.every else whole | one
    return whole


def _of_texts(cell: Cell, subject: Texts) -> Truth:
    """Each different text is judged once; the last of both is for events that have none."""
    said = [holds(cell, value) for value in subject.values]
    yes = np.array([*(one is True for one in said), False])
    no = np.array([*(one is False for one in said), True])
    return Truth(yes[subject.codes], no[subject.codes])


def _test(test: Test, column: str, columns: Mapping[str, Column], n: int) -> Truth:
    try:
        match test:
            case Compare(sign, left, right):
                return _compare(sign, _number(left, column, columns), _number(right, column, columns), n)
            case Within(left, low, high, (with_low, with_high), negated):
                value, least, most = (_number(one, column, columns) for one in (left, low, high))
                above = _compare(">=" if with_low else ">", value, least, n)
                within = above & _compare("<=" if with_high else "<", value, most, n)
                return ~within if negated else within
            case OneOf(left, options, negated):
                value = _number(left, column, columns)
                among = Truth(np.zeros(n, np.bool_), np.ones(n, np.bool_))
                for option in options:
                    among = among | _compare("==", value, _number(option, column, columns), n)
                return ~among if negated else among
            case Holds():
                return _unknown(n)
    except _TooMuchError:
        return _unknown(n)


def _unknown(n: int) -> Truth:
    return Truth(np.zeros(n, np.bool_), np.zeros(n, np.bool_))


class _TooMuchError(Exception):
    """An operand that is not worked out here."""


def _number(operand: Operand, column: str, columns: Mapping[str, Column]) -> _Number:
    match operand:
        case Const(Decimal() as value):
            return replace(_known(np.array([float(value)])), whole=np.array([_is_whole(value)]))
        case Subject():
            return _of_column(columns[column])
        case Name(name):
            return _of_column(columns[name])
        case Sum("+" | "-" | "*" as sign, left, right):
            return _sum(sign, _number(left, column, columns), _number(right, column, columns))
    raise _TooMuchError


def _of_column(column: Column) -> _Number:
    if isinstance(column, Texts):
        raise _TooMuchError
    return _known(column)


def _known(value: Floats) -> _Number:
    size = np.abs(value)
    return _Number(value, size, (value == np.rint(value)) & (size < _EXACT))


def _is_whole(value: Decimal) -> bool:
    return value == value.to_integral_value() and abs(value) < _EXACT


def _sum(sign: str, left: _Number, right: _Number) -> _Number:
    if sign == "*":
        value, size = left.value * right.value, left.size * right.size
    else:
        value = left.value + right.value if sign == "+" else left.value - right.value
        size = left.size + right.size
    return _Number(value, size, left.whole & right.whole & (size < _EXACT))


def _compare(sign: str, left: _Number, right: _Number, n: int) -> Truth:
    """Whole numbers are the same in both forms; others count as different when they lie apart."""
    apart = np.abs(left.value - right.value) > _NEAR * np.maximum(np.maximum(left.size, right.size), 1.0)
    sure = np.broadcast_to(apart | (left.whole & right.whole), n)
    held = np.broadcast_to(_SIGNS[sign](left.value, right.value), n)
    return Truth(sure & held, sure & ~held)


_SIGNS = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
