"""JSON that means one thing only."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from serving.problems import Malformed
from serving.strict_json import MAX_DEPTH, read

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=12,
)


@given(values)
def test_what_was_written_is_read(value: object) -> None:
    assert read(json.dumps(value).encode()) == value
    assert read(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(raw: bytes) -> None:
    with suppress(Malformed, InvalidInput):
        read(raw)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_numbers_with_a_point_are_exact(number: Decimal) -> None:
    assert read(f"[{number:f}]".encode()) == [number]


def test_nesting_is_bounded_and_brackets_in_texts_do_not_count() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert read(deepest.encode())
    with pytest.raises(Malformed, match="deep"):
        read(f"[{deepest}]".encode())
    assert read(b'["' + b"[{" * 100 + b'\\""]') == ["[{" * 100 + '"']


def test_a_name_that_stands_twice_is_named() -> None:
    with pytest.raises(Malformed, match="'b' stands there twice"):
        read(b'{"a": {"b": 1, "c": 2, "b": 3}}')


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e99999999999999999999"])
def test_what_is_no_number_is_refused(literal: str) -> None:
    with pytest.raises(InvalidInput):
        read(f"[{literal}]".encode())


def test_a_negative_zero_keeps_its_sign() -> None:
    (zero,) = read(b"[-0]")
    assert isinstance(zero, Decimal)
    assert zero.is_signed()
