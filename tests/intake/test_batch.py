"""A batch of raw rows: who passes, who does not and why, and what is stored of those who do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fradect.events import to_micros
from fradect.faults import Reason
from fradect.intake import Batch, Intake, Terms, staged_schema, take_in
from fradect.mapping import Mapping
from fradect.ports import DataKey
from fradect.types import DAY
from tests.adapters.factories_import import row, rules

NOW = to_micros("2024-06-01T00:00Z", rules().clock(rules().event_time))


class OpenVault:
    """Shows where it was asked to put what."""

    def token(self, tenant_id: str, field: str, text: str) -> str:
        return f"token({tenant_id},{field},{text})"

    def key_of(self, *_: str) -> DataKey:
        raise AssertionError("an import asks for many at once")

    def keys_of(self, *_: object) -> dict[str, DataKey]:
        return {}

    def seal(self, tenant_id: str, field: str, row: str, text: str) -> str:
        return f"cipher({tenant_id},{field},{row},{text})"

    def open(self, *_: str) -> str:
        raise AssertionError("an import opens nothing")


def taken(lines: list[dict[str, Any]], mapping: Mapping | None = None, **given: Any) -> Intake:
    terms = replace(Terms(NOW, None, OpenVault(), {}), **given)
    records = pa.RecordBatch.from_pylist(lines)
    return take_in(mapping or rules(), terms, Batch(records, np.arange(1, len(lines) + 1)), source=2)


def only_fault(line: dict[str, Any], mapping: Mapping | None = None) -> tuple[str, Reason]:
    """What keeps a row out between two good ones."""
    intake = taken([row(1), line, row(3)], mapping)
    assert intake.accepted["event_id"].to_pylist() == ["t1", "t3"]
    (reject,) = intake.rejects
    assert reject.row == 2
    return reject.field, reject.reason


def test_a_good_row_is_stored_whole() -> None:
    intake = taken([row(3)])
    assert intake.accepted.schema == staged_schema(rules())
    (stored,) = intake.accepted.to_pylist()
    assert stored["place"] == 2 * 2**40 + 1
    assert (stored["amount"], stored["currency"], stored["amount_base"]) == (450, "RUB", 450)
    assert (stored["merchant_id"], stored["device_id"], stored["payment_method"]) == ("m1", "d1", "card")
    assert stored["observed_at"] == stored["event_time"]
    assert stored["fraud_value"] is True
    assert (stored["fraud_known_at"] - stored["event_time"]).days == 7
    assert stored["email_token"] == "token(shop,email,person3@mail.example)"
    assert stored["email_cipher"] == "cipher(shop,email,t3,person3@mail.example)"
    assert "email" not in stored
    assert stored["email_domain"] == "mail.example"


@pytest.mark.parametrize(
    ("field", "change", "reason"),
    [
        ("event_id", {"id": ""}, Reason.MISSING),
        ("event_id", {"id": "a\x00"}, Reason.CONTROL),
        ("event_id", {"id": "4111111111111111"}, Reason.CARD),
        ("event_time", {"at": "2024-02-30 00:00:00"}, Reason.TIME),
        ("event_time", {"at": ""}, Reason.MISSING),
        ("event_time", {"at": "2024-06-01 00:05:01"}, Reason.FUTURE),
        ("event_time", {"at": "1969-01-01 00:00:00"}, Reason.TOO_EARLY),
        ("amount", {"amount": "-1"}, Reason.NEGATIVE),
        ("amount", {"amount": "NaN"}, Reason.NOT_FINITE),
        ("amount", {"amount": "1.005"}, Reason.DECIMALS),
        ("amount", {"amount": "a lot"}, Reason.NUMBER),
        ("amount", {"amount": "1e15"}, Reason.TOO_LARGE),
        ("amount", {"amount": ""}, Reason.MISSING),
        ("currency", {"currency": "DM"}, Reason.CURRENCY),
        ("currency", {"currency": ""}, Reason.MISSING),
        ("amount_base", {"currency": "EUR"}, Reason.NO_RATE),
        ("amount_base", {"currency": "USD", "at": "2023-12-31 23:59:59"}, Reason.NO_RATE),
        ("customer_id", {"customer": " "}, Reason.MISSING),
        ("customer_id", {"customer": "4111 1111 1111 1111"}, Reason.CARD),
        ("email", {"email": "4111-1111-1111-1111"}, Reason.CARD),
        ("phone", {"phone": "4111111111111111"}, Reason.CARD),
        ("source", {"note": "4111111111111111"}, Reason.CARD),
        ("source", {"note": "x" * 2000}, Reason.TOO_LONG),
        ("fraud_value", {"fraud": "perhaps"}, Reason.LABEL),
    ],
)
def test_each_fault_keeps_its_row_out_and_no_other(field: str, change: dict[str, Any], reason: Reason) -> None:
    assert only_fault(row(2, **change)) == (field, reason)


def test_amounts_are_in_the_base_currency_at_the_rate_of_the_day() -> None:
    lines = [row(i, currency="USD", amount="10.01", at=at) for i, at in enumerate(("2024-01-31", "2024-02-01"))]
    stored = taken([*lines, row(2)]).accepted.to_pylist()
    assert [line["amount"] for line in stored] == [1001, 1001, 350]
    assert [line["amount_base"] for line in stored] == [90_210, 91_592, 350]  # 902.1012 and 915.915, half to even


def test_amounts_may_come_in_minor_units() -> None:
    mapping = rules(("  amount: amount", "  amount: {column: amount, unit: minor}"))
    assert taken([row(1, amount="250")], mapping).accepted["amount"].to_pylist() == [250]
    assert only_fault_of(mapping, amount="2.5") is Reason.DECIMALS


def only_fault_of(mapping: Mapping, **change: Any) -> Reason:
    (reject,) = taken([row(1, **change)], mapping).rejects
    return reject.reason


def test_rows_from_until_on_are_held_back_whatever_is_in_them() -> None:
    lines = [row(0), row(10), row(20, amount="-1"), row(5, amount="-1")]
    until = to_micros("2024-03-01T00:10Z", rules().clock(rules().event_time))
    intake = taken(lines, until=until)
    assert intake.accepted["event_id"].to_pylist() == ["t0"]
    assert intake.held_back == 2
    assert [reject.event_id for reject in intake.rejects] == ["t5"]


def test_an_empty_line_is_nothing_at_all() -> None:
    blank = dict.fromkeys(row(0), "")
    intake = taken([row(0), blank, row(2)])
    assert intake.accepted.num_rows == 2
    assert intake.rejects == []


def test_unknown_labels_are_kept_unknown() -> None:
    assert taken([row(1, fraud="")]).accepted["fraud_value"].to_pylist() == [None]


def known_at() -> Mapping:
    return rules(("{column: fraud, known_after: 7d}", "{column: fraud, known_at: told}"))


def test_a_label_may_bring_the_time_it_became_known() -> None:
    line = row(1, told="2024-04-01 00:00:00")
    stored = taken([line, row(2, told="")], known_at()).accepted["fraud_known_at"].to_pylist()
    assert stored[0].isoformat() == "2024-04-01T00:00:00+00:00"
    assert stored[1] is None
    assert only_fault_of(known_at(), told="2024-02-28 00:00:00") is Reason.KNOWN_EARLY
    assert only_fault_of(known_at(), told="soon") is Reason.TIME


def test_a_delay_stands_in_where_no_time_is_given() -> None:
    mapping = rules(("{column: fraud, known_after: 7d}", "{column: fraud, known_at: told, known_after: 1d}"))
    (stored,) = taken([row(1, told="")], mapping).accepted.to_pylist()
    assert (stored["fraud_known_at"] - stored["event_time"]).days == 1


def test_what_was_observed_before_it_happened_is_refused() -> None:
    mapping = rules(("event_time: at", "event_time: at\nobserved_at: seen"))
    stored = taken([row(1, seen="2024-03-01 00:09:00"), row(2, seen="")], mapping).accepted.to_pylist()
    assert [str(line["observed_at"].time()) for line in stored] == ["00:09:00", "00:02:00"]
    assert only_fault_of(mapping, seen="2024-02-29 00:00:00") is Reason.KNOWN_EARLY


def test_values_are_translated_before_they_are_judged() -> None:
    mapping = rules(("  currency: currency", "  currency: {column: currency, values: {₽: RUB, 2: USD}}"))
    stored = taken([row(1, currency="₽"), row(2, currency="2"), row(3)], mapping).accepted
    assert stored["currency"].to_pylist() == ["RUB", "USD", "RUB"]


def test_long_numbers_may_be_declared_to_be_ids() -> None:
    line = row(1, id="4111111111111111", customer="4111111111111111")
    mapping = rules(("ignore: [junk]", "numeric_ids: [id, customer]"))
    assert taken([line], mapping).accepted["event_id"].to_pylist() == ["4111111111111111"]


def test_a_looked_up_country_comes_from_the_address() -> None:
    mapping = rules(
        ("  source: note", "  source: note\n  ip: note"),
        ("time_zone: UTC", "lookups: {ip_country: {table: none.csv, from: ip}}"),
    )
    countries: Callable[[pa.Array], pa.Array] = lambda ips: pa.array([f"<{ip}>" for ip in ips.to_pylist()])  # noqa: E731
    stored = taken([row(1, note="10.0.0.1")], mapping, lookups={"ip_country": countries}).accepted
    assert stored["ip_country"].to_pylist() == ["<10.0.0.1>"]


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_the_type_of_text_makes_no_difference(kind: pa.DataType) -> None:
    lines = [row(i) for i in range(20)]
    plain = pa.RecordBatch.from_pylist(lines)
    arrays = [column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind) for column in plain]
    batch = Batch(pa.RecordBatch.from_arrays(arrays, names=plain.schema.names), np.arange(1, 21))
    intake = take_in(rules(), Terms(NOW, None, OpenVault(), {}), batch, source=2)
    assert intake.accepted.equals(taken(lines).accepted)


def test_rejects_show_shapes_not_values() -> None:
    secret = {"email": "anna.petrova@mail.example", "phone": "+79123456789"}
    lines = [
        row(1, **secret, note="4111 1111 1111 1111"),
        row(2, **secret, amount="anna.petrova@mail.example"),
        row(3, **secret, id="anna.petrova@mail.example", amount="-1"),
        row(4, **secret, id="+79123456789", amount="-1"),
        row(5, **secret, currency="DM"),
    ]
    rejects = taken(lines).rejects
    shown = "".join(str(tuple(reject)) for reject in rejects)
    assert not any(text in shown for text in ("4111", "1111", "anna", "petrova", "79123456789"))
    assert [reject.event_id for reject in rejects] == ["t1", "t2", None, None, "t5"]
    assert rejects[1].value == "xxxx.xxxxxxx@xxxx.xxxxxxx"
    assert rejects[4].value == "DM"


def test_the_clock_that_counts_is_the_imports() -> None:
    line = row(1, at="2024-03-01 00:00:00")
    assert only_fault_at(line, now=NOW - 200 * DAY) is Reason.FUTURE
    assert taken([line]).rejects == []


def only_fault_at(line: dict[str, Any], now: int) -> Reason:
    (reject,) = taken([line], now=now).rejects
    return reject.reason
