"""What the engine is given: values that the contract and the module promise, and nothing of another type.

zen takes a missing value for null and a value of another type for one that no condition meets, so either would be a
silent miss. Here both are missing, and the rules that need them could not run.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract
from fradect.rulebook import Rulebook
from fradect.rulebook.document import TABLE
from fradect.rulebook.meaning import LARGEST
from fradect.rulebook.vocabulary import Domain, Sort
from fradect.types import DAY, HOUR, Event, Value, Vector
from fradect.words import Words

Floats = npt.NDArray[np.float64]

MOST = float(LARGEST)
_LONGEST = 1024


class Reading:
    """Which values of an event a rulebook needs, and how they are read."""

    def __init__(self, needed: frozenset[str], known: Mapping[str, Domain], contract: Contract, words: Words) -> None:
        self.needed = needed
        self._places = {feature.name: i for i, feature in enumerate(contract) if feature.name in needed}
        money = {feature.name for feature in contract if feature.unit == "minor units"}
        scale = 1.0 / words.major(1.0)
        self._features = tuple((i, name, scale if name in money else 0.0) for name, i in self._places.items())
        self._fields = _fitting("event.", needed - {"event.hour"}, known)
        self._signals = _fitting("signal.", needed, known)
        self.reads_signals = bool(self._signals)

    def of(self, event: Event, vector: Vector, signals: Mapping[str, Value]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The engine's context, money in major units; and the names that are needed and not there."""
        about: dict[str, Value] = {"hour": event.event_time % DAY // HOUR}
        said: dict[str, Value] = {}
        context: dict[str, Any] = {"event": about, "signal": said}
        missing: list[str] = []
        values = vector.values
        for i, name, scale in self._features:
            value = values[i]
            if -MOST < value < MOST:  # neither NaN nor infinite
                context[name] = value / scale if scale else value
            else:
                missing.append(name)
        for wanted, given, kept in ((self._fields, event.fields, about), (self._signals, signals, said)):
            for name, short, fits in wanted:
                value_of = given.get(short)
                if fits(value_of):
                    kept[short] = value_of
                else:
                    missing.append(name)
        return context, tuple(missing)

    def numbers_of(self, name: str, matrix: Floats) -> Floats | None:
        """A feature of many events (n, features) as the engine would get it, NaN missing; None for other names."""
        if name not in self._places:
            return None
        scale = next(scale for _, known, scale in self._features if known == name)
        column = matrix[:, self._places[name]]
        kept: Floats = np.where(np.abs(column) < MOST, column, np.nan)
        return kept / scale if scale else kept

    def fits(self, name: str, value: Value) -> bool:
        """Whether the engine would get this value of an event's field, or go without."""
        return any(known == name and fits(value) for known, _, fits in self._fields)

    def value(self, name: str, event: Event, vector: Vector, signals: Mapping[str, Value]) -> Value:
        """One value as it is, to be told in words."""
        if name in self._places:
            return vector.values[self._places[name]]
        if name == "event.hour":
            return event.event_time % DAY // HOUR
        kind, _, short = name.partition(".")
        return (event.fields if kind == "event" else signals).get(short)


Fits = Callable[[Value], bool]


def _fitting(prefix: str, needed: frozenset[str], known: Mapping[str, Domain]) -> tuple[tuple[str, str, Fits], ...]:
    """Each needed name that begins so, without its beginning, and what tells whether a value is of its type."""
    names = sorted(name for name in needed if name.startswith(prefix))
    return tuple((name, name.removeprefix(prefix), _FITS[known[name].sort]) for name in names)


def _is_number(value: Value) -> bool:
    return type(value) in (int, float) and -MOST < value < MOST  # type: ignore[operator]


def _is_text(value: Value) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST:
        return False
    return value.isascii() or _is_unicode(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_flag(value: Value) -> bool:
    return type(value) is bool


_FITS: Mapping[Sort, Fits] = {Sort.NUMBER: _is_number, Sort.TEXT: _is_text, Sort.FLAG: _is_flag}


def lean(rulebook: Rulebook, wanted: Collection[str]) -> dict[str, Any]:
    """What the engine has to run: of each table the rows of these rules and the catch-all, and of an answer the id.

    Put together anew: what else a file may hold, and some version of the engine obey, does not reach it.
    """
    kept = {f"'{name}'" for name in (*wanted, *(catch_all.id for catch_all in rulebook.catch_alls))}
    nodes = [
        {
            "id": node["id"],
            "type": node["type"],
            "name": node["name"],
            "content": _lean(node["content"], kept) if node["type"] == TABLE else {},
        }
        for node in rulebook.jdm["nodes"]
    ]
    edges = [
        {"id": f"edge{number}", "type": "edge", "sourceId": edge["sourceId"], "targetId": edge["targetId"]}
        for number, edge in enumerate(rulebook.jdm["edges"])
    ]
    return {"nodes": nodes, "edges": edges}


def _lean(table: Mapping[str, Any], kept: Collection[str]) -> dict[str, Any]:
    outputs = [_column(column) for column in table["outputs"] if column["field"] == "id"]
    name = outputs[0]["id"]
    rows = [row for row in table["rules"] if row[name].strip().replace('"', "'") in kept]
    inputs = [_column(column) for column in table["inputs"] if any(row.get(column["id"], "").strip() for row in rows)]
    columns = [column["id"] for column in (*inputs, *outputs)]
    rules = [
        {"_id": f"row{number}", **{column: row.get(column, "").strip() for column in columns}}
        for number, row in enumerate(rows)
    ]
    return {
        "hitPolicy": "collect",
        "executionMode": "single",
        "passThrough": False,
        "inputs": inputs,
        "outputs": outputs,
        "rules": rules,
        "outputPath": table["outputPath"],
    }


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": column["id"], "name": column["field"], "field": column["field"]}
