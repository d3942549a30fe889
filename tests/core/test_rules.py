"""Rules hit, miss or could not run; a rulebook that could never work is refused with its place."""

import json
import time
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
from fradect.rulebook.document import MOST_COLUMNS, MOST_CONDITIONS, MOST_ROWS
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
    broken = Rules(
        type(book)(silent, book.rules, book.catch_alls, book.conditions), STANDARD, MODULE, Words(STANDARD, "RUB")
    )
    findings = broken.find(purchase(), vector_of(STANDARD, customer_count_1h=50.0))
    assert findings.broken == ("Velocity",)
    assert findings.effects.floor is Action.REVIEW


def test_an_engine_that_fails_is_an_answer_too() -> None:
    book = load(RULEBOOK, MODULE)
    broken = Rules(
        type(book)({"nodes": [], "edges": []}, book.rules, book.catch_alls, book.conditions), STANDARD, MODULE, _WORDS
    )
    findings = broken.find(purchase(), vector_of(STANDARD))
    assert findings.broken == tuple(catch_all.table for catch_all in book.catch_alls)
    assert findings.effects.floor is Action.REVIEW


_WORDS = Words(STANDARD, "RUB")


def test_an_allowance_is_carried_to_the_effects() -> None:
    findings = _rules(_changed(_cell(0, "allow", "true"))).find(purchase(), vector_of(STANDARD, customer_count_1h=9.0))
    assert findings.effects.allow


def test_hits_are_told_in_the_order_of_their_priority() -> None:
    values = {"device_distinct_card_1h": 3.0, "customer_count_1h": 6.0, "account_age": 400.0}
    event = purchase()
    hits = _rules().find(event, vector_of(STANDARD, 0.0, **values), {"deny_card": True, "allow_customer": True}).hits
    assert [hit.id for hit in hits] == ["denied_card", "allowed_customer", "card_testing", "customer_burst"]


def test_without_a_priority_the_order_is_the_rulebooks() -> None:
    values = {"customer_count_1h": 6.0, "card_count_1h": 8.0, "account_age": 400.0}
    hits = _rules().find(purchase(), vector_of(STANDARD, 0.0, **values)).hits
    assert [hit.id for hit in hits] == ["customer_burst", "card_burst"]
    turned = _rules(_changed(_cell(2, "priority", "1"))).find(purchase(), vector_of(STANDARD, 0.0, **values)).hits
    assert [hit.id for hit in turned] == ["card_burst", "customer_burst"]


def test_a_rulebook_without_the_priority_column_loads_as_before() -> None:
    def drop(book: dict[str, Any]) -> None:
        for node in book["nodes"]:
            if node["type"] == "decisionTableNode":
                node["content"]["outputs"] = [c for c in node["content"]["outputs"] if c["field"] != "priority"]
                for row in node["content"]["rules"]:
                    row.pop("priority")

    assert {rule.priority for rule in load(_changed(drop), MODULE).rules} == {0}


@pytest.mark.parametrize("signal", [True, False, None, 1, "true"])
def test_a_signal_that_is_no_flag_is_unknown(signal: Any) -> None:
    signals = {} if signal is None else {"deny_device": signal}
    findings = _SHARED.find(purchase(), vector_of(STANDARD, 0.0, account_age=400.0), signals)
    assert ("denied_device" in _ids(findings)) is (signal is True)
    assert ("denied_device" in findings.could_not_run) is (not isinstance(signal, bool))


@pytest.mark.parametrize("value", [NAN, float("inf"), float("-inf"), 1e300, -1e300, 1e17])
def test_a_number_that_is_none_or_beyond_all_bounds_is_missing_and_the_tables_still_run(value: float) -> None:
    findings = _SHARED.find(purchase(), vector_of(STANDARD, 0.0, amount=value, account_age=400.0))
    assert "amount_extreme" in findings.could_not_run
    assert findings.effects.floor is Action.REVIEW
    assert not findings.broken


@pytest.mark.parametrize("value", [5, True, NAN, b"cod", ["cod"], {"a": 1}, "c" * 2_000, "\ud800", "", None])
def test_a_field_of_another_type_never_reaches_the_engine(value: Any) -> None:
    findings = _SHARED.find(purchase(payment_method=value), vector_of(STANDARD, 0.0, account_age=400.0))
    assert "cash_on_delivery_high_amount" not in _ids(findings)
    assert ("cash_on_delivery_high_amount" in findings.could_not_run) is (value != "")
    assert not findings.broken


def test_text_of_any_alphabet_is_compared_as_it_is() -> None:
    def by_customer(book: dict[str, Any]) -> None:
        _table(book)["inputs"][0]["field"] = "event.customer_id"
        _table(book)["rules"][0].update(in0="in ['Ωмега🙂', 'z']", text="''")

    rules = _rules(_changed(by_customer))
    for name, hit in {"Ωмега🙂": True, "омега": False, "z": True}.items():
        found = _ids(rules.find(purchase(customer_id=name), vector_of(STANDARD, 0.0, account_age=400.0)))
        assert ("customer_burst" in found) is hit


def _largest() -> bytes:
    """As many rows and columns as are allowed, nearly every cell as long as it may be."""
    book = json.loads(RULEBOOK)
    table, fields = _table(book), [f.name for f in STANDARD if not f.categories][:MOST_COLUMNS]
    book["nodes"] = [n for n in book["nodes"] if n["type"] != "decisionTableNode" or n["id"] == "velocity"]
    there = {node["id"] for node in book["nodes"]}
    book["edges"] = [e for e in book["edges"] if {e["sourceId"], e["targetId"]} <= there]
    table["inputs"] = [{"id": f"in{i}", "name": name, "field": name} for i, name in enumerate(fields)]
    empty = dict.fromkeys((c["id"] for c in (*table["inputs"], *table["outputs"])), "")
    rows = []
    for n in range(MOST_ROWS - 1):
        some = [table["inputs"][(n + i) % MOST_COLUMNS] for i in range(MOST_CONDITIONS // MOST_ROWS)]
        cells = {c["id"]: f">= 0.000{n} and < {n} + abs($) + " + "1 + " * 17 + "1" for c in some}
        rows.append({**empty, **cells, "id": f"'r{n}'", "points": "1"})
    table["rules"] = [*rows, {**empty, "id": "'all'", "if_missing": "'REVIEW'"}]
    return json.dumps(book).encode()


def test_the_largest_rulebook_that_is_allowed_keeps_within_50_ms() -> None:
    rules = _rules(_largest())
    everywhere, spent = vector_of(STANDARD, 0.5), []
    for _ in range(5):
        start = time.process_time()
        findings = rules.find(purchase(), everywhere)
        spent.append(time.process_time() - start)
        assert len(findings.hits) == MOST_ROWS - 1
    assert min(spent) < 0.05
