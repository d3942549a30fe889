"""Money: exact to the minor unit, refused rather than rounded, and the fast paths agree with the law."""

from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.faults import Fault, Reason
from fradect.money import (
    EXPONENTS,
    MAX_MINOR,
    Rates,
    base_of_minors,
    decimal_of,
    exponent_of,
    minor_of_floats,
    minor_of_scaled,
    to_base,
    to_minor,
)
from fradect.types import DAY

MINORS = st.integers(0, MAX_MINOR)
EXPONENT = st.sampled_from(sorted(set(EXPONENTS.values())))


def from_minor(minor: int, exponent: int) -> Decimal:
    return Decimal(minor).scaleb(-exponent)


def reason_of(amount: object, exponent: int = 2) -> Reason:
    with pytest.raises(Fault) as caught:
        to_minor(amount, exponent)  # type: ignore[arg-type]
    return caught.value.reason


@given(MINORS, EXPONENT)
def test_a_decimal_there_and_back_is_the_same(minor: int, exponent: int) -> None:
    amount = from_minor(minor, exponent)
    assert to_minor(amount, exponent) == minor
    assert to_minor(str(amount), exponent) == minor
    assert amount * 10**exponent == minor


@given(MINORS, EXPONENT)
def test_the_float_nearest_to_an_amount_is_that_amount(minor: int, exponent: int) -> None:
    amount = float(from_minor(minor, exponent))
    assert to_minor(amount, exponent) == minor


@given(MINORS, st.integers(0, 2), st.integers(1, 9))
def test_decimals_beyond_the_exponent_are_refused_not_rounded(minor: int, exponent: int, digit: int) -> None:
    amount = from_minor(minor * 10 + digit, exponent + 1)
    assert reason_of(amount, exponent) is Reason.DECIMALS


@given(MINORS, st.integers(0, 70), st.integers(-6, 25), EXPONENT)
def test_an_amount_is_exact_or_refused_however_it_is_written(number: int, zeros: int, tail: int, exponent: int) -> None:
    digits = f"{number}{'0' * zeros}"
    amount, exact = Decimal(f"{digits}e{tail - zeros}"), Fraction(number) * Fraction(10) ** (tail + exponent)
    if exact.denominator == 1 and exact <= MAX_MINOR and len(amount.as_tuple().digits) <= 60:
        assert to_minor(amount, exponent) == exact
    else:
        assert reason_of(amount, exponent) in {Reason.DECIMALS, Reason.TOO_LARGE}


@pytest.mark.parametrize("zero", ["0e999999999999", "0e-999999999999", "0.000"])
def test_nothing_is_nothing_whatever_its_exponent(zero: str) -> None:
    assert to_minor(Decimal(zero), 2) == 0


@given(st.lists(st.floats(0, 1e13), min_size=1), EXPONENT)
def test_where_floats_are_sure_the_law_says_the_same(amounts: list[float], exponent: int) -> None:
    minor, sure = minor_of_floats(np.array(amounts), np.full(len(amounts), exponent), 15)
    for amount, ours in zip(np.array(amounts)[sure].tolist(), minor[sure].tolist(), strict=True):
        assert to_minor(amount, exponent) == ours


@given(st.lists(MINORS, min_size=1), EXPONENT)
def test_float_columns_of_amounts_are_sure_throughout(minors: list[int], exponent: int) -> None:
    amounts = np.array([float(from_minor(minor, exponent)) for minor in minors])
    ours, sure = minor_of_floats(amounts, np.full(len(minors), exponent), 15)
    assert sure.all()
    assert ours.tolist() == minors


@given(st.lists(st.integers(0, 999_999), min_size=1))
def test_single_precision_keeps_six_digits(minors: list[int]) -> None:
    amounts = np.array([minor / 100 for minor in minors], np.float32)
    ours, sure = minor_of_floats(amounts, np.full(len(minors), 2), 6)
    assert sure.all()
    assert ours.tolist() == minors


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.integers(0, 6), EXPONENT)
def test_where_scaled_integers_are_sure_the_law_says_the_same(values: list[int], scale: int, exponent: int) -> None:
    minor, sure = minor_of_scaled(np.array(values, np.int64), scale, np.full(len(values), exponent))
    for value, ours, is_sure in zip(values, minor.tolist(), sure.tolist(), strict=True):
        try:
            expected = to_minor(Decimal(value).scaleb(-scale), exponent)
        except Fault:
            assert not is_sure
        else:
            assert is_sure
            assert ours == expected


