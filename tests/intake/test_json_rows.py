"""JSON objects as rows: the text that a CSV file would have held, and one law for both."""

import csv
import io
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.faults import Fault, Reason
from fradect.intake import Batch, Terms, take_in
from fradect.intake.json_rows import json_rows, read_object
from tests.adapters.factories_import import row, rules

NOW = 1_709_337_600_000_000
_RULES = rules(("  email: email\n  phone: phone\n", ""), ("ignore: [junk]", "ignore: [junk, email, phone]"))
_TERMS = Terms(NOW, None, None, {})
_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


def taken(batch: Batch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = take_in(_RULES, _TERMS, batch, 0).accepted.to_pylist()
    return rows


@given(amount=st.decimals(0, 10**12, places=2), note=_TEXT, customer=_TEXT, fraud=st.booleans())
def test_a_message_and_a_line_of_csv_are_the_same_event(amount: Decimal, note: str, customer: str, fraud: bool) -> None:
    given = row(1, note=note, customer=f"c{customer}", fraud=str(fraud).lower())
    made = json.dumps({**given, "amount": "@", "fraud": fraud}, ensure_ascii=len(note) % 2 == 0)
    from_json = json_rows([made.replace('"@"', str(amount)).encode()], _RULES)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(given))
    writer.writeheader()
    writer.writerow({**given, "amount": str(amount)})
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(given, pa.binary()))
    table = pa.csv.read_csv(io.BytesIO(file.getvalue().encode()), convert_options=options)
    from_csv = Batch(table.to_batches()[0], from_json.batch.rows)
    assert from_json.rejects == []
    assert taken(from_json.batch) == taken(from_csv)


@pytest.mark.parametrize(
    ("written", "minor"), [("1e3", 100_000), ("1.5E1", 1_500), ("0.1", 10), ("1234567890123.45", 123_456_789_012_345)]
)
def test_numbers_are_exact_however_they_are_written(written: str, minor: int) -> None:
    made = json.dumps(row(1, amount="@")).replace('"@"', written).encode()
    (event,) = taken(json_rows([made], _RULES).batch)
    assert event["amount"] == minor


def test_rows_keep_their_places_where_others_are_refused() -> None:
    found = json_rows([b"", json.dumps(row(1)).encode(), None, json.dumps(row(2)).encode()], _RULES)
    assert found.batch.rows.tolist() == [2, 4]
    assert [(reject.row, reject.reason) for reject in found.rejects] == [(1, Reason.NOT_JSON), (3, Reason.MISSING)]


@given(st.binary(max_size=60))
def test_no_bytes_at_all_break_it(raw: bytes) -> None:
    with suppress(Fault):
        assert isinstance(read_object(raw), dict)


def test_a_name_that_could_be_a_secret_is_not_repeated() -> None:
    for name in ("4111 1111 1111 1111", "person@mail.example", "x" * 65):
        (reject,) = json_rows([json.dumps({**row(1), name: 1}).encode()], _RULES).rejects
        assert (reject.reason, reject.field) == (Reason.UNMAPPED, "?")
