"""Whole columns made canonical: what `fradect.events` says of one value, at the speed of Arrow and numpy.

A fast path takes the values that are plainly fine; every other value is put before the function in `events` or
`money` that judges single ones, so that there is one law.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fradect.events import MAX_TEXT, Notation, clean_ip, clean_label, clean_number, ip_of_number
from fradect.faults import Fault, Reason
from fradect.money import Flags, Floats, Ints, minor_of_floats, minor_of_scaled, to_minor

Codes = npt.NDArray[np.uint8]

REASONS = tuple(Reason)
CODES = {reason: np.uint8(i + 1) for i, reason in enumerate(REASONS)}

_UNPLAIN = r"[^ -~]"
_MANY_DIGITS = r"[0-9](?:[ -]{0,3}[0-9]){12}"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$"
_PLAIN_AMOUNT = r"^\d{1,14}(?:\.\d{1,4})?$"
_PLAIN_NUMBER = r"^-?\d{1,15}(?:\.\d{1,15})?$"
_OCTETS = pa.array([str(i) for i in range(256)])


@dataclass(frozen=True, slots=True)
class Column:
    """A canonical column, null where missing or at fault; faults are 0 for none, else 1 + position in REASONS."""

    values: pa.Array
    faults: Codes


ORDINARY = Notation()


def fine(values: pa.Array) -> Column:
    return Column(values, np.zeros(len(values), np.uint8))


def faulty(n: int, kind: pa.DataType, reason: Reason) -> Column:
    return Column(pa.nulls(n, kind), np.full(n, CODES[reason], np.uint8))


def texts(raw: pa.Array, notation: Notation = ORDINARY) -> Column:
    """Any column as text without outer spaces, null where blank; whole numbers without a decimal point."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    column = _decoded(raw) if is_text(raw.type) else fine(_as_text(raw))
    values = column.values
    if (_letters(values) == ord(" ")).any():
        values = pc.utf8_trim(values, " ")
    blank = pc.equal(pc.binary_length(values), 0)
    if notation.nulls:
        blank = pc.or_(blank, pc.is_in(values, pa.array(notation.nulls)))
    if pc.any(blank).as_py():
        values = pc.if_else(blank, pa.scalar(None, pa.string()), values)
    return Column(values, column.faults)


def judged(column: Column, law: Callable[[str], Any], kind: pa.DataType, rows: Flags | None = None) -> Column:
    """The law's word on the texts of `rows` (all without it), each different text once; others stay."""
    known = pc.is_valid(column.values).to_numpy(zero_copy_only=False)
    rows = known if rows is None else rows & known
    encoded = column.values.filter(pa.array(rows)).dictionary_encode()
    verdicts = [verdict(law, text) for text in encoded.dictionary.to_pylist()]
    at = encoded.indices.to_numpy(zero_copy_only=False)
    faults = column.faults.copy()
    faults[rows] = np.array([code for _, code in verdicts], np.uint8)[at]
    answers = pa.array([answer for answer, _ in verdicts], kind).take(encoded.indices)
    others = column.values if kind == pa.string() else pa.nulls(len(known), kind)
    return Column(pc.replace_with_mask(others, pa.array(rows), answers), faults)


def clean_texts(column: Column, law: Callable[[str], str]) -> Column:
    """Free text: printable ASCII of ordinary length without many digits is fine, the law judges the rest."""
    suspicious = _suspicious(column.values)
    return judged(column, law, pa.string(), suspicious) if suspicious.any() else column


def ips(raw: pa.Array, notation: Notation, is_number: bool) -> Column:
    column = texts(raw, notation)
    if is_number:
        return _ips_of_numbers(column)
    odd = ~matches(column.values, _IPV4)
    return judged(column, clean_ip, pa.string(), odd) if odd.any() else column


def numbers(raw: pa.Array, notation: Notation) -> Column:
    """Finite float64; NaN is missing."""
    if is_numeric(raw.type):
        values = raw.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        endless = pc.fill_null(pc.is_inf(values), False).to_numpy(zero_copy_only=False)
        return Column(values, np.where(endless, CODES[Reason.NOT_FINITE], 0).astype(np.uint8))
    column = _pointed(texts(raw, notation), notation)
    odd = ~matches(column.values, _PLAIN_NUMBER)
    if not odd.any():
        return Column(column.values.cast(pa.float64()), column.faults)
    return judged(column, clean_number, pa.float64())


def labels(raw: pa.Array, notation: Notation) -> Column:
    return judged(texts(raw, notation), clean_label, pa.bool_())


