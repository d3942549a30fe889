"""What a condition means: whether its types fit, whether it can go wrong at work, and whether it can ever hold."""

import operator
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise

from fradect.rulebook.conditions import (
    Call,
    Cell,
    Compare,
    Const,
    Holds,
    Name,
    OneOf,
    Operand,
    Subject,
    Sum,
    Test,
    Value,
    Within,
    everything,
    operands,
)
from fradect.rulebook.vocabulary import Domain, Sort

FUNCTIONS: Mapping[str, tuple[tuple[Sort, ...], Sort]] = {
    "abs": ((Sort.NUMBER,), Sort.NUMBER),
    "floor": ((Sort.NUMBER,), Sort.NUMBER),
    "ceil": ((Sort.NUMBER,), Sort.NUMBER),
    "round": ((Sort.NUMBER,), Sort.NUMBER),
    "len": ((Sort.TEXT,), Sort.NUMBER),
    "lower": ((Sort.TEXT,), Sort.TEXT),
    "upper": ((Sort.TEXT,), Sort.TEXT),
    "trim": ((Sort.TEXT,), Sort.TEXT),
    "startsWith": ((Sort.TEXT, Sort.TEXT), Sort.FLAG),
    "endsWith": ((Sort.TEXT, Sort.TEXT), Sort.FLAG),
    "contains": ((Sort.TEXT, Sort.TEXT), Sort.FLAG),
}
"""Every function a condition may call: each looks at its values once, whatever they are."""

LARGEST = Decimal(10) ** 16  # of a number in a condition, and of a value that comes to rules
_FACTOR = Decimal(10) ** 6
_MOST_PRODUCTS = 2
_OTHER = "\x00"  # a text that no condition names

_SORTS: Mapping[type, Sort] = {bool: Sort.FLAG, str: Sort.TEXT, Decimal: Sort.NUMBER}
_COMPARE: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check(cell: Cell, column: str, known: Mapping[str, Domain]) -> None:
    """ValueError says what does not fit. Every name in the cell is known."""
    for test in cell.tests:
        _check_test(test, column, known)
    there = everything(cell)
    products = [part for part in there if isinstance(part, Sum) and part.sign in "*/%"]
    if len(products) > _MOST_PRODUCTS:
        raise ValueError(f"multiplies more than {_MOST_PRODUCTS} times; use a feature that holds the result")
    for part in there:
        if isinstance(part, Const) and isinstance(part.value, Decimal) and abs(part.value) > LARGEST:
            raise ValueError(f"holds a number beyond {LARGEST:,f}, which no value reaches")


def _check_test(test: Test, column: str, known: Mapping[str, Domain]) -> None:
    sorts = [_sort(operand, column, known) for operand in operands(test)]
    if isinstance(test, Holds):
        if sorts[0] is not Sort.FLAG:
            raise ValueError(f"{test.call.function} gives {sorts[0]}; compare it, as in len($) > 3")
        return
    left, *others = operands(test)
    for operand, sort in zip(others, sorts[1:], strict=True):
        if sort is not sorts[0]:
            raise ValueError(
                f"{_said(operand, column)} is {sort}, but {_said(left, column)} is {_of(left, column, known)}; write "
                f"{sorts[0]}"
            )
    ordered = isinstance(test, Within) or (isinstance(test, Compare) and test.sign not in ("==", "!="))
    if ordered and sorts[0] is not Sort.NUMBER:
        raise ValueError(f"orders {sorts[0]}, which has no order here; use ==, !=, in or not in")
    if not ordered:
        _check_choices(left, others, column, known)


def _check_choices(left: Operand, others: list[Operand], column: str, known: Mapping[str, Domain]) -> None:
    """A text that the value never is, such as a misspelt one."""
    domain = _domain(left, column, known)
    for option in others:
        if domain is None or not domain.choices or not isinstance(option, Const):
            continue
        if option.value not in domain.choices:
            raise ValueError(f"{option.value!r} is no value of {_said(left, column)}; write {domain.words}")


def _domain(operand: Operand, column: str, known: Mapping[str, Domain]) -> Domain | None:
    match operand:
        case Subject():
            return known[column]
        case Name(name):
            return known[name]
    return None


def _of(operand: Operand, column: str, known: Mapping[str, Domain]) -> str:
    domain = _domain(operand, column, known)
    return str(_sort(operand, column, known)) if domain is None else domain.words


def _said(operand: Operand, column: str) -> str:
    match operand:
        case Const(value):
            return repr(value) if isinstance(value, str) else str(value).lower()
        case Subject():
            return column
        case Name(name):
            return name
        case Call(function):
            return f"{function}(...)"
    return "the sum"


