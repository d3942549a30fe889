"""The language of conditions: read as the engine reads it, and judged before anything runs."""

from decimal import Decimal
from typing import Any

import pytest
import zen
from hypothesis import given
from hypothesis import strategies as st

from fradect.modules import module_of
from fradect.rulebook import vocabulary
from fradect.rulebook.conditions import Cell, names, parse
from fradect.rulebook.meaning import FUNCTIONS, can_hold, check, holds, must_hold
from fradect.rulebook.vocabulary import Domain, Sort

MODULE = module_of("ecommerce")
KNOWN = vocabulary(MODULE, *MODULE.contracts).known
NUMBER = Domain(Sort.NUMBER)
WHOLE = Domain(Sort.NUMBER, Decimal(0), None, whole=True)
HOURS = KNOWN["event.hour"]
PAYMENT = KNOWN["event.payment_method"]

values = st.integers(-6, 6).map(lambda n: n / 2)
numbers = values.map(lambda n: f"{n:g}")
comparisons = st.builds(lambda sign, n: f"{sign} {n}", st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numbers)
ranges = st.builds(
    lambda opened, low, high, closed: f"{opened}{low}..{high}{closed}",
    st.sampled_from(["[", "(", "in [", "not in (", "in ("]),
    numbers,
    numbers,
    st.sampled_from(["]", ")"]),
)
lists = st.builds(
    lambda word, some: f"{word} [{', '.join(some)}]",
    st.sampled_from(["in", "not in"]),
    st.lists(numbers, min_size=1, max_size=4),
)
sums = st.builds(lambda sign, a, b: f"$ {sign} {a} < {b}", st.sampled_from(["+", "-"]), numbers, numbers)
tests = st.one_of(comparisons, ranges, lists, numbers)
joins = st.sampled_from([" and ", " or ", ", "])
cells = st.builds(lambda join, some: join.join(some), joins, st.lists(tests, min_size=1, max_size=3))


def _parse(text: str) -> Cell:
    return parse(text, FUNCTIONS)


@given(cells, values)
def test_a_condition_holds_here_exactly_when_it_does_in_the_engine(text: str, value: float) -> None:
    assert holds(_parse(text), Decimal(str(value))) == zen.evaluate_unary_expression(text, {"$": value})


@given(cells)
def test_what_is_said_to_hold_never_or_always_does_so_for_every_value(text: str) -> None:
    cell, tried = _parse(text), [n / 4 for n in range(-30, 31)]
    found = [zen.evaluate_unary_expression(text, {"$": value}) for value in tried]
    assert can_hold(cell, NUMBER) or not any(found)
    assert not must_hold(cell, NUMBER) or all(found)
    whole = [hit for value, hit in zip(tried, found, strict=True) if value >= 0 and value == int(value)]
    assert can_hold(cell, WHOLE) == any(whole)


@given(sums, values)
def test_of_sums_nothing_is_claimed(text: str, value: float) -> None:
    assert holds(_parse(text), Decimal(str(value))) is None


@given(st.text(max_size=60) | st.text(alphabet="$<>=!()[],.0123456789'andornit #?:^%*/+- ", max_size=60))
def test_any_text_is_a_condition_or_a_told_mistake(text: str) -> None:
    try:
        cell = _parse(text)
        check(cell, "amount", {**KNOWN, **dict.fromkeys(names(cell), NUMBER)})
    except ValueError:
        return
    zen.compile_unary_expression(text)  # what is a condition here is one there


@pytest.mark.parametrize(
    ("text", "domain", "can"),
    [
        ("> 23", HOURS, False),
        ("[22..23]", HOURS, True),
        ("(22..23)", HOURS, False),
        ("'card', 'cod'", PAYMENT, True),
        ("!= 'card' and != 'wallet' and != 'transfer' and != 'cod'", PAYMENT, False),
        ("== 'x' and == 'y'", Domain(Sort.TEXT), False),
        ("!= 'x'", Domain(Sort.TEXT), True),
        ("true and false", Domain(Sort.FLAG), False),
        ("true", Domain(Sort.FLAG), True),
        ("> 0.5 and < 0.6", Domain(Sort.NUMBER, Decimal(0), Decimal(1)), True),
        ("> customer_count_7d and < 0", WHOLE, False),
        ("> customer_count_7d or < 0", WHOLE, True),
    ],
)
def test_what_can_hold(text: str, domain: Domain, can: bool) -> None:
    assert can_hold(_parse(text), domain) is can


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("startsWith(amount, 'a')", "event.customer_id", "startsWith takes text and text"),
        ("len($) > 3 and contains($, 'x')", "event.customer_id", ""),
        ("lower($)", "event.customer_id", "lower gives text"),
        ("'a' + 'b'", "event.customer_id", "takes numbers"),
        ("((((((((((1))))))))))", "amount", "brackets"),
        ("abs($ - customer_amount_mean_30d_before) > 1000", "amount", ""),
        ("$ % 2 == 1", "customer_count_1h", ""),
        ("> account_age % 0.0000001", "amount", "not 0"),
    ],
)
def test_types_and_dangers(text: str, column: str, words: str) -> None:
    def judge() -> None:
        check(_parse(text), column, KNOWN)

    if words:
        with pytest.raises(ValueError, match=words):
            judge()
    else:
        judge()


@pytest.mark.parametrize("cell", ["$ * 1000000 * 1000000 > 1", "$ + $ + $ + $ > 1", "$ / 0.000001 / 0.000001 > 1"])
def test_no_value_that_is_let_in_outgrows_the_engine(cell: str) -> None:
    check(_parse(cell), "amount", KNOWN)
    answers: list[Any] = [zen.evaluate_unary_expression(cell, {"$": value}) for value in (9.99e15, 1e-15, 0)]
    assert answers[0] is True