def test_the_dust_of_float_arithmetic_is_no_decimal() -> None:
    assert to_minor(17.13 * 5, 2) == 8565
    assert to_minor(0.1 + 0.2, 2) == 30
    assert reason_of(57.165) is Reason.DECIMALS


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (Decimal("-0.01"), Reason.NEGATIVE),
        (-5, Reason.NEGATIVE),
        (float("nan"), Reason.NOT_FINITE),
        (float("inf"), Reason.NOT_FINITE),
        ("NaN", Reason.NOT_FINITE),
        ("-Infinity", Reason.NOT_FINITE),
        (Decimal("sNaN"), Reason.NOT_FINITE),
        ("twelve", Reason.NUMBER),
        ("1,234.50", Reason.NUMBER),
        ("0x10", Reason.NUMBER),
        ("١٢", Reason.NUMBER),
        (True, Reason.NUMBER),
        (10**16, Reason.TOO_LARGE),
        (Decimal("1e400"), Reason.TOO_LARGE),
        (1e300, Reason.TOO_LARGE),
        ("0." + "0" * 5000 + "1", Reason.DECIMALS),
        ("1." + "0" * 5000, Reason.DECIMALS),
        (Decimal("1e-9999"), Reason.DECIMALS),
    ],
)
def test_what_is_no_amount_is_refused_with_its_reason(amount: object, reason: Reason) -> None:
    assert reason_of(amount) is reason


@pytest.mark.parametrize(("text", "minor"), [("57.16", 5716), (" 1e3 ", 100_000), ("-0", 0), ("5.", 500), (".5", 50)])
def test_plain_numbers_are_read(text: str, minor: int) -> None:
    assert to_minor(text, 2) == minor


def test_currencies_have_the_decimals_of_iso_4217() -> None:
    assert {code: exponent_of(code) for code in ("JPY", "RUB", "EUR", "KWD", "CLF")} == {
        "JPY": 0,
        "RUB": 2,
        "EUR": 2,
        "KWD": 3,
        "CLF": 4,
    }
    assert len(EXPONENTS) > 150
    with pytest.raises(Fault, match="unknown currency"):
        exponent_of("XXX")  # ISO 4217 keeps it for "no currency"


def test_the_largest_amount_is_exact_in_a_float_too() -> None:
    assert int(float(MAX_MINOR)) == MAX_MINOR
    assert to_minor(MAX_MINOR, 0) == MAX_MINOR
    assert reason_of(MAX_MINOR + 1, 0) is Reason.TOO_LARGE


@given(MINORS, st.decimals("0.000001", "1000000", places=6), EXPONENT, EXPONENT)
def test_conversion_is_the_nearest_whole_number_and_the_fast_path_agrees(
    minor: int, rate: Decimal, exponent: int, base_exponent: int
) -> None:
    many, sure = base_of_minors(np.array([minor], np.int64), rate, exponent, base_exponent)
    top, bottom = rate.as_integer_ratio()
    exact = (minor * top * 10**base_exponent, bottom * 10**exponent)
    if not sure[0]:
        with pytest.raises(Fault) if 2 * exact[0] > (2 * MAX_MINOR + 1) * exact[1] else nullcontext():
            to_base(minor, rate, exponent, base_exponent)
        return
    base = to_base(minor, rate, exponent, base_exponent)
    assert abs(base * exact[1] - exact[0]) * 2 <= exact[1]
    assert many[0] == base


def test_a_half_goes_to_the_even_neighbour() -> None:
    assert [to_base(minor, Decimal("0.5"), 2, 2) for minor in (1, 2, 3, 5)] == [0, 1, 2, 2]
    many, sure = base_of_minors(np.array([1, 2, 3, 5]), Decimal("0.5"), 2, 2)
    assert sure.all()
    assert many.tolist() == [0, 1, 2, 2]


def test_a_rate_holds_from_its_day_on() -> None:
    rates = Rates.of([(date(1970, 1, 3), Decimal(2)), (date(1970, 1, 2), Decimal(1))])
    assert rates.starts.tolist() == [DAY, 2 * DAY]
    assert rates.values == (Decimal(1), Decimal(2))


def test_integers_and_decimals_mean_themselves() -> None:
    assert decimal_of(7) == 7
    assert decimal_of(Decimal("1.10")) == Decimal("1.1")