def _sort(operand: Operand, column: str, known: Mapping[str, Domain]) -> Sort:
    match operand:
        case Const(value):
            return _SORTS[type(value)]
        case Subject():
            return known[column].sort
        case Name(name):
            return known[name].sort
        case Call():
            return _sort_of_call(operand, column, known)
    return _sort_of_sum(operand, column, known)


def _sort_of_call(call: Call, column: str, known: Mapping[str, Domain]) -> Sort:
    takes, gives = FUNCTIONS[call.function]
    if tuple(_sort(argument, column, known) for argument in call.arguments) != takes:
        raise ValueError(f"{call.function} takes {' and '.join(takes)}")
    return gives


def _sort_of_sum(found: Sum, column: str, known: Mapping[str, Domain]) -> Sort:
    for side in (found.left, found.right):
        if _sort(side, column, known) is not Sort.NUMBER:
            raise ValueError(f"{found.sign!r} takes numbers, and {_said(side, column)} is none")
    if found.sign in "*/%" and not _is_safe(found):
        raise ValueError(
            f"{found.sign!r} needs a number of at most {_FACTOR:,f} beside it that is not 0, since a result without "
            "end, or none, would be a miss; use a feature that holds the result"
        )
    return Sort.NUMBER


def _is_safe(found: Sum) -> bool:
    """Neither a division by nothing nor a product that outgrows the engine's numbers."""
    if found.sign == "*":
        return any(isinstance(side, Const) and abs(_number(side)) <= _FACTOR for side in (found.left, found.right))
    return isinstance(found.right, Const) and 1 / _FACTOR <= abs(_number(found.right)) <= _FACTOR


def _number(const: Const) -> Decimal:
    return const.value if isinstance(const.value, Decimal) else Decimal(0)


def text_calls(cell: Cell) -> int:
    """How many times a function looks at a text, which may be long, where numbers never are."""
    calls = (part for part in everything(cell) if isinstance(part, Call))
    return sum(Sort.TEXT in FUNCTIONS[call.function][0] for call in calls)


def can_hold(cell: Cell, domain: Domain) -> bool:
    """Whether some value of the domain meets the cell, as far as its constants tell."""
    return any(holds(cell, value) is not False for value in samples(cell, domain))


def must_hold(cell: Cell, domain: Domain) -> bool:
    """Whether every value does."""
    return all(holds(cell, value) is True for value in samples(cell, domain))


def samples(cell: Cell, domain: Domain) -> Iterator[Value]:
    """Values of the domain, one at least of each stretch on which all of the cell's comparisons agree."""
    constants = [part.value for part in everything(cell) if isinstance(part, Const)]
    if domain.sort is Sort.FLAG:
        yield from (True, False)
    elif domain.sort is Sort.TEXT:
        yield from domain.choices or (_OTHER, "", *(value for value in constants if isinstance(value, str)))
    else:
        yield from _numbers([value for value in constants if isinstance(value, Decimal)], domain)


def _numbers(constants: list[Decimal], domain: Domain) -> Iterator[Decimal]:
    low, high = domain.low, domain.high
    ends = sorted({*constants, *(end for end in (low, high) if end is not None), Decimal(0)})
    between = [(one + other) / 2 for one, other in pairwise(ends)]
    found = [ends[0] - 1, *ends, *between, ends[-1] + 1]
    if domain.whole:
        found = [end // 1 + step for end in ends for step in (-1, 0, 1)]
    for value in found:
        if (low is None or value >= low) and (high is None or value <= high):
            yield value


def holds(cell: Cell, value: Value) -> bool | None:
    """Whether the cell holds for a value of its column; None where that hangs on anything but constants."""
    found = [_holds(test, value) for test in cell.tests]
    decisive = not cell.every
    if decisive in found:
        return decisive
    return None if None in found else not decisive


def _holds(test: Test, value: Value) -> bool | None:
    known = [_constant(operand, value) for operand in operands(test)]
    if any(one is None for one in known):
        return None
    left, *others = [one for one in known if one is not None]
    match test:
        case Compare(sign):
            return _COMPARE[sign](left, others[0])
        case Within(_, _, _, (with_low, with_high), negated):
            above = _COMPARE[">=" if with_low else ">"](left, others[0])
            return (above and _COMPARE["<=" if with_high else "<"](left, others[1])) != negated
        case OneOf(_, _, negated):
            return (left in others) != negated
    return None


def _constant(operand: Operand, value: Value) -> Value | None:
    match operand:
        case Const(constant):
            return constant
        case Subject():
            return value
    return None
