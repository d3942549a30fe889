"""A rulebook as data: GoRules JDM decision tables, read strictly, so that what cannot fire is refused at load.

Every table has the hit policy "collect", one input column a value, the output columns id, points, floor, allow, text
and if_missing, and ends with a catch-all row: empty conditions, no effect. The catch-all always hits, so its absence
in an answer says that the table did not run; its if_missing says what follows from that.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from fradect.errors import InvalidInput
from fradect.types import Action


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `needs`: names of the values without which it cannot run; `cautious`: the floor when it could not."""

    id: str
    table: str
    points: int
    floor: Action
    allow: bool
    cautious: Action
    text: str
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class CatchAll:
    """The last row of a table, which always hits; `cautious`: the floor when the table gives no answer."""

    id: str
    table: str
    path: str
    cautious: Action


@dataclass(frozen=True, slots=True)
class Rulebook:
    """`jdm` is what the engine runs; rules and catch-alls are the same rows, read."""

    jdm: Mapping[str, Any]
    rules: tuple[Rule, ...]
    catch_alls: tuple[CatchAll, ...]


class Grammar(Protocol):
    """The engine's expression language. Both raise ValueError with the parser's words."""

    def check_condition(self, cell: str) -> None: ...

    def value(self, cell: str) -> Any: ...


class _Column(msgspec.Struct, frozen=True):
    id: str
    field: str | None = None


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    inputs: tuple[_Column, ...]
    outputs: tuple[_Column, ...]
    rules: tuple[dict[str, str], ...]
    hit_policy: str = "first"
    output_path: str | None = None
    execution_mode: str = "single"


class _Node(msgspec.Struct, frozen=True):
    id: str
    type: str
    name: str
    content: msgspec.Raw = msgspec.Raw(b"{}")


class _Edge(msgspec.Struct, frozen=True, rename="camel"):
    source_id: str
    target_id: str


class _Jdm(msgspec.Struct, frozen=True):
    nodes: tuple[_Node, ...]
    edges: tuple[_Edge, ...]


_OUTPUTS = ("id", "points", "floor", "allow", "text", "if_missing")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_NAME = re.compile(r"(?<![\w.$])[A-Za-z_][\w.]*(?!\s*\()")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_WORDS = frozenset({"and", "or", "not", "in", "true", "false", "null"})
_MAX_BYTES = 4 * 1024 * 1024
_T = TypeVar("_T")


def read(raw: bytes, known: frozenset[str], grammar: Grammar) -> Rulebook:
    """Everything a rulebook says. InvalidInput names table, row and column of the first thing that is wrong.

    `known`: every name that a rule of this module may use, whatever the contract.
    """
    jdm = _decode(raw, _Jdm)
    tables = [node for node in jdm.nodes if node.type == "decisionTableNode"]
    _check_graph(jdm, tables)
    rules: list[Rule] = []
    catch_alls: list[CatchAll] = []
    for node in tables:
        content = _decode(bytes(node.content), _Content)
        _check_table(node, content)
        rows = [_row(node.name, number, content, cells) for number, cells in enumerate(content.rules, start=1)]
        catch_alls.append(_catch_all(node.name, content, rows[-1:], grammar))
        rules += [_rule(row, known, grammar) for row in rows[:-1]]
    repeated = [name for name, n in Counter([*(r.id for r in rules), *(c.id for c in catch_alls)]).items() if n > 1]
    if repeated:
        raise InvalidInput(f"rulebook: id {repeated[0]!r} stands there twice; give one of the rows another")
    return Rulebook(msgspec.json.decode(raw), tuple(rules), tuple(catch_alls))


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    table: str
    conditions: Mapping[str, str]
    outputs: Mapping[str, str]


def _decode(raw: bytes, kind: type[_T]) -> _T:
    if len(raw) > _MAX_BYTES:
        raise InvalidInput("rulebook: more than 4 MiB; split it by module")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"rulebook: not a GoRules decision ({error}); export it as JDM again") from error


def _check_graph(jdm: _Jdm, tables: Sequence[_Node]) -> None:
    by_type = {node.id: node.type for node in jdm.nodes}
    strange = set(by_type.values()) - {"inputNode", "outputNode", "decisionTableNode"}
    if strange or not tables:
        what = f"node type {min(strange)!r}" if strange else "no decision table"
        raise InvalidInput(f"rulebook: {what}; use one input, decision tables, and one output")
    links = {(by_type.get(e.source_id), e.target_id) for e in jdm.edges if e.source_id in by_type}
    leaves = {(e.source_id, by_type.get(e.target_id)) for e in jdm.edges}
    for table in tables:
        if ("inputNode", table.id) not in links or (table.id, "outputNode") not in leaves:
            raise InvalidInput(f"rulebook: table {table.name!r} is not connected from the input to the output")


