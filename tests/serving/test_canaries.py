"""Planted values of a person, in every field, in headers and in errors: no file that the system writes holds them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.commands.customers import app as commands
from flows.customers import customers
from flows.ingest import ingest
from flows.materialise import materialise
from fradect.masking import guard_logs
from serving.logs import JsonLines
from tests.adapters.factories_import import MAPPING, row, write_csv
from tests.factories_decision import body
from tests.serving.conftest import Client

EMAIL, PHONE, PAN = "canary.bird@nest.example", "+79995550123", "4539578763621486"
NAME, STREET = "Canaria Birdsong", "77 Feather Lane"
CANARIES = ("canary.bird", "9995550123", PAN, "Canaria", "Birdsong", "Feather Lane")


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """What loggers of this process write, as the service's and as anybody's handler, into a file under the home."""
    before, root = logging.getLogRecordFactory(), logging.getLogger()
    guard_logs()
    handlers = [logging.FileHandler(tmp_path / name) for name in ("ours.log", "theirs.log")]
    handlers[0].setFormatter(JsonLines())
    for handler in handlers:
        root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)
        handler.close()
    logging.setLogRecordFactory(before)


def _found(home: Path) -> list[str]:
    holders = []
    for path in sorted(one for one in home.rglob("*") if one.is_file()):
        raw = path.read_bytes()
        holders += [f"{path.relative_to(home)}: {canary}" for canary in CANARIES if canary.encode() in raw]
    return holders


def _bought(client: Client, transaction_id: str) -> None:
    person = {"email": EMAIL, "phone": PHONE, "full_name": NAME}
    address = {"country": "RU", "text": STREET}
    answer = client.post(json=body(transaction_id, customer=person, shipping_address=address))
    assert answer.status_code == 200
    assert not [one for one in CANARIES if one in answer.text]


def _refused(client: Client) -> None:
    """In fields where they may not be, in headers, keys, paths and broken bodies."""
    for value in (PAN, f"4539 5787 6362 1486 {EMAIL}"):
        for field in ("customer_id", "merchant_id", "source"):
            assert client.post(json=body(f"t{field}", **{field: value})).status_code == 422
    assert client.post(json=body(PAN)).status_code == 422
    for value in (EMAIL, PHONE, PAN):
        client.post(json=body("t-code", currency=value, payment_method=value))
        client.post(json=body("t-key"), headers={"Idempotency-Key": value, "X-Canary": value, "User-Agent": value})
        client.post(content=b'{"broken": "' + value.encode(), headers={"Content-Type": "application/json"})
        client.request("GET", f"/api/v1/decisions/{value}", headers={"X-API-Key": value})
        client.request("GET", f"/{value}")


def test_no_file_holds_a_canary(
    served: Callable[[], Client], tmp_path: Path, written: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served()
    for number in range(3):
        _bought(client, f"tx{number}")
    _refused(client)
    logging.getLogger("fradect.some").error("no reply to %s, %s, %s", EMAIL, PHONE, PAN)
    try:
        raise ValueError(f"{EMAIL} paid by {PAN}, call {PHONE}")
    except ValueError:
        logging.getLogger("serving.some").exception("failed for %s", EMAIL)
    headers = {"X-API-Key": client.service._keys.issue("demo", frozenset(["*"]), 1)}
    assert EMAIL in client.request("GET", "/api/v1/customers/c1/export", headers=headers).text
    assert client.request("DELETE", "/api/v1/customers/c1", headers=headers).status_code == 200
    client.service.close()
    logs = (tmp_path / "ours.log").read_text() + (tmp_path / "theirs.log").read_text()
    assert "c***@nest.example" in logs
    assert _found(tmp_path) == []


def test_no_file_of_an_import_or_of_the_command_line_holds_a_canary(
    served: Callable[[], Client], tmp_path: Path, written: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given lies outside; rows that are refused have the values in fields where they may not be, too."""
    home, given = tmp_path / "home", tmp_path / "given"
    monkeypatch.setenv("FRADECT_HOME", str(home))
    person = {"email": EMAIL, "phone": PHONE, "name": NAME, "street": STREET}
    rows = [row(i, **person) for i in range(100)]
    rows += [row(100, **person, amount=EMAIL), row(101, **person, customer=PAN), row(102, **person, currency=PHONE)]
    source = write_csv(given / "rows.csv", rows)
    mapping = MAPPING.replace("  email: email", "  email: email\n  full_name: name\n  shipping_address: street")
    (given / "shop.yaml").write_text(mapping)
    ingest(str(source), str(given / "shop.yaml"))
    customers("ecommerce", "shop")
    materialise("ecommerce", "shop")
    for command in ("show", "export", "erase"):
        words = [command, "c1", "--tenant", "shop", *(["--yes"] if command == "erase" else [])]
        done = CliRunner().invoke(commands, words)
        assert done.exit_code == 0, done.output
        assert (EMAIL in done.stdout, STREET in done.stdout) == (command == "export",) * 2
    materialise("ecommerce", "shop")
    assert list((home / "quarantine").rglob("*.parquet"))
    assert _found(home) == []
    assert not _in_parquet(home)


def _in_parquet(home: Path) -> list[str]:
    """Its columns are compressed: read, to be searched."""
    tables = {path: pq.read_table(path).to_pylist() for path in home.rglob("*.parquet")}
    return [f"{path}: {canary}" for path, rows in tables.items() for canary in CANARIES if canary in str(rows)]
