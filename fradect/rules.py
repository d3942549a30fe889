"""Rules at work: GoRules decision tables run by zen-engine, with the answers zen does not give by itself.

zen takes a missing value for null, so a row can be missed, or even hit, for want of data. Here a rule that needs a
value which the event lacks *could not run*: that is neither hit nor miss, whatever zen says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
import zen

from fradect.features.contract import Contract
from fradect.modules.declaration import Module
from fradect.policy import RuleEffects
from fradect.rulebook import CatchAll, Problem, Rule, Rulebook, examine, read, vocabulary
from fradect.rulebook.inputs import Reading, lean
from fradect.rulebook.screen import Screen
from fradect.types import Action, Event, Value, Vector
from fradect.words import Words

NO_SIGNALS: Mapping[str, Value] = MappingProxyType({})


class Hit(msgspec.Struct, frozen=True):
    """A rule that hit: what it asks for, and why in words with this event's values."""

    id: str
    points: int
    floor: Action
    allow: bool
    text: str


class Findings(msgspec.Struct, frozen=True):
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
        if not self.hits:
            return _EFFECTS_OF[self.caution]
        return RuleEffects(
            points=sum(hit.points for hit in self.hits),
            floor=max((self.caution, *(hit.floor for hit in self.hits))),
            allow=any(hit.allow for hit in self.hits),
        )


_EFFECTS_OF = {caution: RuleEffects(floor=caution) for caution in Action}


@dataclass(frozen=True, slots=True)
class _Unable:
    """Rules that could not run, the floor that follows, and what is found where nothing hits."""

    ids: tuple[str, ...]
    known: frozenset[str]
    caution: Action
    alone: Findings


_MOST_GAPS = 1_000


class Rules:
    """A rulebook bound to a contract: rules over features that the contract lacks do not apply."""

    def __init__(self, rulebook: Rulebook, contract: Contract, module: Module, words: Words) -> None:
        known = vocabulary(module, contract).known
        self.not_applicable = tuple(rule.id for rule in rulebook.rules if not rule.needs <= known.keys())
        applicable = [rule for rule in rulebook.rules if rule.needs <= known.keys()]
        self._as_written = tuple(applicable)
        self._rules = tuple(sorted(applicable, key=lambda rule: -rule.priority))
        self.conditions = tuple((rule, rulebook.conditions[rule.id]) for rule in self._rules)
        self._catch_alls = rulebook.catch_alls
        self._always = frozenset(catch_all.id for catch_all in rulebook.catch_alls)
        options: Any = {"loader": {"type": "static", "content": {"rules": lean(rulebook, {r.id for r in applicable})}}}
        self._engine = zen.ZenEngine(options)
        self.reading = Reading(frozenset().union(*(rule.needs for rule in applicable)), known, contract, words)
        self._works = not self._ask({"event": {}, "signal": {}})[1]
        self._screen = Screen(self.conditions, known)
        self._words = words
        self._gaps: dict[tuple[str, ...], _Unable] = {}
        self.reads_signals = self.reading.reads_signals

    def find(
        self, event: Event, vector: Vector, signals: Mapping[str, Value] = NO_SIGNALS, *, ask: bool = False
    ) -> Findings:
        """Total: whatever goes wrong in the engine is an answer too, and a cautious one.

        `ask`: the engine, of what is clear without it too; the findings are the same.
        """
        context, missing = self.reading.of(event, vector, signals)
        unable = self._unable(missing)
        silent: tuple[CatchAll, ...] = ()
        hitting = None if ask or not self._works else self._screen.hits(context, unable.known)
        if hitting is None:
            found, silent = self._ask(context)
            hitting = [rule for rule in self._rules if rule.id in found and rule.id not in unable.known]
        if not hitting and not silent:
            return unable.alone
        hits = tuple([self._hit(rule, event, vector, signals) for rule in hitting])
        caution = max((unable.caution, *(catch_all.cautious for catch_all in silent)))
        return Findings(hits, unable.ids, tuple(catch_all.table for catch_all in silent), caution)

    def _ask(self, context: dict[str, Any]) -> tuple[frozenset[str], tuple[CatchAll, ...]]:
        try:
            return self._answers(self._engine.evaluate("rules", context)["result"])
        except Exception:  # noqa: BLE001  zen raises bare exceptions; a broken engine means REVIEW, not an error
            return frozenset(), self._catch_alls

    def _answers(self, result: Mapping[str, Any]) -> tuple[frozenset[str], tuple[CatchAll, ...]]:
        """Ids of the rows that hit, and the catch-alls of tables that did not answer."""
        found = frozenset([row["id"] for c in self._catch_alls for row in result.get(c.path) or ()])
        silent = () if self._always <= found else tuple(c for c in self._catch_alls if c.id not in found)
        return found | {c.id for c in silent} if silent else found, silent

    def _unable(self, missing: tuple[str, ...]) -> _Unable:
        """Rules that lack one of these values; events mostly lack the same ones."""
        unable = self._gaps.get(missing)
        if unable is None:
            rules = [rule for rule in self._as_written if not rule.needs.isdisjoint(missing)]
            ids = tuple(rule.id for rule in rules)
            caution = max((Action.APPROVE, *(rule.cautious for rule in rules)))
            unable = _Unable(ids, frozenset(ids), caution, Findings((), ids, (), caution))
            if len(self._gaps) < _MOST_GAPS:
                self._gaps[missing] = unable
        return unable

    def _hit(self, rule: Rule, event: Event, vector: Vector, signals: Mapping[str, Value]) -> Hit:
        values = {name: self.reading.value(name, event, vector, signals) for name in rule.needs}
        return Hit(rule.id, rule.points, rule.floor, rule.allow, self._words.fill(rule.text, values))


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
