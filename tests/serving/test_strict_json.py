"""JSON that means one thing only."""

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from serving.problems import Malformed
from serving.strict_json import MAX_DEPTH, InDoubt, read, read_carefully, read_plainly

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


# Texts that look like names, names written in two ways, blanks where JSON allows them, numbers at every edge.
texts = st.sampled_from(
    ['"a"', '"b"', '"\\u0061"', '":"', '"\\":"', '"a\\":1"', '" :"', '"\\\\"', '"\u00e9"', '"{["', '""', '"a\tb"']
)
blanks = st.sampled_from(["", "", "", " ", "\n ", "\t", "\r"])
numbers = st.sampled_from(
    ["0", "-0", "1", "-1", "007", "1.50", "-0.0", "1e5", "1e-400", "0e999999999", "1e99999999999999999999", "NaN", "1."]
    + ["9" * digits for digits in (18, 19, 20, 40, 41, 400)]
)
scalars = st.one_of(texts, numbers, st.sampled_from(["true", "null", "tru", "", '"\\ud800"', '"\\ud83d\\ude00"']))


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(blanks, texts, blanks, st.just(":"), blanks, inner, blanks).map("".join)
    return st.lists(member, max_size=4).map(lambda members: "{" + ",".join(members) + "}")


bodies = _objects(
    st.recursive(scalars, lambda inner: st.one_of(_objects(inner), st.lists(inner, max_size=2).map(str)), max_leaves=8)
)


@given(st.one_of(bodies.map(str.encode), st.binary(max_size=40).map(lambda raw: b'{"a":' + raw + b"}")))
@settings(max_examples=1_000)
def test_what_is_read_plainly_is_what_is_read_carefully(raw: bytes) -> None:
    with suppress(InDoubt, InvalidInput, msgspec.DecodeError, UnicodeDecodeError):
        assert repr(read_plainly(raw)) == repr(read_carefully(raw))
    assert _told(read, raw) == _told(read_carefully, raw)


def _told(reader: Callable[[bytes], Any], raw: bytes) -> str:
    try:
        return repr(reader(raw))
    except (Malformed, InvalidInput) as error:
        return repr(error)


ORDINARY = {"t": {"id": "a:b", "amount": 12.5, "at": "2026-01-31T12:00:00Z", "c": {}, "no": None}, "x": {"whole": 15}}


@pytest.mark.parametrize("layout", [{}, {"separators": (",", ":")}, {"indent": 2}, {"separators": (" , ", " : ")}])
def test_ordinary_bodies_need_no_second_look(layout: dict[str, Any]) -> None:
    assert read_plainly(json.dumps(ORDINARY, **layout).encode()) == ORDINARY


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 1}',
        b'{"a": {"b": 1}, "a": {"b": 1}}',
        b'{"a": {"b": 1, "c": ":"}, "c": "\\u0022:", "c": 1}',
        b'{"a" : 1, "a"\n: ":"}',
        b'{"": 1, "": 2}',
        b'{"a": -0}',
        b'{"a": [{"b": 1, "b": 2}]}',
        b"[1]",
        b'{"a":' * 17 + b"1" + b"}" * 17,
    ],
)
def test_whatever_may_be_wrong_gets_a_second_look(raw: bytes) -> None:
    with pytest.raises(InDoubt):
        read_plainly(raw)


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
