"""Rows of a decision table made rules; everything that is wrong with one is told, with its place."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from fradect.rulebook.conditions import Cell, names, parse
from fradect.rulebook.document import MOST_TEXT_CALLS, Content, Problem
from fradect.rulebook.meaning import FUNCTIONS, can_hold, check, must_hold, text_calls
from fradect.rulebook.vocabulary import Domain, Vocabulary
from fradect.types import Action


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `needs`: names of the values without which it cannot run; `cautious`: the floor when it could not.

    Hits with a higher `priority` are told first.
    """

    id: str
    table: str
    points: int
    floor: Action
    allow: bool
    cautious: Action
    text: str
    needs: frozenset[str]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class CatchAll:
    """The last row of a table, which always hits; `cautious`: the floor when the table gives no answer."""

    id: str
    table: str
    path: str
    cautious: Action


class Grammar(Protocol):
    """The engine's own reading of a condition; ValueError with its parser's words."""

    def check_condition(self, cell: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A table to be read, and what it is read by."""

    name: str
    content: Content
    known: Vocabulary
    grammar: Grammar


@dataclass(frozen=True, slots=True)
class Row:
    """A rule, where it stands, and its conditions by field."""

    rule: Rule
    number: int
    conditions: Mapping[str, Cell]


@dataclass(slots=True)
class Read:
    """A table that was read: what could be, and what was wrong."""

    rows: list[Row] = field(default_factory=list)
    catch_all: CatchAll | None = None
    problems: list[Problem] = field(default_factory=list)


_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII)
_QUOTED = re.compile(r"'[^'\\]*'|\"[^\"\\]*\"")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LONGEST_TEXT = 300
_PRIORITIES = 1000


def read_table(table: Table) -> Read:
    """Its rules, and last its catch-all."""
    found = Read()
    last = len(table.content.rules)
    for number, cells in enumerate(table.content.rules, start=1):
        reading = _Reading(table, number, cells, found.problems)
        if number == last:
            found.catch_all = reading.catch_all()
        else:
            row = reading.rule()
            found.rows += [] if row is None else [row]
    return found


def repeats(tables: Sequence[Read]) -> Iterator[Problem]:
    """Ids and conditions that stand there twice; the later one is to blame."""
    rows = [row for table in tables for row in table.rows]
    yield from _repeated_rows(rows)
    taken = {row.rule.id for row in rows}
    for catch_all in (table.catch_all for table in tables):
        if catch_all is not None and catch_all.id in taken:
            yield Problem(
                f"the catch-all's id {catch_all.id!r} stands there twice; give it another", catch_all.table, column="id"
            )
        taken |= set() if catch_all is None else {catch_all.id}


def call_problems(tables: Sequence[Read]) -> Iterator[Problem]:
    """More functions of texts than can be called within a decision's time."""
    calls = sum(text_calls(cell) for table in tables for row in table.rows for cell in row.conditions.values())
    if calls > MOST_TEXT_CALLS:
        yield Problem(
            f"calls functions of texts {calls} times; {MOST_TEXT_CALLS} are allowed, so that a decision keeps its "
            "time; compare with ==, in or not in where that will do"
        )


def _repeated_rows(rows: Sequence[Row]) -> Iterator[Problem]:
    ids: dict[str, Row] = {}
    conditions: dict[frozenset[tuple[str, Cell]], Row] = {}
    for row in rows:
        first = ids.setdefault(row.rule.id, row)
        if first is not row:
            yield Problem(
                f"id {row.rule.id!r} stands there twice, first {_place(first)}; give one another",
                row.rule.table,
                row.number,
                "id",
            )
        first = conditions.setdefault(frozenset(row.conditions.items()), row)
        if first is not row:
            yield Problem(
                f"has the conditions of {first.rule.id!r} ({_place(first)}); make one row of the two",
                row.rule.table,
                row.number,
            )


def _place(row: Row) -> str:
    return f"in table {row.rule.table!r}, row {row.number}"


class _Reading:
    """One row on its way to a rule."""

    def __init__(self, table: Table, number: int, cells: Mapping[str, str], problems: list[Problem]) -> None:
        self._table = table
        self._number = number
        self._problems = problems
        content = table.content
        self._conditions = {c.field: cell for c in content.inputs if c.field and (cell := cells.get(c.id, "").strip())}
        self._cells = defaultdict(str, {str(c.field): cells.get(c.id, "").strip() for c in content.outputs})

    def rule(self) -> Row | None:
        """None where anything was wrong with it."""
        before = len(self._problems)
        if not self._conditions:
            self._say("has no condition, and would hit every event; only the last row may")
        cells = {name: cell for name, text in self._conditions.items() if (cell := self._cell(name, text)) is not None}
        needs = frozenset(self._conditions).union(*(names(cell) for cell in cells.values()))
        values = self._outputs()
        self._check_text(values["text"], needs)
        if cells and len(self._problems) == before and self._always(cells):
            self._say("hits every event: its conditions always hold; narrow one of them")
        if len(self._problems) > before:
            return None
        return Row(Rule(table=self._table.name, needs=needs, **values), self._number, cells)

    def catch_all(self) -> CatchAll | None:
        before = len(self._problems)
        values = self._outputs()
        effect = values["points"] or values["floor"] is not Action.APPROVE or values["allow"]
        if len(self._problems) > before:
            return None
        if self._conditions or effect or values["cautious"] is Action.APPROVE:
            self._say(
                "the last row must be a catch-all without conditions and effects, whose if_missing is 'REVIEW': it "
                "says what to do when the table does not run"
            )
            return None
        return CatchAll(values["id"], self._table.name, str(self._table.content.output_path), values["cautious"])

    def _cell(self, name: str, text: str) -> Cell | None:
        """What a condition says; None where it cannot."""
        if not self._is_known(name, name):
            return None
        known = self._table.known.known
        try:
            cell = parse(text, FUNCTIONS)
            known_names = [other for other in sorted(names(cell)) if self._is_known(name, other)]
            if len(known_names) < len(names(cell)):
                return None
            check(cell, name, known)
            self._table.grammar.check_condition(text)
        except ValueError as error:
            self._say(f"{text[:60]!r}: {error}", name)
            return None
        if not can_hold(cell, known[name]):
            self._say(f"{text!r} can never hold: {_never(cell, known[name])}", name)
            return None
        return cell

    def _is_known(self, column: str, name: str) -> bool:
        vocabulary = self._table.known
        if name in vocabulary.known:
            return True
        if name in vocabulary.barred:
            self._say(f"{name!r} {vocabulary.barred[name]}", column)
            return False
        near = get_close_matches(name, vocabulary.known, 1)
        remedy = f"did you mean {near[0]!r}?" if near else "use a feature's name, event.<field> or signal.<name>"
        self._say(f"{name!r} is unknown; {remedy}", column)
        return False

    def _always(self, cells: Mapping[str, Cell]) -> bool:
        return all(must_hold(cell, self._table.known.known[name]) for name, cell in cells.items())

    def _outputs(self) -> dict[str, Any]:
        values = {name: self._value(name) for name in ("id", "points", "floor", "allow", "text", "if_missing")}
        if not isinstance(values["id"], str) or not _ID.fullmatch(values["id"]):
            self._say("give a quoted name of small letters, digits and '_'", "id")
        if not (values["allow"] is None or isinstance(values["allow"], bool)):
            self._say("give true, false or nothing", "allow")
        return {
            "id": values["id"],
            "points": self._whole("points", values["points"], 0, 1000),
            "floor": self._action("floor", values["floor"]),
            "allow": values["allow"] is True,
            "text": values["text"] or "",
            "cautious": self._action("if_missing", values["if_missing"]),
            "priority": self._whole("priority", self._value("priority"), -_PRIORITIES, _PRIORITIES),
        }

    def _value(self, name: str) -> Any:
        text = self._cells[name]
        if not text or text in ("true", "false"):
            return None if not text else text == "true"
        if _NUMBER.fullmatch(text):
            return float(text)
        if _QUOTED.fullmatch(text):
            return text[1:-1]
        self._say(f"{text[:60]!r} is no constant; write a number, true, false, or text in quotes", name)
        return None

    def _whole(self, name: str, value: Any, low: int, high: int) -> int:
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value % 1:
            self._say(f"give a whole number from {low} to {high}", name)
            return 0
        return int(value)

    def _action(self, name: str, value: Any) -> Action:
        if value in (None, ""):
            return Action.APPROVE
        if value not in ("REVIEW", "DECLINE"):
            self._say("give 'REVIEW', 'DECLINE' or nothing", name)
            return Action.APPROVE
        return Action[value]

    def _check_text(self, text: Any, needs: frozenset[str]) -> None:
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            self._say(f"give quoted text of at most {_LONGEST_TEXT} signs", "text")
            return
        if text.lstrip()[:1] in ("=", "+", "-", "@"):
            self._say(f"begins with {text.lstrip()[0]!r}, which a spreadsheet would run; begin with a word", "text")
        for name in _PLACEHOLDER.findall(text):
            if name not in needs:
                self._say(f"{{{name}}} is not among the row's conditions; name one of {_listed(needs)}", "text")

    def _say(self, message: str, column: str | None = None) -> None:
        self._problems.append(Problem(message, self._table.name, self._number, column))


def _never(cell: Cell, domain: Domain) -> str:
    if not can_hold(cell, Domain(domain.sort)):
        return "it contradicts itself; correct its bounds"
    return f"the value is {domain.words}; correct its bounds"


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "them"
