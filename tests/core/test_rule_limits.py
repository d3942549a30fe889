"""No rulebook that the check lets through keeps a decision waiting: the slow cannot be written, the long is counted.

Measured is the processor's time, the least of several: how busy the machine is does not count.
"""

import json
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import zen

from fradect.errors import InvalidInput
from fradect.modules import contract_of, module_of
from fradect.rulebook import meaning, vocabulary
from fradect.rulebook.conditions import LONGEST, parse
from fradect.rulebook.document import MOST_CONDITIONS, MOST_ROWS, MOST_TEXT_CALLS
from fradect.rulebook.inputs import lean
from fradect.rulebook.meaning import FUNCTIONS, text_calls
from fradect.rules import Rules, check, load
from fradect.words import Words
from tests.factories_decision import RULEBOOK, purchase, vector_of

MODULE, STANDARD = module_of("ecommerce"), contract_of("ecommerce/standard")
KNOWN = vocabulary(MODULE, STANDARD).known
SECONDS = 0.05
TEXTS = ("customer_id", "merchant_id", "device_id", "card_token", "browser", "source", "email_token", "phone_token")
NUMBERS = tuple(feature.name for feature in STANDARD if not feature.categories)[:30]
EVERYTHING = tuple(f"event.{name}" for name in TEXTS) + NUMBERS
PER_ROW = MOST_CONDITIONS // MOST_ROWS
Cell = Callable[[int, str], str]


def _book(cell: Cell, columns: tuple[str, ...], per_row: int = PER_ROW) -> bytes:
    """One table with as many rows as are allowed. `cell`: the condition of a row's number on a column."""
    book = json.loads(RULEBOOK)
    book["nodes"] = [n for n in book["nodes"] if n["type"] != "decisionTableNode" or n["id"] == "velocity"]
    there = {node["id"] for node in book["nodes"]}
    book["edges"] = [edge for edge in book["edges"] if {edge["sourceId"], edge["targetId"]} <= there]
    table = next(node for node in book["nodes"] if node["id"] == "velocity")["content"]
    table["inputs"] = [{"id": f"in{i}", "name": name, "field": name} for i, name in enumerate(columns)]
    empty = dict.fromkeys((c["id"] for c in (*table["inputs"], *table["outputs"])), "")
    rows = []
    for n in range(MOST_ROWS - 1):
        some = [table["inputs"][(n + i) % len(columns)] for i in range(per_row)]
        cells = {column["id"]: cell(n, column["field"]) for column in some}
        rows.append({**empty, **cells, "id": f"'r{n}'", "points": "1"})
    table["rules"] = [*rows, {**empty, "id": "'all'", "if_missing": "'REVIEW'"}]
    return json.dumps(book).encode()


def _longest(raw: bytes) -> float:
    """Processor seconds of an evaluation with the dearest text of several; the engine is asked and answers."""
    rules, vector = Rules(load(raw, MODULE), STANDARD, MODULE, Words(STANDARD, "RUB")), vector_of(STANDARD, 0.5)
    least = []
    for text in LONG:
        event, spent = purchase(**dict.fromkeys(TEXTS, text)), []
        for _ in range(4):
            start = time.process_time()
            findings = rules.find(event, vector)
            spent.append(time.process_time() - start)
            assert findings.hits
            assert findings.broken == ()
        least.append(min(spent))
    return max(least)


LONG = ("a" * 1024, "\u00df" * 1024, "\u0390" * 1024, "\U0001f600" * 1024, " " * 1023 + "a")

AT_THE_LIMIT: dict[str, tuple[Cell, int]] = {
    "letters made large and small": (lambda n, _: f"contains(upper(lower($)), '{n}') or len($) > 1", 0),
    "one in another as deep as it goes": (lambda n, _: f"contains({'upper(lower(' * 3}$)))))), 'x{n}') or == 'a'", 0),
    "spaces cut off": (lambda n, _: f"trim($) != '{n}'", 0),
    "searched for what nearly stands there": (lambda n, _: f"contains($, '{'a' * 60}{n}') or != '{n}'", 0),
    "compared with many": (lambda n, _: f"not in ['{n}', {', '.join(repr(c) for c in 'abcdefghijklmnopqr')}]", PER_ROW),
    "compared with each other": (
        lambda n, _: f"== event.source and == event.browser and $ == event.device_id and != 'x{n}'",
        PER_ROW,
    ),
}


