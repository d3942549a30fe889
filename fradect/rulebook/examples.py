"""Examples that stand beside a rulebook: values as an analyst writes them, and what the rules must find in them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import nan

import msgspec
import yaml

from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.modules import contract_of
from fradect.modules.declaration import Module
from fradect.rulebook.vocabulary import Domain, Sort, vocabulary
from fradect.rules import Findings, Rules, load
from fradect.types import HOUR, Event, Value, Vector
from fradect.words import Words

Given = dict[str, bool | float | str | None]


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`given` changes the usual values; null is missing. `hits` and `could_not_run` are all there may be, in any order;
    the others are compared where they are written."""

    name: str
    given: Given = {}
    hits: tuple[str, ...] = ()
    could_not_run: tuple[str, ...] = ()
    floor: str | None = None
    points: int | None = None
    allow: bool | None = None


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`usual`: the values that every example starts from, by the names that rules use, amounts in major units."""

    contract: str
    currency: str
    usual: Given
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many examples hit a rule, ran and missed it, and could not run it."""

    rule: str
    hit: int
    missed: int
    could_not_run: int

    @property
    def enough(self) -> bool:
        return self.hit > 0 and self.missed > 0


@dataclass(frozen=True, slots=True)
class Tried:
    """`failed`: a line for each example that found something else."""

    examples: int
    failed: tuple[str, ...]
    coverage: tuple[Coverage, ...]

    @property
    def passed(self) -> bool:
        return not self.failed and all(rule.enough for rule in self.coverage)


def read_examples(raw: bytes) -> Examples:
    """YAML; InvalidInput says where it is not as it should be."""
    try:
        return msgspec.convert(yaml.safe_load(raw), Examples)
    except yaml.YAMLError as error:
        raise InvalidInput(f"examples: not YAML ({' '.join(str(error).split())})") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(f"examples: {error}") from error


def try_examples(rulebook: bytes, examples: Examples, module: Module) -> Tried:
    """Every example through the rules as a decision runs them. InvalidInput for one that cannot be tried."""
    contract = contract_of(examples.contract)
    book = load(rulebook, module)
    rules = Rules(book, contract, module, Words(contract, examples.currency))
    bench = _Bench(contract, module, Words(contract, examples.currency))
    found = [(one, bench.find(rules, one, {**examples.usual, **one.given})) for one in examples.examples]
    failed = tuple(f"{one.name}: {line}" for one, what in found for line in _differences(one, what))
    hit = Counter(h.id for _, what in found for h in what.hits)
    unable = Counter(rule for _, what in found for rule in what.could_not_run)
    coverage = tuple(
        Coverage(rule.id, hit[rule.id], len(found) - hit[rule.id] - unable[rule.id], unable[rule.id])
        for rule in book.rules
        if rule.id not in rules.not_applicable
    )
    return Tried(len(found), failed, coverage)


def _differences(example: Example, found: Findings) -> Iterator[str]:
    effects = found.effects
    if found.broken:
        yield f"no answer from {', '.join(found.broken)}"
    yield from _told("hits", example.hits, [hit.id for hit in found.hits])
    yield from _told("could not run", example.could_not_run, found.could_not_run)
    for what, wanted, got in (
        ("floor", example.floor, effects.floor.name),
        ("points", example.points, effects.points),
        ("allow", example.allow, effects.allow),
    ):
        if wanted is not None and wanted != got:
            yield f"{what} is {got}, not {wanted}"


def _told(what: str, wanted: tuple[str, ...], got: list[str] | tuple[str, ...]) -> Iterator[str]:
    missing, extra = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    if missing or extra:
        lacking = f"without {', '.join(missing)}" if missing else ""
        yield f"{what}: {' and '.join(part for part in (lacking, ', '.join(extra)) if part)}"


class _Bench:
    """Makes an event and a vector of plain values."""

    def __init__(self, contract: Contract, module: Module, words: Words) -> None:
        self._contract = contract
        self._module = module
        self._known = vocabulary(module, contract).known
        self._money = {feature.name for feature in contract if feature.unit == "minor units"}
        self._scale = 1.0 / words.major(1.0)

    def find(self, rules: Rules, example: Example, given: Mapping[str, Value]) -> Findings:
        for name, value in given.items():
            self._check(example, name, value)
        hour = given.get("event.hour")
        fields = {name: value for name, value in _under("event.", given) if name != "hour"}
        at = int(hour) * HOUR if isinstance(hour, int | float) else 0
        event = Event("example", "example", self._module.name, at, at, fields)
        vector = Vector(self._contract.names, tuple(self._number(name, given) for name in self._contract.names))
        signals = {name: value for name, value in _under("signal.", given) if value is not None}
        return rules.find(event, vector, signals, ask=True)

    def _check(self, example: Example, name: str, value: Value) -> None:
        domain = self._known.get(name)
        if domain is None:
            raise InvalidInput(f"examples: {example.name}: {name!r} is unknown; name values as rules do")
        if value is not None and not _fits(value, domain):
            raise InvalidInput(f"examples: {example.name}: {name} is {value!r}, but can only be {domain.words}")

    def _number(self, name: str, given: Mapping[str, Value]) -> float:
        value = given.get(name)
        if not isinstance(value, int | float):
            return nan
        return float(round(value * self._scale)) if name in self._money else float(value)


def _under(prefix: str, given: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    return ((name.removeprefix(prefix), value) for name, value in given.items() if name.startswith(prefix))


def _fits(value: Value, domain: Domain) -> bool:
    match domain.sort:
        case Sort.FLAG:
            return isinstance(value, bool)
        case Sort.TEXT:
            return isinstance(value, str) and (not domain.choices or value in domain.choices)
    if isinstance(value, bool) or not isinstance(value, int | float) or (domain.whole and value % 1):
        return False
    return (domain.low is None or value >= domain.low) and (domain.high is None or value <= domain.high)
