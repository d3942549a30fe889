"""Examples beside a rulebook: the shipped ones hold, and one that does not is told."""

import json
from pathlib import Path

import pytest

from fradect.errors import InvalidInput
from fradect.modules import MODULES, module_of
from fradect.rulebook.examples import Example, Examples, read_examples, try_examples
from fradect.settings import PROJECT
from tests.factories_decision import RULEBOOK

MODULE = module_of("ecommerce")
SHIPPED = read_examples((PROJECT / "rulebooks" / "ecommerce.examples.yaml").read_bytes())


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_shipped_examples_find_what_they_say_and_try_every_rule(module: object) -> None:
    path = PROJECT / "rulebooks" / module.rulebook  # type: ignore[attr-defined]
    examples = read_examples(Path(path).with_name(f"{path.stem}.examples.yaml").read_bytes())
    tried = try_examples(path.read_bytes(), examples, module)  # type: ignore[arg-type]
    assert not tried.failed
    assert [rule.rule for rule in tried.coverage if not rule.enough] == []
    assert tried.passed


def test_at_least_twenty_rules_ship_and_every_table_has_an_example_of_what_could_not_run() -> None:
    tried = try_examples(RULEBOOK, SHIPPED, MODULE)
    assert len(tried.coverage) >= 20
    book = json.loads(RULEBOOK)
    unable = {rule.rule for rule in tried.coverage if rule.could_not_run}
    for node in book["nodes"]:
        if node["type"] == "decisionTableNode":
            assert {row["id"].strip("'") for row in node["content"]["rules"]} & unable, node["name"]


def _one(**example: object) -> Examples:
    return Examples(SHIPPED.contract, SHIPPED.currency, SHIPPED.usual, (Example("one", **example),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("example", "line"),
    [
        ({"given": {"customer_count_1h": 6.0}}, "one: hits: customer_burst"),
        ({"hits": ("customer_burst",)}, "one: hits: without customer_burst"),
        ({"given": {"card_count_1h": None}}, "one: could not run: card_burst"),
        ({"floor": "REVIEW"}, "one: floor is APPROVE, not REVIEW"),
        ({"points": 80}, "one: points is 0, not 80"),
        ({"allow": True}, "one: allow is False, not True"),
    ],
)
def test_an_example_that_finds_something_else_is_told(example: dict[str, object], line: str) -> None:
    tried = try_examples(RULEBOOK, _one(**example), MODULE)
    assert line in tried.failed
    assert not tried.passed


def test_rules_that_no_example_hits_fail_too() -> None:
    tried = try_examples(RULEBOOK, _one(), MODULE)
    assert not tried.failed
    assert not tried.passed


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"no_such_thing": 1.0}, "'no_such_thing' is unknown"),
        ({"event.hour": 25.0}, "whole number from 0 to 23"),
        ({"customer_count_1h": 0.5}, "whole number, 1 or more"),
        ({"event.payment_method": "cash"}, "one of 'card'"),
        ({"signal.deny_ip": 1.0}, "true or false"),
        ({"amount": "much"}, "a number"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        try_examples(RULEBOOK, _one(given=given), MODULE)


@pytest.mark.parametrize("raw", [b"", b"[", b"a: 1", b"contract: x\ncurrency: RUB\nusual: {}\nexamples: 5"])
def test_a_file_that_holds_no_examples_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="examples"):
        read_examples(raw)
