"""A small shop's mapping and files to import through it; a test states what matters to it."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fradect.adapters.event_log import EventLog
from fradect.mapping import Mapping as Rules
from fradect.mapping import parse_mapping

MAPPING = """
contract: ecommerce/standard
tenant: shop
base_currency: RUB
time_zone: UTC
event_id: id
event_time: at
fields:
  amount: amount
  currency: currency
  customer_id: customer
  email: email
  phone: phone
  source: note
constants:
  merchant_id: m1
  device_id: d1
  payment_method: card
rates:
  USD: [[2024-01-01, "90.12"], [2024-02-01, 91.5]]
outcomes:
  fraud: {column: fraud, known_after: 7d}
ignore: [junk]
"""


def rules(*changes: tuple[str, str]) -> Rules:
    """The shop's mapping with some of its text replaced."""
    text = MAPPING
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_mapping(text, "shop", Path())


def row(i: int, **given: Any) -> dict[str, Any]:
    """Purchase `i`, at minute `i` of a day in March 2024."""
    made = {
        "id": f"t{i}",
        "at": f"2024-03-01 {i // 60 % 24:02}:{i % 60:02}:00",
        "amount": f"{i + 1}.50",
        "currency": "RUB",
        "customer": f"c{i % 7}",
        "email": f"person{i % 7}@mail.example",
        "phone": f"+7912{i % 7:07}",
        "fraud": "1" if i % 10 == 3 else "0",
        "note": "ads",
    }
    return made | given


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [row(i) for i in numbers]


def write_csv(path: Path, lines: Iterable[Mapping[str, Any]], delimiter: str = ",") -> Path:
    lines = list(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(lines)
    return path


def write_parquet(path: Path, lines: Iterable[Mapping[str, Any]], **types: pa.DataType) -> Path:
    table = pa.Table.from_pylist(list(lines))
    for name, kind in types.items():
        column = table.schema.get_field_index(name)
        table = table.set_column(column, name, table[name].cast(kind))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def shop_log(home: Path) -> EventLog:
    return EventLog(home, "ecommerce", "shop")


def events(home: Path) -> list[dict[str, Any]]:
    table = pa.Table.from_batches(shop_log(home).scan(pa_columns()))
    return list(table.to_pylist())


def pa_columns() -> list[str]:
    return ["seq", "event_id", "event_time", "amount", "currency", "amount_base", "customer_id", "source"]


def quarantined(home: Path) -> list[dict[str, Any]]:
    """Every rejected row, by source and row."""
    folder = home / "quarantine" / "ecommerce" / "shop"
    found = [line for path in sorted(folder.glob("*.parquet")) for line in pq.read_table(path).to_pylist()]
    return sorted(found, key=lambda line: (line["source"], line["row"]))


def snapshot(home: Path) -> dict[str, bytes]:
    """Every file of the log with its bytes."""
    files = sorted(path for path in (home / "log").rglob("*") if path.is_file())
    return {str(path.relative_to(home)): path.read_bytes() for path in files}