def _check_table(node: _Node, content: _Content) -> None:
    where = f"rulebook: table {node.name!r}"
    if content.hit_policy != "collect" or content.execution_mode != "single":
        raise InvalidInput(f"{where}: set the hit policy to collect and the mode to single; every row must be tried")
    if not content.output_path or "." in content.output_path:
        raise InvalidInput(f"{where}: give it an output path of its own, one word")
    fields = [column.field for column in content.outputs]
    if sorted(map(str, fields)) != sorted(_OUTPUTS):
        raise InvalidInput(f"{where}: its output columns must be {', '.join(_OUTPUTS)}")
    if any(not column.field for column in content.inputs):
        raise InvalidInput(f"{where}: an input column names no field; a condition must say what it looks at")
    if not content.rules:
        raise InvalidInput(f"{where}: has no rows; end it with a catch-all")


def _row(table: str, number: int, content: _Content, cells: Mapping[str, str]) -> _Row:
    conditions = {str(c.field): cells.get(c.id, "").strip() for c in content.inputs}
    outputs = {str(c.field): cells.get(c.id, "").strip() for c in content.outputs}
    filled = {field: cell for field, cell in conditions.items() if cell}
    return _Row(f"rulebook: table {table!r}, row {number}", table, filled, outputs)


def _catch_all(table: str, content: _Content, rows: Sequence[_Row], grammar: Grammar) -> CatchAll:
    row = rows[0]
    values = _outputs(row, grammar)
    effect = values["points"] or values["floor"] is not Action.APPROVE or values["allow"]
    if row.conditions or effect or values["if_missing"] is Action.APPROVE:
        raise InvalidInput(
            f"{row.where}: the last row must be a catch-all without conditions and effects, whose if_missing is "
            "'REVIEW': it says what to do when the table does not run"
        )
    return CatchAll(values["id"], table, str(content.output_path), values["if_missing"])


def _rule(row: _Row, known: frozenset[str], grammar: Grammar) -> Rule:
    if not row.conditions:
        raise InvalidInput(f"{row.where}: has no condition, and would hit every event; only the last row may")
    needs = frozenset().union(*(_names(row, field, cell, known, grammar) for field, cell in row.conditions.items()))
    values = _outputs(row, grammar)
    for name in _PLACEHOLDER.findall(values["text"]):
        if name not in needs:
            raise InvalidInput(f"{row.where}, column 'text': {{{name}}} is not among the row's conditions")
    return Rule(
        id=values["id"],
        table=row.table,
        points=values["points"],
        floor=values["floor"],
        allow=values["allow"],
        cautious=values["if_missing"],
        text=values["text"],
        needs=needs,
    )


def _names(row: _Row, field: str, cell: str, known: frozenset[str], grammar: Grammar) -> set[str]:
    """The column's own field and every other that the cell mentions."""
    try:
        grammar.check_condition(cell)
    except ValueError as error:
        raise InvalidInput(f"{row.where}, column {field!r}: {cell!r} does not parse ({error})", field) from error
    names = {field} | {n for n in _NAME.findall(_QUOTED.sub("''", cell)) if n not in _WORDS}
    unknown = sorted(names - known)
    if unknown:
        raise InvalidInput(
            f"{row.where}, column {field!r}: {unknown[0]!r} is unknown; use a feature's name, or event.<field>", field
        )
    return names


def _outputs(row: _Row, grammar: Grammar) -> dict[str, Any]:
    values = {field: _value(row, field, cell, grammar) for field, cell in row.outputs.items()}
    if not isinstance(values["id"], str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", values["id"]):
        raise InvalidInput(f"{row.where}, column 'id': give a quoted name of small letters, digits and '_'", "id")
    points = values["points"] if values["points"] is not None else 0
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points <= 1000 or points % 1:
        raise InvalidInput(f"{row.where}, column 'points': give a whole number from 0 to 1000", "points")
    if values["allow"] not in (None, True, False):
        raise InvalidInput(f"{row.where}, column 'allow': give true, false or nothing", "allow")
    if not isinstance(values["text"] or "", str):
        raise InvalidInput(f"{row.where}, column 'text': give quoted text", "text")
    return {
        "id": values["id"],
        "points": int(points),
        "floor": _action(row, "floor", values["floor"]),
        "allow": bool(values["allow"]),
        "text": values["text"] or "",
        "if_missing": _action(row, "if_missing", values["if_missing"]),
    }


def _value(row: _Row, field: str, cell: str, grammar: Grammar) -> Any:
    if not cell:
        return None
    try:
        return grammar.value(cell)
    except ValueError as error:
        raise InvalidInput(f"{row.where}, column {field!r}: {cell!r} is no constant ({error})", field) from error


def _action(row: _Row, field: str, name: Any) -> Action:
    if name in (None, ""):
        return Action.APPROVE
    if name not in ("REVIEW", "DECLINE"):
        raise InvalidInput(f"{row.where}, column {field!r}: give 'REVIEW', 'DECLINE' or nothing", field)
    return Action[name]
