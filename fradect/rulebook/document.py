"""A rulebook's file: GoRules JDM as it is written, and whether its parts hang together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from fradect.errors import InvalidInput

INPUT, OUTPUT, TABLE = "inputNode", "outputNode", "decisionTableNode"
REQUIRED = ("id", "points", "floor", "allow", "text", "if_missing")
OUTPUTS = (*REQUIRED, "priority")

MOST_TABLES, MOST_ROWS, MOST_COLUMNS, MOST_CONDITIONS = 40, 500, 40, 4_000
MOST_TEXT_CALLS = 1_000  # one takes some five microseconds of the engine's time, of a text of 1,024 letters
_MAX_BYTES = 4 * 1024 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it; rows count from 1."""

    message: str
    table: str | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        places = [
            *([] if self.table is None else [f"table {self.table!r}"]),
            *([] if self.row is None else [f"row {self.row}"]),
            *([] if self.column is None else [f"column {self.column!r}"]),
        ]
        return f"{', '.join(places)}: {self.message}" if places else self.message


class Column(msgspec.Struct, frozen=True):
    id: str
    field: str | None = None


class Content(msgspec.Struct, frozen=True, rename="camel"):
    """A decision table. Cells are keyed by the ids of columns; keys that begin with `_` are the editor's own."""

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]
    rules: tuple[dict[str, str], ...]
    hit_policy: str = "first"
    output_path: str | None = None
    input_field: str | None = None
    execution_mode: str = "single"
    pass_through: bool = False


class Node(msgspec.Struct, frozen=True):
    id: str
    type: str
    name: str
    content: msgspec.Raw = msgspec.Raw(b"{}")


class _Framing(msgspec.Struct, frozen=True):
    """What an input or output node may hold beside its name: editors leave an empty schema there."""

    schema: Any = None


class Edge(msgspec.Struct, frozen=True, rename="camel"):
    source_id: str
    target_id: str


class Jdm(msgspec.Struct, frozen=True):
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def tables(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.type == TABLE)


def decode(raw: bytes) -> Jdm:
    """InvalidInput for what is no decision at all."""
    if len(raw) > _MAX_BYTES:
        raise InvalidInput("rulebook: more than 4 MiB; split it by module")
    return _decoded(raw, Jdm)


def content_of(node: Node) -> Content:
    """InvalidInput when the table is none."""
    return _decoded(bytes(node.content), Content)


def _decoded(raw: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"rulebook: not a GoRules decision ({error}); export it as JDM again") from error


def graph_problems(jdm: Jdm) -> Iterator[Problem]:
    """Tables stand side by side, each between the one input and the one output."""
    types = Counter(node.type for node in jdm.nodes)
    for strange in sorted(types.keys() - {INPUT, OUTPUT, TABLE}):
        yield Problem(f"node type {strange!r} is not allowed; use one input, decision tables, and one output")
    for kind, said in ((INPUT, "input"), (OUTPUT, "output")):
        if types[kind] != 1:
            yield Problem(f"has {types[kind]} nodes for the {said}; give it one")
    if not 0 < types[TABLE] <= MOST_TABLES:
        yield Problem(f"has {types[TABLE] or 'no'} decision tables; give it 1 to {MOST_TABLES}")
    for node in jdm.nodes:
        if node.type in (INPUT, OUTPUT) and _has_schema(node):
            yield Problem(f"node {node.name!r} has a schema, whose patterns may take the engine long; remove it")
    for name in _repeated(node.id for node in jdm.nodes):
        yield Problem(f"node id {name!r} stands there twice; export it as JDM again")
    for name in _repeated(node.name for node in jdm.tables):
        yield Problem("another table has the same name; rename one", name)
    yield from _edge_problems(jdm)


def _has_schema(node: Node) -> bool:
    try:
        framing = msgspec.json.decode(node.content, type=_Framing | None)
    except msgspec.DecodeError:
        return True  # whatever it is, it is none of an editor's
    return framing is not None and framing.schema not in (None, "", {})