@pytest.mark.parametrize(("cell", "per_row"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_as_much_of_the_dearest_as_is_allowed_keeps_within_50_ms(cell: Cell, per_row: int) -> None:
    columns = tuple(f"event.{name}" for name in TEXTS)
    calls = text_calls(parse(cell(0, columns[0]), FUNCTIONS))
    raw = _filled(cell, columns, calls) if calls else _book(cell, columns, per_row)
    assert _longest(raw) < SECONDS


def _filled(cell: Cell, columns: tuple[str, ...], calls: int) -> bytes:
    """The cell in as many places as its calls allow, and comparisons in all others."""
    left = MOST_TEXT_CALLS // calls

    def mixed(n: int, column: str) -> str:
        nonlocal left
        left -= 1
        return cell(n, column) if left >= 0 else f"!= 'y{n}'"

    return _book(mixed, columns)


@pytest.mark.parametrize("seed", range(3))
def test_rulebooks_drawn_at_random_from_the_language_keep_within_50_ms(seed: int) -> None:
    rng, budget = random.Random(seed), [MOST_TEXT_CALLS]
    raw = _book(lambda n, column: _drawn(rng, n, column, budget), EVERYTHING)
    assert check(raw, MODULE) == ()
    assert _longest(raw) < SECONDS


def _drawn(rng: random.Random, n: int, column: str, budget: list[int]) -> str:
    """A condition that the language has, as long as it goes; `budget`: calls that are left."""
    draw = _of_text if column.startswith("event.") else _of_number
    tests, join = [draw(rng, n)], rng.choice((" and ", " or "))
    while len(join.join(tests)) < LONGEST:
        tests.append(draw(rng, n))
    text = join.join(tests[:-1])
    try:
        cell = parse(text, FUNCTIONS)
        meaning.check(cell, column, KNOWN)
        calls = text_calls(cell)
    except ValueError:  # an empty one, or more brackets or products than are allowed
        calls = MOST_TEXT_CALLS
    if calls >= budget[0]:
        return f"!= 'z{n}'" if column.startswith("event.") else f"> -{n}.5"
    budget[0] -= calls
    return text


def _of_text(rng: random.Random, n: int) -> str:
    inner = "$"
    for _ in range(rng.randrange(3)):
        inner = f"{rng.choice(('upper', 'lower', 'trim'))}({inner})"
    word = f"'{rng.choice('abß')}{n}'"
    return rng.choice(
        (
            f"!= {word}",
            f"not in [{word}, 'b', 'c']",
            f"{rng.choice(('contains', 'startsWith', 'endsWith'))}({inner}, {word})",
            f"len({inner}) > {rng.randrange(900)}",
        )
    )


def _of_number(rng: random.Random, n: int) -> str:
    inner = f"{rng.choice(('abs', 'floor', 'ceil', 'round'))}($)" if rng.random() < 0.3 else "$"
    least = f"-{rng.randrange(1, 10**6)}.{n}"
    return rng.choice(
        (
            f"{inner} + {rng.choice(NUMBERS)} * {rng.randrange(1, 10**6)} > {least}",
            f"> {least}",
            f"{inner} in ({least}..{rng.randrange(1, 10**9)}.{n}]",
            f"{inner} % {rng.randrange(1, 999)} > {least}",
        )
    )


def test_one_call_more_than_is_allowed_is_refused() -> None:
    left = [MOST_TEXT_CALLS]

    def cell(n: int, _: str) -> str:
        left[0] -= 1
        return f"len($) != {n + 1}" if left[0] >= 0 else f"!= '{n}'"

    columns = tuple(f"event.{name}" for name in TEXTS)
    assert check(_book(cell, columns), MODULE) == ()
    left[0] = MOST_TEXT_CALLS + 1
    (problem,) = check(_book(cell, columns), MODULE)
    assert f"{MOST_TEXT_CALLS + 1} times" in problem.message


SLOW = [
    "matches($, '^(a+)+$')",
    "extract($, '(a|a)*b') == 'a'",
    "fuzzyMatch($, 'aaaa') > 0.5",
    "some([1..100000000], # > 5)",
    "all([1..100000000], # > 5)",
    "none(['a'], # == $)",
    "one(['a'], # == $)",
    "count([1..100000000], # > 5) > 1",
    "len(map([1..100000000], #)) > 1",
    "len(filter([1..100000000], true)) > 1",
    "len(flatMap([1..9999], [1..9999])) > 1",
    "len(split($, '')) > 1",
    "len(string($)) > 1",
    "sum([1..100000000]) > 1",
    "median([1..100000000]) > 1",
    "rand(100) > 1",
    "date($) > 1",
    "duration($) > 1",
    "d($).add('1d').isValid()",
    "len(keys($)) > 1",
    "$ ^ 1000 > 1",
    "$ ? true : false",
    "$ == `a${$}`",
    "len($ + $ + $) > 1",
    "$[0] == 'a'",
    "$ == (1..100000000)",
    "in [1..100000000] and ($ ?? 1) > 0",
    "not(true)",
    "== {a: 1}",
]


@pytest.mark.parametrize("condition", SLOW)
def test_what_could_take_long_cannot_be_written(condition: str) -> None:
    book = json.loads(RULEBOOK)
    table = next(node for node in book["nodes"] if node["id"] == "velocity")["content"]
    table["inputs"][0]["field"] = "event.browser"
    table["rules"][0]["in0"] = condition
    with pytest.raises(InvalidInput, match=r"row 1, column 'event\.browser'"):
        load(json.dumps(book).encode(), MODULE)


def test_every_function_of_the_engine_is_either_allowed_on_purpose_or_refused() -> None:
    """A version of the engine with a function more changes nothing: what is not named here cannot be called."""
    assert set(FUNCTIONS) == {
        *("abs", "floor", "ceil", "round"),
        *("len", "lower", "upper", "trim", "startsWith", "endsWith", "contains"),
    }


BOMB = {"type": "object", "properties": {"event": {"properties": {"browser": {"pattern": "^(a+)+$"}}}}}


@pytest.mark.parametrize("kind", ["inputNode", "outputNode"])
@pytest.mark.parametrize("schema", [json.dumps(BOMB), BOMB, "{"])
def test_a_schema_whose_patterns_the_engine_would_run_is_refused(kind: str, schema: Any) -> None:
    book = json.loads(RULEBOOK)
    next(node for node in book["nodes"] if node["type"] == kind)["content"] = {"schema": schema}
    with pytest.raises(InvalidInput, match="has a schema"):
        load(json.dumps(book).encode(), MODULE)


@pytest.mark.parametrize("content", [None, {}, {"schema": ""}, {"schema": None}])
def test_an_empty_schema_as_editors_leave_it_is_none(content: Any) -> None:
    book = json.loads(RULEBOOK)
    next(node for node in book["nodes"] if node["type"] == "inputNode")["content"] = content
    assert check(json.dumps(book).encode(), MODULE) == ()


def test_the_engine_gets_nothing_that_was_not_read_here() -> None:
    """Names that other versions have for what is refused, and whatever else a file may hold."""
    book = json.loads(RULEBOOK)
    book["settings"] = {"validation": {"inputSchema": BOMB}}
    for node in book["nodes"]:
        node["position"], node["anything"] = {"x": 1}, [1]
        if node["type"] == "decisionTableNode":
            node["content"] |= {"passThorough": True, "hit_policy": "first", "input_field": "event"}
            for column in node["content"]["inputs"]:
                column["defaultValue"] = "matches($, '^(a+)+$')"
    rulebook = load(json.dumps(book).encode(), MODULE)
    sent = lean(rulebook, {rule.id for rule in rulebook.rules})
    text = msgspec.json.encode(sent).decode()
    for strange in ("passThorough", "settings", "anything", "hit_policy", "input_field", "defaultValue", "matches"):
        assert strange not in text
    answer: Any = zen.ZenEngine({"loader": {"type": "static", "content": {"rules": sent}}})
    found = answer.evaluate("rules", {"event": {}, "signal": {}})["result"]
    assert set(found) == {catch_all.path for catch_all in rulebook.catch_alls}
