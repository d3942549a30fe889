"""Rules hit, miss or could not run; a rulebook that could never work is refused with its place."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.lists import NOTHING_LISTED
from fradect.modules import contract_of, module_of
from fradect.policy import RuleEffects
from fradect.rules import Findings, Rules, load
from fradect.types import HOUR, Action, Vector
from fradect.words import Words
from tests.factories_decision import NOON, RULEBOOK, purchase, vector_of

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = contract_of("ecommerce/standard"), contract_of("ecommerce/handbook")
NAN = float("nan")


def _rules(raw: bytes = RULEBOOK, contract: Contract = STANDARD) -> Rules:
    return Rules(load(raw, MODULE), contract, MODULE, Words(contract, "RUB"))


def _ids(findings: Findings) -> set[str]:
    return {hit.id for hit in findings.hits}


def test_a_quiet_purchase_hits_nothing() -> None:
    event = purchase(ip="192.0.2.1", email_domain="example.org")
    quiet = vector_of(STANDARD, 0.0, amount=150_000.0, account_age=400.0)
    assert _rules().find(event, quiet, NOTHING_LISTED.of(event)) == Findings()


def test_a_hit_says_why_with_the_events_values() -> None:
    findings = _rules().find(purchase(), vector_of(STANDARD, 0.0, device_distinct_card_7d=7.0))
    (hit,) = findings.hits
    assert (hit.id, hit.text) == ("many_cards_on_device", "7 cards on this device in 7 days")
    assert findings.effects == RuleEffects(points=120, floor=Action.REVIEW)


def test_impossible_travel_is_told_in_kilometres() -> None:
    values = {"customer_km_since_last": 1_609.0, "customer_speed": 9_654.0, "account_age": 400.0}
    (hit,) = _rules().find(purchase(), vector_of(STANDARD, 0.0, **values)).hits
    assert hit.text == "1,609 km from where this customer last bought, at 9,654 km/h"


@pytest.mark.parametrize(
    ("rule", "at", "fields", "values"),
    [
        ("customer_burst", NOON, {}, {"customer_count_1h": 6.0}),
        ("customer_busy_day", NOON, {}, {"customer_count_1d": 20.0}),
        ("card_burst", NOON, {}, {"card_count_1h": 8.0}),
        ("device_burst", NOON, {}, {"device_count_1h": 8.0}),
        ("card_testing", NOON, {}, {"device_distinct_card_1h": 3.0}),
        ("many_cards_on_device", NOON, {}, {"device_distinct_card_7d": 7.0}),
        ("many_customers_on_device", NOON, {}, {"device_distinct_customer_1d": 4.0}),
        ("card_to_many_addresses", NOON, {}, {"card_distinct_address_30d": 6.0}),
        ("new_account_high_amount", NOON, {}, {"amount": 3_000_000.0, "account_age": 0.5}),
        ("first_purchase_high_amount", NOON, {}, {"amount": 6_000_000.0, "customer_count_30d": 1.0}),
        ("amount_far_above_mean", NOON, {}, {"amount": 2_000_000.0, "amount_to_customer_mean": 10.0}),
        ("known_fraud", NOON, {}, {"fraud_history": 3.0}),
        ("three_countries", NOON, {}, {"ip_differs_billing": 1.0, "billing_differs_shipping": 1.0}),
        ("foreign_address_high_amount", NOON, {}, {"ip_differs_billing": 1.0, "amount": 5_000_000.0}),
        ("impossible_travel", NOON, {}, {"customer_km_since_last": 101.0, "customer_speed": 1_000.0}),
        ("risky_origin", NOON, {}, {"geolocation_risk_score": 70.0}),
        ("cash_on_delivery_high_amount", NOON, {"payment_method": "cod"}, {"amount": 6_000_000.0}),
        ("night_high_amount", NOON - 9 * HOUR, {}, {"amount": 6_000_000.0}),
        ("amount_extreme", NOON, {}, {"amount": 100_000_000.0}),
    ],
)
def test_each_shipped_rule_hits_at_its_threshold_and_not_below(
    rule: str, at: int, fields: dict[str, Any], values: dict[str, float]
) -> None:
    rules, quiet = _rules(), {"account_age": 400.0, "fraud_history": 0.0, "customer_count_30d": 9.0}
    event = purchase(at=at, **fields)
    assert rule in _ids(rules.find(event, vector_of(STANDARD, 0.0, **quiet | values)))
    less = {name: value * 0.8 for name, value in values.items() if name != "account_age"}
    assert rule not in _ids(rules.find(event, vector_of(STANDARD, 0.0, **quiet | less)))


def test_a_rule_without_its_value_could_not_run_and_is_never_a_hit() -> None:
    findings = _rules().find(purchase(), vector_of(STANDARD, card_count_1h=NAN, account_age=NAN, amount=9_000_000.0))
    assert {"card_burst", "new_account_high_amount"} <= set(findings.could_not_run)
    assert not {"card_burst", "new_account_high_amount"} & _ids(findings)


def test_with_no_values_at_all_nothing_hits_and_the_essential_rule_asks_for_review() -> None:
    findings = _rules().find(purchase(payment_method=None), vector_of(STANDARD, NAN))
    assert not findings.hits
    assert len(findings.could_not_run) == len(load(RULEBOOK, MODULE).rules)
    assert findings.effects.floor is Action.REVIEW
    assert not findings.broken


def test_rules_over_features_that_the_contract_lacks_do_not_apply() -> None:
    rules = _rules(contract=HANDBOOK)
    assert {"card_testing", "known_fraud"} <= set(rules.not_applicable)
    assert "amount_extreme" not in rules.not_applicable
    findings = rules.find(purchase(), vector_of(HANDBOOK, 0.0, amount=100_000_000.0, customer_count_30d=1.0))
    assert {"amount_extreme", "first_purchase_high_amount"} <= _ids(findings)
    assert not [rule for rule in findings.could_not_run if not rule.startswith(("denied", "allowed"))]


def test_amounts_are_major_units_in_rules_and_in_their_words() -> None:
    findings = _rules().find(purchase(), vector_of(STANDARD, 0.0, amount=100_000_000.0, account_age=400.0))
    texts = [hit.text for hit in findings.hits if hit.id == "amount_extreme"]
    assert texts == ["1,000,000.00 RUB in one purchase"]


@given(
    st.lists(st.one_of(st.floats(), st.just(NAN)), min_size=len(STANDARD.names), max_size=len(STANDARD.names)),
    st.dictionaries(
        st.sampled_from(["payment_method", "channel", "customer_id"]),
        st.one_of(st.none(), st.text(), st.integers(), st.booleans()),
    ),
)
def test_every_input_has_an_answer(values: list[float], fields: dict[str, Any]) -> None:
    findings = _SHARED.find(purchase(**fields), Vector(STANDARD.names, tuple(values)))
    assert not {hit.id for hit in findings.hits} & set(findings.could_not_run)
    assert findings.effects.points >= 0


_SHARED = _rules()


def _changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    book = json.loads(RULEBOOK)
    change(book)
    return json.dumps(book).encode()


def _table(book: dict[str, Any], name: str = "velocity") -> dict[str, Any]:
    content: dict[str, Any] = next(node for node in book["nodes"] if node["id"] == name)["content"]
    return content


def _cell(row: int, column: str, text: str) -> Callable[[dict[str, Any]], None]:
    return lambda book: _table(book)["rules"][row].__setitem__(column, text)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            _cell(0, "in0", ">= >= 6"),
            r"'Velocity', row 1, column 'customer_count_1h': '>= >= 6': a value is missing before '>='",
        ),
        (_cell(0, "in0", ">= no_such_thing"), "'no_such_thing' is unknown"),
        (_cell(0, "in0", ""), "row 1: has no condition"),
        (_cell(0, "points", "80 +"), "row 1, column 'points': '80 \\+' is no constant"),
        (_cell(0, "points", "-5"), "column 'points': give a whole number"),
        (_cell(0, "points", "1.5"), "column 'points'"),
        (_cell(0, "floor", "'APPROVE'"), "column 'floor'"),
        (_cell(0, "if_missing", "'SOMETIMES'"), "column 'if_missing'"),
        (_cell(0, "allow", "3"), "column 'allow'"),
        (_cell(0, "id", "'Two Words'"), "column 'id'"),
        (_cell(0, "id", "'card_burst'"), "'card_burst' stands there twice"),
        (_cell(0, "text", "'{amount} spent'"), r"\{amount\} is not among the row's conditions"),
        (_cell(-1, "if_missing", ""), "row 8: the last row must be a catch-all"),
        (_cell(-1, "floor", "'REVIEW'"), "catch-all"),
        (lambda book: _table(book)["rules"].pop(), "catch-all"),
        (lambda book: _table(book).update(rules=[]), "has no rows"),
        (lambda book: _table(book).update(hitPolicy="first"), "hit policy"),
        (lambda book: _table(book).update(outputPath=None), "output path"),
        (lambda book: _table(book)["outputs"].pop(), "output columns must be"),
        (lambda book: _table(book)["inputs"][0].update(field=None), "names no field"),
        (lambda book: _table(book)["inputs"][0].update(field="payment_method"), "'payment_method' is unknown"),
        (lambda book: book["edges"].pop(0), "'Velocity': is not connected"),
        (lambda book: book["nodes"].append({"id": "f", "type": "functionNode", "name": "f"}), "functionNode"),
        (lambda book: book.update(nodes=5), "not a GoRules decision"),
    ],
)
def test_a_rulebook_that_cannot_work_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], None], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        load(_changed(change), MODULE)


def test_broken_bytes_are_refused() -> None:
    for raw in (b"", b"\xff", b"[" * 100_000):
        with pytest.raises(InvalidInput, match="not a GoRules decision"):
            load(raw, MODULE)


def test_a_value_that_another_cell_mentions_is_needed_too() -> None:
    book = load(_changed(_cell(0, "in0", "> customer_count_7d and $ > 2")), MODULE)
    rule = next(rule for rule in book.rules if rule.id == "customer_burst")
    assert rule.needs == {"customer_count_1h", "customer_count_7d"}


def test_a_table_that_gives_no_answer_asks_for_what_its_catch_all_says() -> None:
    book = load(RULEBOOK, MODULE)
    silent = json.loads(json.dumps(book.jdm))
    _table(silent)["rules"] = []
    broken = Rules(type(book)(silent, book.rules, book.catch_alls), STANDARD, MODULE, Words(STANDARD, "RUB"))
    findings = broken.find(purchase(), vector_of(STANDARD, customer_count_1h=50.0))
    assert findings.broken == ("Velocity",)
    assert findings.effects.floor is Action.REVIEW


def test_an_engine_that_fails_is_an_answer_too() -> None:
    book = load(RULEBOOK, MODULE)
    broken = Rules(type(book)({"nodes": [], "edges": []}, book.rules, book.catch_alls), STANDARD, MODULE, _WORDS)
    findings = broken.find(purchase(), vector_of(STANDARD))
    assert findings.broken == tuple(catch_all.table for catch_all in book.catch_alls)
    assert findings.effects.floor is Action.REVIEW


_WORDS = Words(STANDARD, "RUB")


def test_an_allowance_is_carried_to_the_effects() -> None:
    findings = _rules(_changed(_cell(0, "allow", "true"))).find(purchase(), vector_of(STANDARD, customer_count_1h=9.0))
    assert findings.effects.allow
