"""The language of conditions: the part of the engine's expressions that can be judged before anything runs.

A cell is one test, or several joined by the same word: `and`, `or`, or a comma, which means or. The engine reads `and`
and `or` from left to right without precedence, so a mixture is refused. A test compares with a value (`>= 6`, `'cod'`,
`$ + 1 < customer_count_7d`), asks for a range (`[0..4]`, `(1..7]`) or for one of several (`in ['a', 'b']`,
`not in [1, 2]`), or calls a function that answers yes or no (`startsWith($, 'a')`). `$` is the column's own value.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

Value = Decimal | str | bool


@dataclass(frozen=True, slots=True)
class Const:
    value: Value


@dataclass(frozen=True, slots=True)
class Subject:
    """`$`: the value of the column."""


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple["Operand", ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """Two operands joined by `+`, `-`, `*`, `/` or `%`."""

    sign: str
    left: "Operand"
    right: "Operand"


Operand = Const | Subject | Name | Call | Sum


@dataclass(frozen=True, slots=True)
class Compare:
    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Within:
    """`closed`: whether each end belongs to the range."""

    left: Operand
    low: Operand
    high: Operand
    closed: tuple[bool, bool]
    negated: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    left: Operand
    options: tuple[Operand, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Holds:
    """A function that answers yes or no."""

    call: Call


Test = Compare | Within | OneOf | Holds


@dataclass(frozen=True, slots=True)
class Cell:
    """`every`: all tests must hold; otherwise one."""

    tests: tuple[Test, ...]
    every: bool


LONGEST = 120  # signs in a cell

_TOKEN = re.compile(
    r"[ \t\n]*(?:(?P<number>\d+(?:\.\d+)?)|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)|(?P<sign>\.\.|[<>=!]=|[<>$+\-*/%()\[\],]))",
    re.ASCII,
)
_SPACE = " \t\n"
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_WORDS = frozenset({"and", "or", "not", "in"})
_DEEPEST = 8


def parse(text: str, functions: Collection[str]) -> Cell:
    """ValueError says what the language does not have, and what to write instead."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} signs; split the row")
    return _Parser(_tokens(text), functions).cell()


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip(_SPACE):
        match = _TOKEN.match(text, at)
        if match is None:
            strange = text[at:].strip(_SPACE)[0]
            raise ValueError(
                f"{strange!r} is not part of conditions; use comparisons, ranges, lists, 'and', 'or' and 'not in'"
            )
        kind = match.lastgroup or ""
        word = match[kind]
        found.append((word if kind == "sign" or word in _WORDS else kind, word))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over (kind, word); the kind of a sign or of a word of the language is itself."""

    def __init__(self, tokens: list[tuple[str, str]], functions: Collection[str]) -> None:
        self._tokens = tokens
        self._functions = functions
        self._at = 0
        self._depth = 0

    def cell(self) -> Cell:
        tests, joins = [self._test()], set()
        while self._kind in ("and", "or", ","):
            joins.add(self._take())
            tests.append(self._test())
        if self._kind:
            raise ValueError(f"{self._word!r} stands where the condition should end; join tests by 'and' or 'or'")
        if len(joins) > 1:
            raise ValueError("mixes 'and', 'or' and ','; use one of them, and another row for the rest")
        return Cell(tuple(tests), joins == {"and"})

    def _test(self) -> Test:
        if self._kind in _COMPARISONS:
            return Compare(self._take(), Subject(), self._sum())
        if self._kind in ("not", "in"):
            return self._among(Subject())
        if self._kind == "[" or (self._kind == "(" and self._is_range()):
            return self._range_or_list(Subject(), negated=False)
        left = self._sum()
        if self._kind in _COMPARISONS:
            return Compare(self._take(), left, self._sum())
        if self._kind in ("not", "in"):
            return self._among(left)
        return _alone(left)

    def _among(self, left: Operand) -> Test:
        negated = self._kind == "not"
        if negated:
            self._take()
        self._expect("in", "after 'not'; nothing else may follow it")
        if self._kind not in ("[", "("):
            raise ValueError("after 'in' comes a list or a range, such as ['a', 'b'] or [1..5]")
        return self._range_or_list(left, negated=negated)

    def _is_range(self) -> bool:
        """Whether the bracket opened here holds two dots before it closes."""
        rest = [kind for kind, _ in self._tokens[self._at + 1 :]]
        end = next((i for i, kind in enumerate(rest) if kind in ("]", ")")), len(rest))
        return ".." in rest[:end]

    def _range_or_list(self, left: Operand, *, negated: bool) -> Test:
        opened = self._take()
        first = self._sum()
        if self._kind == "..":
            self._take()
            high = self._sum()
            if self._kind not in ("]", ")"):
                raise ValueError("a range ends with ']' or ')'")
            return Within(left, first, high, (opened == "[", self._take() == "]"), negated)
        options = [first]
        while self._kind == ",":
            self._take()
            options.append(self._sum())
        if opened != "[":
            raise ValueError("a list stands in [ and ]")
        self._expect("]", "at the end of a list")
        return OneOf(left, tuple(options), negated)

    def _sum(self) -> Operand:
        left = self._product()
        while self._kind in ("+", "-"):
            left = Sum(self._take(), left, self._product())
        return left

    def _product(self) -> Operand:
        left = self._single()
        while self._kind in ("*", "/", "%"):
            left = Sum(self._take(), left, self._single())
        return left

    def _single(self) -> Operand:
        kind, word = self._kind, self._word
        self._take()
        match kind:
            case "number" | "text":
                return Const(Decimal(word) if kind == "number" else word[1:-1])
            case "$":
                return Subject()
            case "-" if self._kind == "number":
                return Const(-Decimal(self._take()))
            case "(":
                return self._inner()
            case "name" if self._kind == "(":
                return self._call(word)
            case "name":
                return _named(word)
        raise ValueError(f"a value is missing {f'before {word!r}' if word else 'at the end'}; write it as in >= 5")

    def _inner(self) -> Operand:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"has more than {_DEEPEST} brackets; split the row")
        found = self._sum()
        self._expect(")", "after a sum in brackets; only sums stand in brackets")
        return found

    def _call(self, function: str) -> Call:
        if function not in self._functions:
            raise ValueError(f"calls {function}; conditions may call {', '.join(self._functions)}")
        self._take()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"has more than {_DEEPEST} brackets; split the row")
        arguments = [self._sum()]
        while self._kind == ",":
            self._take()
            arguments.append(self._sum())
        self._expect(")", f"after the values of {function!r}")
        return Call(function, tuple(arguments))

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def _word(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        word = self._word
        self._at += 1
        return word

    def _expect(self, kind: str, where: str) -> None:
        if self._kind != kind:
            raise ValueError(f"{kind!r} is missing {where}")
        self._take()


def _named(word: str) -> Operand:
    if word in ("true", "false"):
        return Const(word == "true")
    if word == "null":
        raise ValueError("null never comes here: a rule whose value is missing could not run; use if_missing")
    return Name(word)


def _alone(operand: Operand) -> Test:
    """A value alone is what the column has to equal; a function of `$` alone is what has to hold."""
    mentions = any(isinstance(part, Subject) for part in parts(operand))
    if isinstance(operand, Call) and mentions:
        return Holds(operand)
    if mentions:
        raise ValueError("says nothing of '$'; compare it, as in >= 5")
    return Compare("==", Subject(), operand)


def parts(*found: Operand) -> list[Operand]:
    """The operands and everything in them, each after what it stands in."""
    waiting, seen = list(found), []
    while waiting:
        part = waiting.pop()
        seen.append(part)
        if isinstance(part, Sum):
            waiting += (part.left, part.right)
        elif isinstance(part, Call):
            waiting += part.arguments
    return seen


def operands(test: Test) -> tuple[Operand, ...]:
    """What a test compares; the first is what it is about."""
    match test:
        case Compare(_, left, right):
            return left, right
        case Within(left, low, high):
            return left, low, high
        case OneOf(left, options):
            return left, *options
        case Holds(call):
            return (call,)


def everything(cell: Cell) -> list[Operand]:
    return parts(*(operand for test in cell.tests for operand in operands(test)))


def names(cell: Cell) -> frozenset[str]:
    """Values beside its own that the cell looks at."""
    return frozenset(part.name for part in everything(cell) if isinstance(part, Name))
