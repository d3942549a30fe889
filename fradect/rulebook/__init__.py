"""A rulebook as data: GoRules JDM decision tables, read strictly, so that what cannot work is refused at load.

Every table has the hit policy "collect", one input column a value, the output columns id, points, floor, allow, text,
if_missing and, if wanted, priority, and ends with a catch-all row: empty conditions, no effect. The catch-all always
hits, so its absence in an answer says that the table did not run; its if_missing says what follows from that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fradect.errors import InvalidInput
from fradect.rulebook.conditions import Cell
from fradect.rulebook.document import (
    Content,
    Jdm,
    Problem,
    content_of,
    decode,
    graph_problems,
    path_problems,
    size_problems,
    table_problems,
)
from fradect.rulebook.rows import CatchAll, Grammar, Read, Rule, Table, call_problems, read_table, repeats
from fradect.rulebook.vocabulary import Vocabulary, vocabulary

__all__ = ["CatchAll", "Grammar", "Problem", "Rule", "Rulebook", "Vocabulary", "examine", "read", "vocabulary"]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """`jdm` is the file; rules and catch-alls are the same rows, read. `conditions`: of a rule's id, by value."""

    jdm: Mapping[str, Any]
    rules: tuple[Rule, ...]
    catch_alls: tuple[CatchAll, ...]
    conditions: Mapping[str, Mapping[str, Cell]]


def read(raw: bytes, known: Vocabulary, grammar: Grammar) -> Rulebook:
    """Everything a rulebook says; InvalidInput names the first thing that is wrong, and how many more there are."""
    rulebook, problems = examine(raw, known, grammar)
    if rulebook is None:
        more = f" (and {len(problems) - 1} more; `fradect rules check` lists them)" if len(problems) > 1 else ""
        raise InvalidInput(f"rulebook: {problems[0]}{more}", problems[0].column)
    return rulebook


def examine(raw: bytes, known: Vocabulary, grammar: Grammar) -> tuple[Rulebook | None, tuple[Problem, ...]]:
    """A rulebook, or everything that is wrong with it. InvalidInput for bytes that are no decision at all.

    `known`: every name that a rule of this module may use, whatever the contract.
    """
    jdm = decode(raw)
    contents, problems = _contents(jdm)
    problems += graph_problems(jdm)
    for table, content in contents.items():
        problems += table_problems(table, content)
    problems += path_problems(contents)
    too_large = list(size_problems(contents))
    if too_large:  # nobody has to wait for its rows to be judged
        return None, (*problems, *too_large)
    tables = [read_table(Table(name, content, known, grammar)) for name, content in contents.items() if content.rules]
    problems += (problem for table in tables for problem in table.problems)
    problems += repeats(tables)
    problems += call_problems(tables)
    if problems:
        return None, tuple(dict.fromkeys(problems))
    rows = [row for table in tables for row in table.rows]
    conditions = {row.rule.id: row.conditions for row in rows}
    rules = tuple(row.rule for row in rows)
    return Rulebook(msgspec.json.decode(raw), rules, tuple(_catch_alls(tables)), conditions), ()


def _contents(jdm: Jdm) -> tuple[dict[str, Content], list[Problem]]:
    contents: dict[str, Content] = {}
    problems: list[Problem] = []
    for node in jdm.tables:
        try:
            contents[node.name] = content_of(node)
        except InvalidInput as error:
            problems.append(Problem(str(error).removeprefix("rulebook: "), node.name))
    return contents, problems


def _catch_alls(tables: list[Read]) -> Iterator[CatchAll]:
    return (table.catch_all for table in tables if table.catch_all is not None)