def amounts(raw: pa.Array, exponents: Ints, notation: Notation) -> Column:
    """Major units as int64 minor units by each row's exponent. Negative, not finite, too precise: faults."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    kind, faults = raw.type, np.zeros(len(raw), np.uint8)
    if pa.types.is_floating(kind):
        minor, sure = _of_floats(raw, exponents)
    elif pa.types.is_integer(kind):
        unscaled = pc.fill_null(raw, 0).cast(pa.int64(), safe=False).to_numpy()
        minor, sure = minor_of_scaled(unscaled, 0, exponents)
    elif pa.types.is_decimal(kind):
        minor, sure = _of_decimals(raw, exponents)
    else:
        column = _pointed(texts(raw, notation), notation)
        raw, faults = column.values, column.faults
        minor, sure = _of_texts(raw, exponents)
    known = pc.is_valid(raw).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(known & ~sure):
        minor[row], faults[row] = verdict(partial(to_minor, exponent=int(exponents[row])), _exact(raw[int(row)]), 0)
    return Column(pa.array(minor, mask=~known | (faults != 0)), faults)


def missing(column: Column) -> Flags:
    """Rows without a value that are not at fault otherwise."""
    absent: Flags = pc.is_null(column.values).to_numpy(zero_copy_only=False)
    fineness: Flags = column.faults == 0
    return absent & fineness


def verdict(law: Callable[[Any], Any], value: Any, otherwise: Any = None) -> tuple[Any, np.uint8]:
    try:
        answer = law(value)
    except Fault as fault:
        return otherwise, CODES[fault.reason]
    return (None if answer == "" else answer), np.uint8(0)


def is_text(kind: pa.DataType) -> bool:
    views = (pa.string_view(), pa.binary_view())
    sized = pa.types.is_fixed_size_binary(kind) or kind in views
    return bool(sized or pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _as_text(raw: pa.Array) -> pa.Array:
    if not (pa.types.is_floating(raw.type) or pa.types.is_decimal(raw.type)):
        return raw.cast(pa.string())
    try:
        return raw.cast(pa.int64()).cast(pa.string())
    except pa.ArrowInvalid:
        pass  # fractions, NaN or more digits than an integer has
    values = ["" if v is None or math.isnan(v) else str(int(v)) if _is_whole(v) else str(v) for v in raw.to_pylist()]
    return pa.array(values, pa.string())


def _is_whole(value: Any) -> bool:
    return bool(abs(value) < 2**63 and value == int(value))


def _decoded(raw: pa.Array) -> Column:
    """Bytes that are not UTF-8, lone surrogates among them, are faults."""
    raw = raw.cast(pa.binary())
    try:
        return fine(raw.cast(pa.string()))
    except pa.ArrowInvalid:
        decoded = [_utf8(value) for value in raw.to_pylist()]
    faults = [CODES[Reason.ENCODING] if text is None and given else 0 for text, given in decoded]
    return Column(pa.array([text for text, _ in decoded], pa.string()), np.array(faults, np.uint8))


def _utf8(value: bytes | None) -> tuple[str | None, bool]:
    if value is None:
        return None, False
    try:
        return value.decode(), True
    except UnicodeDecodeError:
        return None, True


def _letters(values: pa.StringArray) -> npt.NDArray[np.uint8]:
    """The bytes of all texts, one after another."""
    _, offsets, letters = values.buffers()
    if letters is None or len(values) == 0:
        return np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(letters, np.uint8)[ends[0] : ends[-1]]


def matches(values: pa.StringArray, pattern: str) -> Flags:
    """Where the pattern is found; null counts as found."""
    found: Flags = pc.fill_null(pc.match_substring_regex(values, pattern), True).to_numpy(zero_copy_only=False)
    return found


def _suspicious(values: pa.StringArray) -> Flags:
    odd = np.zeros(len(values), np.bool_)
    letters = _letters(values)
    if letters.size == 0:
        return odd
    valid = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if letters.min() < 0x20 or letters.max() > 0x7E:
        odd |= matches(values, _UNPLAIN)
    lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy()
    if lengths.max() >= 13:
        odd |= (lengths > MAX_TEXT) | matches(values, _MANY_DIGITS)
    odd &= valid
    return odd


def _pointed(column: Column, notation: Notation) -> Column:
    if notation.decimal == ".":
        return column
    return Column(pc.replace_substring(column.values, notation.decimal, "."), column.faults)


def _ips_of_numbers(column: Column) -> Column:
    odd = ~matches(column.values, _PLAIN_NUMBER)
    if odd.any():
        return judged(column, ip_of_number, pa.string())
    numbers = np.floor(pc.fill_null(column.values.cast(pa.float64()), 0.0).to_numpy())
    if ((numbers < 0) | (numbers >= 2**32)).any():
        return judged(column, ip_of_number, pa.string())
    whole = numbers.astype(np.int64)
    parts = [_OCTETS.take(pa.array((whole >> shift) & 255)) for shift in (24, 16, 8, 0)]
    dotted = pc.binary_join_element_wise(*parts, ".")
    return Column(pc.if_else(pc.is_valid(column.values), dotted, pa.scalar(None, pa.string())), column.faults)


def _of_floats(raw: pa.Array, exponents: Ints) -> tuple[Ints, Flags]:
    digits = 15 if raw.type == pa.float64() else 6
    values: Floats = pc.fill_null(raw, 0.0).to_numpy(zero_copy_only=False)
    return minor_of_floats(values.astype(np.float64 if digits == 15 else np.float32), exponents, digits)


def _of_decimals(raw: pa.Array, exponents: Ints) -> tuple[Ints, Flags]:
    try:
        wide = raw.cast(pa.decimal128(38, raw.type.scale))
    except pa.ArrowInvalid:
        return np.zeros(len(raw), np.int64), np.zeros(len(raw), np.bool_)
    words = np.frombuffer(wide.buffers()[1], np.int64)[2 * wide.offset : 2 * (wide.offset + len(wide))]
    low, high = words[0::2], words[1::2]
    minor, sure = minor_of_scaled(low, raw.type.scale, exponents)
    return minor, sure & (high == 0)


def _of_texts(values: pa.StringArray, exponents: Ints) -> tuple[Ints, Flags]:
    plain = matches(values, _PLAIN_AMOUNT)
    readable = pc.if_else(pa.array(plain), values, pa.scalar(None, pa.string()))
    minor, sure = _of_decimals(readable.cast(pa.decimal128(38, 4)), exponents)
    return minor, sure & plain


def _exact(scalar: pa.Scalar) -> Any:
    """A Python value for `to_minor`; of a single-precision float the text that is shortest for it."""
    if scalar.type in (pa.float32(), pa.float16()):
        return str(np.float32(scalar.as_py()))
    return scalar.as_py()
