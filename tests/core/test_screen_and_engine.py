"""Rulebooks and events without end: with the screen, by the engine alone, and by the rulebook as it was written."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import inf, nan, nextafter
from typing import Any

import pytest

from fradect.features.contract import Contract
from fradect.modules import MODULES, contract_of
from fradect.modules.declaration import Module
from fradect.rulebook import Rulebook
from fradect.rulebook.conditions import Const, everything
from fradect.rulebook.vocabulary import Domain, Sort, vocabulary
from fradect.rules import Rules, check, load
from fradect.settings import PROJECT
from fradect.types import HOUR, Event, Value, Vector
from fradect.words import Words
from tests.factories_decision import MODULE, NOON, RULEBOOK

zen = pytest.importorskip("zen")
CONTRACT = contract_of("ecommerce/standard")
KNOWN = vocabulary(MODULE, CONTRACT).known

COLUMNS = 14
BOUNDS = ("0", "1", "2", "3", "6", "0.1", "0.3", "2.5", "60.07", "1000", "20000", "100000000", "9007199254740993")
NUMBERS = (
    ">= A", "< A", "> A", "<= A", "== A", "!= A", "A", "A < $", "[A..B]", "(A..B)", "[A..B)", "(A..B]",
    "not in [A..B]", "in [A, B]", "not in [A, B]", "A, B", "> A and < B", ">= A and <= B and != C", "< A or > B",
    "< A, > B, C", ">= A and $ > N * 5", "$ + 0.1 < N", "> N", "N", "abs($) > A", "abs($ - N) < 1 or > B",
    "floor($) == A", "$ % 2 == 1", "N >= A", "> -A",
)  # fmt: skip
TEXTS = (
    "'a'", "!= 'a'", "in ['a', 'b']", "not in ['a', 'b']", "'a', 'b'", "!= 'a' and != 'b'", "== 'a' or 'b'", "T",
    "startsWith($, 'a')", "lower($) == 'a'", "len($) > 3", "len($) > 3 and != 'b'", "!= T", "endsWith($, T)",
)  # fmt: skip
FLAGS = ("true", "false", "!= true", "== false", "F", "!= F", "in [true]")
WORDS = ("cod", "card", "Ωмега🙂", "2024-01-01", "12", "true", "", "web")


Asked = tuple[Event, Vector, dict[str, Value]]


class Chance:
    """Rulebooks and events by chance, the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def rulebook(self) -> bytes:
        """One table of what passes the check, over numbers, texts and flags."""
        pick = self._random
        names = pick.sample([name for name in KNOWN if not name.startswith("event.")], COLUMNS - 5)
        columns = [*names, "event.hour", "event.signup_at", "event.customer_id", "event.payment_method", "event.ip"]
        rows: list[dict[str, str]] = []
        for _ in range(pick.choice((1, 2, 4, 12))):
            cells = {name: self._cell(name, columns) for name in pick.sample(columns, pick.choice((1, 1, 2, 3)))}
            if cells not in rows and not check(_book(columns, [cells]), MODULE):
                rows.append(cells)
        return _book(columns, rows)

    def _cell(self, name: str, columns: list[str]) -> str:
        pick, sort = self._random, KNOWN[name].sort
        other = pick.choice([one for one in columns if KNOWN[one].sort is sort] or [name])
        if sort is Sort.FLAG:
            return pick.choice(FLAGS).replace("F", other)
        if sort is Sort.TEXT:
            words = KNOWN[name].choices or WORDS
            cell = pick.choice(TEXTS).replace("T", other).replace("'a'", f"'{pick.choice(words)}'")
            return cell.replace("'b'", f"'{pick.choice(words)}'")
        cell = pick.choice(NUMBERS)
        for letter, bound in zip("ABC", sorted(pick.sample(BOUNDS, 3), key=float), strict=True):
            cell = cell.replace(letter, bound)
        return cell.replace("N", other)

    def event(self, rules: Rules, contract: Contract, known: Mapping[str, Domain]) -> Asked:
        """Values at the bounds of its rules, near them, elsewhere, and none."""
        bounds, close = _bounds(rules), self._random.choice((0, 0, 0.02, 0.3, 1))
        given = {name: self._value(known[name].sort, bounds[name], close) for name in sorted(rules.reading.needed)}
        row = [_number(given.get(one.name), 100.0 if one.unit == "minor units" else 1.0) for one in contract]
        fields, signals = (
            {name.removeprefix(part): value for name, value in given.items() if name.startswith(part)}
            for part in ("event.", "signal.")
        )
        at = NOON + self._random.randrange(24) * HOUR
        return Event("e", "demo", "ecommerce", at, at, fields), Vector(contract.names, tuple(row)), signals

    def _value(self, sort: Sort, bounds: Sequence[Any], close: float) -> Any:
        """`close`: how often a number is nearer to a bound than the screen can tell, or just not."""
        pick = self._random
        bound = pick.choice(bounds or [Decimal(0)])
        if pick.random() < 0.03:
            return pick.choice((None, nan, inf, -inf, 1e17, 10**17, b"a", "\ud800", "x" * 2_000, 3, True))
        if sort is Sort.FLAG:
            return pick.random() < 0.3
        if sort is Sort.TEXT:
            return pick.choice((str(bound), str(bound), f"{bound}.", *WORDS))
        return self._near(float(bound)) if pick.random() < close else self._elsewhere(bound)

    def _near(self, bound: float) -> float:
        pick = self._random
        apart = pick.choice((0, 1e-12, 5e-10, 1e-9, 1.9e-9, 2.1e-9, 4e-9, 1e-6)) * max(abs(bound), 1.0)
        return pick.choice((bound - apart, bound + apart, nextafter(bound, -inf), nextafter(bound, inf)))

    def _elsewhere(self, bound: Decimal) -> float:
        pick, at = self._random, int(bound)
        odd = pick.choice((2**53 + 1, 10**16 - 1, -0.0, 1e-30, pick.uniform(-5, 70_000))) if pick.random() < 0.05 else 0
        return odd or pick.choice((at, at + 1, at - 1, at - 100, at * 2, 0, 0, 1, pick.randrange(12), at * 0.7 + 0.05))


