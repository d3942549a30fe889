"""Whole columns obey the law of single values, whatever type the source wrote them in."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.events import Notation, clean_country, clean_label, clean_number, clean_text, ip_of_number
from fradect.faults import Fault, Reason
from fradect.intake.columns import (
    ORDINARY,
    REASONS,
    Column,
    amounts,
    clean_texts,
    ips,
    judged,
    labels,
    missing,
    numbers,
    texts,
)
from fradect.money import to_minor

NUMBERISH = st.one_of(
    st.decimals(-1000, 10**12, places=3).map(str),
    st.floats().map(str),
    st.integers(-5, 10**20).map(str),
    st.text("0123456789.-e ", max_size=12),
)


def by_law(law: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    """What the law says of each value: the answer, or the reason."""
    said: list[Any] = []
    for value in values:
        try:
            answer = None if value is None or (isinstance(value, str) and not value.strip(" ")) else law(value)
        except Fault as fault:
            answer = fault.reason
        said.append(None if answer == "" else answer)
    return said


def said(column: Column) -> list[Any]:
    values = column.values.to_pylist()
    assert all(value is None for value, code in zip(values, column.faults, strict=True) if code)
    return [REASONS[code - 1] if code else value for value, code in zip(values, column.faults, strict=True)]


def cents(n: int) -> Any:
    return np.full(n, 2, np.int64)


@given(st.lists(NUMBERISH | st.none()))
def test_amounts_in_text(values: list[str | None]) -> None:
    raw = pa.array(values, pa.string())
    assert said(amounts(raw, cents(len(values)), ORDINARY)) == by_law(lambda text: to_minor(text, 2), values)


@given(st.lists(st.floats() | st.decimals(0, 10**9, places=2).map(float) | st.none()))
def test_amounts_in_floats(values: list[float | None]) -> None:
    raw = pa.array(values, pa.float64())
    assert said(amounts(raw, cents(len(values)), ORDINARY)) == by_law(lambda value: to_minor(value, 2), values)


@given(st.lists(st.decimals(-10, 10**12, places=3) | st.none()))
def test_amounts_in_decimals(values: list[Decimal | None]) -> None:
    raw = pa.array(values, pa.decimal128(20, 3))
    assert said(amounts(raw, cents(len(values)), ORDINARY)) == by_law(lambda value: to_minor(value, 2), values)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()))
def test_amounts_in_integers(values: list[int | None]) -> None:
    raw = pa.array(values, pa.int64())
    assert said(amounts(raw, cents(len(values)), ORDINARY)) == by_law(lambda value: to_minor(value, 2), values)


def test_amounts_of_each_rows_own_currency() -> None:
    exponents = np.array([0, 2, 3])
    assert said(amounts(pa.array([5.0, 5.0, 5.0]), exponents, ORDINARY)) == [5, 500, 5000]
    assert said(amounts(pa.array(["5.5", "5.5", "5.5"]), exponents, ORDINARY)) == [Reason.DECIMALS, 550, 5500]


def test_amounts_in_other_types() -> None:
    single = pa.array([57.16, 12345.67, None], pa.float32())
    assert said(amounts(single, cents(3), ORDINARY)) == [5716, 1_234_567, None]
    assert said(amounts(pa.array([2**63], pa.uint64()), cents(1), ORDINARY)) == [Reason.TOO_LARGE]
    assert said(amounts(pa.array(["1.5", "1.5"]).dictionary_encode(), cents(2), ORDINARY)) == [150, 150]
    sliced = pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("3.00")]).slice(1)
    assert said(amounts(sliced, cents(2), ORDINARY)) == [200, 300]
    wide = pa.array([Decimal("1.00"), Decimal("9" * 50)], pa.decimal256(60, 2))
    assert said(amounts(wide, cents(2), ORDINARY)) == [100, Reason.TOO_LARGE]


def test_the_decimal_comma() -> None:
    comma = Notation(decimal=",")
    assert said(amounts(pa.array(["57,16"]), cents(1), comma)) == [5716]
    assert said(numbers(pa.array(["2,5"]), comma)) == [2.5]


@given(st.lists(st.text(max_size=30) | st.text("0123456789 -4", min_size=10, max_size=25) | st.none()))
def test_free_text(values: list[str | None]) -> None:
    values = [None if value is None else value.encode("utf-8", "replace").decode() for value in values]
    column = clean_texts(texts(pa.array(values, pa.string())), clean_text)
    assert said(column) == by_law(clean_text, values)


@given(st.lists(st.binary(max_size=8)))
def test_bytes_that_are_no_text_are_faults_and_the_others_stay(values: list[bytes]) -> None:
    column = clean_texts(texts(pa.array(values, pa.binary())), clean_text)
    for value, answer in zip(values, said(column), strict=True):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            assert answer is Reason.ENCODING
        else:
            assert [answer] == by_law(clean_text, [text])


def test_ids_of_any_type_are_text() -> None:
    assert said(texts(pa.array([7, None], pa.int16()))) == ["7", None]
    assert said(texts(pa.array([7.0, float("nan"), None]))) == ["7", None, None]
    assert said(texts(pa.array([7.5, 8.0]))) == ["7.5", "8"]
    assert said(texts(pa.array(["a", "b"]).dictionary_encode())) == ["a", "b"]
    assert said(texts(pa.array(["a", "b"], pa.large_string()))) == ["a", "b"]
    assert said(texts(pa.array([True, False]))) == ["true", "false"]
    assert said(texts(pa.array([Decimal("12"), Decimal("13")]))) == ["12", "13"]


def test_blank_means_missing_and_so_does_what_the_mapping_says() -> None:
    column = texts(pa.array(["", "  ", "NA", "x"]), Notation(nulls=("NA",)))
    assert said(column) == [None, None, None, "x"]
    assert missing(column).tolist() == [True, True, True, False]


@given(st.lists(st.sampled_from(["de", "DE ", "Germany", "", "XX", "fr"]) | st.none()))
def test_closed_vocabularies(values: list[str | None]) -> None:
    column = judged(texts(pa.array(values, pa.string())), clean_country, pa.string())
    assert said(column) == by_law(lambda text: clean_country(text.strip()), values)


@given(st.lists(NUMBERISH | st.none()))
def test_numbers_in_text(values: list[str | None]) -> None:
    answers = said(numbers(pa.array(values, pa.string()), ORDINARY))
    assert answers == by_law(clean_number, values)


def test_numbers_in_numbers() -> None:
    assert said(numbers(pa.array([1, None]), ORDINARY)) == [1.0, None]
    raw = pa.array([1.5, float("nan"), float("-inf")])
    column = numbers(raw, ORDINARY)
    assert column.values.to_pylist()[:2] == [1.5, None]
    assert [REASONS[code - 1] for code in column.faults if code] == [Reason.NOT_FINITE]


@given(st.lists(st.one_of(st.ip_addresses().map(str), st.sampled_from(["1.2.3", "01.2.3.4", "::FFFF", ""]))))
def test_addresses(values: list[str]) -> None:
    answers = said(ips(pa.array(values, pa.string()), ORDINARY, False))
    for value, answer in zip(values, answers, strict=True):
        good = value not in ("1.2.3", "01.2.3.4", "")
        assert answer == (value.lower() if good else None if value == "" else Reason.IP)


@given(st.lists(st.floats(-10, 2**33) | st.none()))
def test_addresses_as_numbers(values: list[float | None]) -> None:
    raw = pa.array([None if value is None else f"{value:.3f}" for value in values], pa.string())
    assert said(ips(raw, ORDINARY, True)) == by_law(ip_of_number, raw.to_pylist())


@pytest.mark.parametrize(
    "raw", [pa.array([1, 0, 2, None]), pa.array(["1", "0", "2", ""]), pa.array([1.0, 0.0, 2.0, None])]
)
def test_labels(raw: pa.Array) -> None:
    assert said(labels(raw, ORDINARY)) == [True, False, Reason.LABEL, None]
    assert said(labels(pa.array([True, None]), ORDINARY)) == by_law(clean_label, [True, None])
