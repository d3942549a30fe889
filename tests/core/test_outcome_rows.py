"""Rows of outcome files: which decision, what it turned out to be, since when; chargebacks by their reason."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from fradect.errors import InvalidInput
from fradect.faults import Fault, Reason
from fradect.outcome_rows import Format, Heard, OutcomeMapping, RowReader, read_mapping
from fradect.outcomes import Outcome
from fradect.types import DAY, HOUR
from tests.factories_decision import NOON

MIDNIGHT = NOON - 12 * HOUR
FRAUD = Outcome.CONFIRMED_FRAUD
PLAIN = OutcomeMapping()


def _read(row: dict[str, Any], mapping: OutcomeMapping = PLAIN, kind: Format = Format.OUTCOMES) -> Any:
    return RowReader(kind, mapping, NOON + 10 * DAY).read(row)


def _chargeback(code: object, day: object = "2023-11-16") -> Any:
    row = {"transaction_id": "tx1", "reason_code": code, "chargeback_date": day}
    return _read(row, kind=Format.CHARGEBACK)


def test_a_row_says_what_it_says() -> None:
    row = {"transaction_id": "tx1", "outcome": "confirmed_fraud", "known_at": "2023-11-15T12:00:00Z", "note": " ok "}
    assert _read(row) == Heard(None, "tx1", FRAUD, NOON, "ok")
    assert _read({"decision_id": "dec_1", "outcome": b"false_positive"}) == Heard(
        "dec_1", None, Outcome.FALSE_POSITIVE, None, None
    )


@pytest.mark.parametrize(
    ("known_at", "expected"),
    [
        ("2023-11-15T15:00:00+03:00", NOON),
        (datetime(2023, 11, 15, 12, tzinfo=UTC), NOON),
        ("2023-11-15T12:00:00", NOON),
        ("2023-11-15", MIDNIGHT + DAY),
        (date(2023, 11, 15), MIDNIGHT + DAY),
        ("2023-11-25", None),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_a_day_counts_from_its_end_on_and_today_from_now_on(known_at: object, expected: int | None) -> None:
    assert _read({"transaction_id": "t", "outcome": "unknown", "known_at": known_at}).known_at == expected


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        ({"outcome": "unknown"}, Reason.MISSING, "transaction_id"),
        ({"transaction_id": " ", "outcome": "unknown"}, Reason.MISSING, "transaction_id"),
        ({"transaction_id": "t"}, Reason.MISSING, "outcome"),
        ({"transaction_id": "t", "outcome": "fraud"}, Reason.KIND, "outcome"),
        ({"transaction_id": "t", "outcome": "unknown", "known_at": "soon"}, Reason.TIME, "known_at"),
        ({"transaction_id": "t", "outcome": "unknown", "known_at": "2999-01-01"}, Reason.FUTURE, "known_at"),
        ({"transaction_id": b"\xff", "outcome": "unknown"}, Reason.ENCODING, "transaction_id"),
        ({"transaction_id": "a\x00b", "outcome": "unknown"}, Reason.CONTROL, "transaction_id"),
        ({"transaction_id": "t", "outcome": "unknown", "note": "4111 1111 1111 1111"}, Reason.CARD, "note"),
    ],
)
def test_what_cannot_be_taken_names_column_and_reason(row: dict[str, Any], reason: Reason, field: str) -> None:
    with pytest.raises(Fault) as caught:
        _read(row)
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("code", ["10.1", "10.4", "10.5", b"4837", "4863", 4837, 10.4, Decimal("10.3"), " 4863 "])
def test_fraud_codes_are_confirmed_fraud_with_the_code_as_note(code: object) -> None:
    heard = _chargeback(code)
    assert (heard.outcome, heard.known_at) == (FRAUD, MIDNIGHT + 2 * DAY)
    assert heard.note.startswith("chargeback ")


@pytest.mark.parametrize("code", ["13.1", "11.3", "12.6", "4853", "4834", "100", "10", "110.4", "10.4x"])
def test_other_reasons_say_nothing_of_fraud(code: str) -> None:
    assert _chargeback(code) is None


@pytest.mark.parametrize(("code", "day"), [("", "2023-11-16"), ("10.4", ""), (None, None), ("13.1", "soon")])
def test_a_chargeback_has_its_reason_and_its_day(code: object, day: object) -> None:
    with pytest.raises(Fault):
        _chargeback(code, day)


def test_a_mapping_names_columns_words_and_zone() -> None:
    columns = b"columns: {transaction_id: order, outcome: verdict}\n"
    mapping = read_mapping(columns + b"values: {bad: confirmed_fraud}\ntime_zone: Europe/Moscow\n", Format.OUTCOMES)
    row = {"order": "tx1", "verdict": "bad", "known_at": "2023-11-15T15:00:00"}
    assert _read(row, mapping) == Heard(None, "tx1", FRAUD, NOON, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"columns: {amount: x}",
        b"values: {bad: worse}",
        b"time_zone: Mars/Olympus",
        b"colums: {}",
        b"[1, 2]",
        b"a: [",
    ],
)
def test_a_mapping_that_is_not_understood_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="mapping"):
        read_mapping(raw, Format.OUTCOMES)