def _book(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    """One table of these rows, and the graph around it as in the shipped rulebook."""
    book = json.loads(RULEBOOK)
    book["nodes"] = [one for one in book["nodes"] if one["type"] != "decisionTableNode" or one["id"] == "velocity"]
    there = {node["id"] for node in book["nodes"]}
    book["edges"] = [one for one in book["edges"] if {one["sourceId"], one["targetId"]} <= there]
    table = next(node["content"] for node in book["nodes"] if node["id"] == "velocity")
    table["inputs"] = [{"id": f"in{i}", "name": name, "field": name} for i, name in enumerate(columns)]
    empty = dict.fromkeys((column["id"] for column in (*table["inputs"], *table["outputs"])), "")
    table["rules"] = []
    for n, cells in enumerate(rows):
        texts = {f"in{columns.index(name)}": cell for name, cell in cells.items()}
        said = f"'{{{next(iter(cells))}}}'"
        effect = {"id": f"'r{n}'", "points": str(n), "priority": str(n % 3), "text": said, "if_missing": "'REVIEW'"}
        table["rules"].append({**empty, **effect, **texts})
    table["rules"].append({**empty, "id": "'all'", "if_missing": "'REVIEW'"})
    return json.dumps(book).encode()


def _bounds(rules: Rules) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for rule, cells in rules.conditions:
        constants = [one.value for cell in cells.values() for one in everything(cell) if isinstance(one, Const)]
        for name, cell in cells.items():
            found[name] += [one.value for one in everything(cell) if isinstance(one, Const)] * 2
        for name in rule.needs - cells.keys():
            found[name] += [one for one in constants if isinstance(one, Decimal)]
    return found


def _number(value: object, scale: float) -> float:
    return float(value) * scale if isinstance(value, int | float) else nan


def _as_written(book: Rulebook) -> Callable[[dict[str, Any]], set[str]]:
    """Which rows of the rulebook as it stands in its file the engine lets hit."""
    engine = zen.ZenEngine({"loader": {"type": "static", "content": {"rules": book.jdm}}})

    def hitting(context: dict[str, Any]) -> set[str]:
        result = engine.evaluate("rules", context)["result"]
        return {row["id"] for catch_all in book.catch_alls for row in result[catch_all.path]}

    return hitting


def _compare(raw: bytes, module: Module, contract: Contract, chance: Chance, events: int) -> tuple[int, int]:
    """Of how many events the screen told that something hits, and that nothing does."""
    book = load(raw, module)
    rules, known = Rules(book, contract, module, Words(contract, "RUB")), vocabulary(module, contract).known
    hitting, hits, quiet = _as_written(book), 0, 0
    idle = {*(one.id for one in book.catch_alls), *rules.not_applicable}
    for _ in range(events):
        asked = chance.event(rules, contract, known)
        found, context = rules.find(*asked), rules.reading.of(*asked)[0]
        assert found == rules.find(*asked, ask=True), asked
        assert {hit.id for hit in found.hits} == hitting(context) - idle - {*found.could_not_run}, asked
        told = rules._screen.hits(context, frozenset(found.could_not_run))
        hits, quiet = hits + bool(told), quiet + (told == [])
    return hits, quiet


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_shipped_rulebooks_find_what_the_engine_finds(module: Module) -> None:
    raw = (PROJECT / "rulebooks" / module.rulebook).read_bytes()
    each = 10_000 // len(module.contracts)
    told = [_compare(raw, module, contract, Chance(n), each) for n, contract in enumerate(module.contracts)]
    assert all(hits > 100 for hits, _ in told)


def test_so_do_rulebooks_of_every_kind_of_condition() -> None:
    told = []
    for seed in range(150):
        chance = Chance(seed)
        told.append(_compare(chance.rulebook(), MODULE, CONTRACT, chance, 150))
    assert sum(hits for hits, _ in told) > 500