def _edge_problems(jdm: Jdm) -> Iterator[Problem]:
    nodes = {node.id: node for node in jdm.nodes}
    ends = [(nodes.get(edge.source_id), nodes.get(edge.target_id)) for edge in jdm.edges]
    if any(None in pair for pair in ends):
        yield Problem("an edge leads to or from a node that is not there; remove it")
    pairs = [(source, target) for source, target in ends if source is not None and target is not None]
    for table in jdm.tables:
        fed = any(source.type == INPUT and target.id == table.id for source, target in pairs)
        heard = any(source.id == table.id and target.type == OUTPUT for source, target in pairs)
        if not fed or not heard:
            yield Problem("is not connected from the input to the output; connect it to both", table.name)
    circle = _circle(pairs)
    if circle:
        yield Problem(f"nodes go in a circle: {' -> '.join(circle)}; connect each table to input and output alone")
    for source, target in pairs:
        if source.type == TABLE and target.type == TABLE and not circle:
            yield Problem(f"feeds table {target.name!r}; connect each table to input and output alone", source.name)


def _circle(pairs: Sequence[tuple[Node, Node]]) -> list[str]:
    """Names along one circle of edges, the first again at the end; empty where there is none."""
    names = {node.id: node.name for pair in pairs for node in pair}
    after: dict[str, list[str]] = {}
    for source, target in pairs:
        after.setdefault(source.id, []).append(target.id)
    done: set[str] = set()
    for start, ends in after.items():
        path, ways = [start], [iter(ends)]
        while path:
            following = next(ways[-1], None)
            if following is None:
                done.add(path.pop())
                ways.pop()
            elif following in path:
                return [names[i] for i in (*path[path.index(following) :], following)]
            elif following not in done:
                path.append(following)
                ways.append(iter(after.get(following, ())))
    return []


def table_problems(table: str, content: Content) -> Iterator[Problem]:
    """What is wrong with a table before any row is read."""
    if content.hit_policy != "collect" or content.execution_mode != "single":
        yield Problem("set the hit policy to collect and the mode to single; every row must be tried", table)
    if not content.output_path or not content.output_path.isidentifier():
        yield Problem("give it an output path of its own, one word", table)
    if content.input_field:
        yield Problem(f"looks at {content.input_field!r} alone; clear its input field", table)
    if content.pass_through:
        yield Problem("passes its input through; switch that off", table)
    if not content.rules:
        yield Problem("has no rows; end it with a catch-all", table)
    yield from _column_problems(table, content)
    yield from _stray_cells(table, content)


def _column_problems(table: str, content: Content) -> Iterator[Problem]:
    fields = [str(column.field) for column in content.outputs]
    if sorted(set(fields) | {"priority"}) != sorted(OUTPUTS) or len(set(fields)) != len(fields):
        yield Problem(f"its output columns must be {', '.join(REQUIRED)}, and priority if you like", table)
    if any(not column.field for column in content.inputs):
        yield Problem("an input column names no field; a condition must say what it looks at", table)
    for name in _repeated(column.field for column in content.inputs if column.field):
        yield Problem("stands there twice; write both conditions into one cell, joined by 'and'", table, column=name)
    for name in _repeated(column.id for column in (*content.inputs, *content.outputs)):
        yield Problem(f"two columns have the id {name!r}; export it as JDM again", table)
    if len(content.inputs) > MOST_COLUMNS:
        yield Problem(f"has {len(content.inputs)} input columns; split it, {MOST_COLUMNS} are allowed", table)


def _stray_cells(table: str, content: Content) -> Iterator[Problem]:
    """A condition in a column that is gone would not count."""
    columns = {column.id for column in (*content.inputs, *content.outputs)}
    for number, cells in enumerate(content.rules, start=1):
        stray = [key for key, cell in cells.items() if key not in columns and not key.startswith("_") and cell.strip()]
        for key in stray:
            yield Problem(f"the cell {cells[key][:60]!r} belongs to no column ({key!r}); remove it", table, number)


def path_problems(contents: Mapping[str, Content]) -> Iterator[Problem]:
    for path in _repeated(content.output_path for content in contents.values() if content.output_path):
        yield Problem(f"output path {path!r} belongs to two tables; give each its own")


def size_problems(contents: Mapping[str, Content]) -> Iterator[Problem]:
    """More than can be judged at a load and tried within a decision's time."""
    rows = sum(len(content.rules) for content in contents.values())
    if rows > MOST_ROWS:
        yield Problem(f"has {rows} rows; {MOST_ROWS} are allowed, so that a decision keeps its time; remove some")
    filled = sum(bool(row.get(c.id, "").strip()) for t in contents.values() for row in t.rules for c in t.inputs)
    if filled > MOST_CONDITIONS:
        yield Problem(f"has {filled} conditions; {MOST_CONDITIONS} are allowed, for the same reason; remove some")


def _repeated(names: Iterator[str]) -> list[str]:
    return [name for name, many in Counter(names).items() if many > 1]
