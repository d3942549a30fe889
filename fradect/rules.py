"""Rules at work: GoRules decision tables run by zen-engine, with the answers zen does not give by itself.

zen takes a missing value for null, so a row can be missed, or even hit, for want of data. Here a rule that needs a
value which the event lacks *could not run*: that is neither hit nor miss, whatever zen says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType
from typing import Any

import msgspec
import zen

from fradect.features.contract import Contract
from fradect.modules.declaration import FieldType, Module
from fradect.policy import RuleEffects
from fradect.rulebook import Problem, Rule, Rulebook, examine, read, vocabulary
from fradect.types import DAY, HOUR, Action, Event, Value, Vector
from fradect.words import Words

NO_SIGNALS: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that hit: what it asks for, and why in words with this event's values."""

    id: str
    points: int
    floor: Action
    allow: bool
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What the rules found.

    `could_not_run`: ids of rules that lacked a value; `broken`: tables that gave no answer; `caution`: the floor
    that follows from these two.
    """

    hits: tuple[Hit, ...] = ()
    could_not_run: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    caution: Action = Action.APPROVE

    @property
    def effects(self) -> RuleEffects:
        return RuleEffects(
            points=sum(hit.points for hit in self.hits),
            floor=max((self.caution, *(hit.floor for hit in self.hits))),
            allow=any(hit.allow for hit in self.hits),
        )


class Rules:
    """A rulebook bound to a contract: rules over features that the contract lacks do not apply."""

    def __init__(self, rulebook: Rulebook, contract: Contract, module: Module, words: Words) -> None:
        options: Any = {"loader": {"type": "static", "content": {"rules": rulebook.jdm}}}
        self._engine = zen.ZenEngine(options)
        self._catch_alls = rulebook.catch_alls
        self._words = words
        known = vocabulary(module, contract).known
        self.not_applicable = tuple(rule.id for rule in rulebook.rules if not rule.needs <= known.keys())
        self._rules = {rule.id: rule for rule in rulebook.rules if rule.needs <= known.keys()}
        self.reads_signals = any(name.startswith("signal.") for rule in self._rules.values() for name in rule.needs)
        needed = {name for rule in self._rules.values() for name in rule.needs}
        self._features = [(i, f.name, f.unit) for i, f in enumerate(contract) if f.name in needed]
        self._fields = [(name, kind) for name, kind in module.columns.items() if f"event.{name}" in needed]

    def find(self, event: Event, vector: Vector, signals: Mapping[str, Value] = NO_SIGNALS) -> Findings:
        """Total: whatever goes wrong in the engine is an answer too, and a cautious one."""
        values = self._values(event, vector, signals)
        unable = [rule for rule in self._rules.values() if not values.keys() >= rule.needs]
        try:
            answers = self._engine.evaluate("rules", self._context(values))["result"]
            found, silent = self._answers(answers)
        except Exception:  # noqa: BLE001  zen raises bare exceptions; a broken engine means REVIEW, not an error
            found, silent = set(), self._catch_alls
        hits = [self._rules[i] for i in self._rules if i in found and values.keys() >= self._rules[i].needs]
        return Findings(
            tuple(self._hit(rule, values) for rule in hits),
            tuple(rule.id for rule in unable),
            tuple(catch_all.table for catch_all in silent),
            max((Action.APPROVE, *(rule.cautious for rule in unable), *(c.cautious for c in silent))),
        )

    def _values(self, event: Event, vector: Vector, signals: Mapping[str, Value]) -> dict[str, Value]:
        """What the rules may look at and the event has, by the names the rulebook uses."""
        values: dict[str, Value] = {"event.hour": event.event_time % DAY // HOUR}
        for name, kind in self._fields:
            value = event.fields.get(name)
            if value is not None and isinstance(value, _TYPES.get(kind, str)):
                values[f"event.{name}"] = value
        values.update((f"signal.{name}", value) for name, value in signals.items())
        for i, name, _ in self._features:
            if not isnan(vector.values[i]):
                values[name] = vector.values[i]
        return values

    def _context(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """The same as the engine reads it: money in major units, event fields nested under `event`."""
        about = {name[6:]: value for name, value in values.items() if name.startswith("event.")}
        context: dict[str, Any] = {"event": about}
        for _, name, unit in self._features:
            value = values.get(name)
            if isinstance(value, float):
                context[name] = self._words.major(value) if unit == "minor units" else value
        return context

    def _answers(self, result: Mapping[str, Any]) -> tuple[set[str], tuple[Any, ...]]:
        """Ids of the rows that hit, and the catch-alls of tables that did not answer."""
        found = {row["id"] for c in self._catch_alls for row in result.get(c.path) or ()}
        return found, tuple(c for c in self._catch_alls if c.id not in found)

    def _hit(self, rule: Rule, values: Mapping[str, Value]) -> Hit:
        return Hit(rule.id, rule.points, rule.floor, rule.allow, self._words.fill(rule.text, values))


_TYPES: Mapping[FieldType, type | tuple[type, ...]] = {FieldType.NUMBER: (int, float), FieldType.TIME: int}


class _Zen:
    """zen's reading of a condition. Its parser's errors carry a native stack trace; only their words are kept."""

    def check_condition(self, cell: str) -> None:
        try:
            zen.compile_unary_expression(cell)
        except RuntimeError as error:
            raise ValueError(f"the engine cannot read it ({_first_words(error)})") from None


def load(raw: bytes, module: Module) -> Rulebook:
    """A checked rulebook; InvalidInput names table, row and column of what is wrong."""
    return read(raw, vocabulary(module, *module.contracts), _Zen())


def check(raw: bytes, module: Module) -> tuple[Problem, ...]:
    """Everything that `load` would refuse; InvalidInput for bytes that are no decision at all."""
    return examine(raw, vocabulary(module, *module.contracts), _Zen())[1]


def _first_words(error: RuntimeError) -> str:
    line = str(error).splitlines()[0]
    try:
        return str(msgspec.json.decode(line)["source"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return line
