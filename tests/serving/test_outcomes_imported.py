"""`fradect outcomes import` against a service: what is told, what is refused, and the same file again."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from flows.commands.outcomes import app
from flows.wiring import telling
from flows.wiring.telling import HttpTeller
from fradect.adapters.database import open_database
from fradect.adapters.tables import decision_outcomes
from fradect.errors import InvalidInput, NotFound, Unavailable
from tests.factories_decision import body
from tests.serving.conftest import Client


@pytest.fixture
def home(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service that decided tx0 to tx4, which the command reaches without a socket."""
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    for i in range(5):
        client.post(body(f"tx{i}", event_time="2024-02-29T12:00:00Z"))

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"X-API-Key": request.headers["x-api-key"], "Content-Type": "application/json"}
        said = client.request("POST", request.url.path, content=request.content, headers=headers)
        return httpx.Response(said.status_code, content=said.content, headers=said.headers)

    @contextmanager
    def service(url: str, key: str) -> Iterator[HttpTeller]:
        with httpx.Client(transport=httpx.MockTransport(answer), base_url=url, headers={"X-API-Key": key}) as told:
            yield HttpTeller(told)

    monkeypatch.setattr(telling, "_service", service)
    return tmp_path


def _import(file: Path, *words: str) -> dict[str, Any]:
    figures = file.with_suffix(".figures")
    result = CliRunner().invoke(app, ["import", str(file), *words, "--json", str(figures)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = msgspec.json.decode(figures.read_bytes())
    return found


def _stored(home: Path) -> list[tuple[str, str]]:
    engine = open_database(f"sqlite:///{home}/ledger.db")
    c = decision_outcomes.c
    with engine.connect() as connection:
        rows = [(row.outcome, row.note) for row in connection.execute(sa.select(c.outcome, c.note).order_by(c.id))]
    engine.dispose()
    return rows


CSV = """transaction_id,outcome,known_at,note
tx0,confirmed_fraud,2024-03-10,a call
tx1,false_positive,,
nobody,confirmed_fraud,2024-03-10,
tx2,nonsense,2024-03-10,
tx3,confirmed_fraud,2024-02-01,before it happened
tx4,unknown
"""


def test_rows_are_told_or_kept_with_their_reason_and_the_same_file_again_changes_nothing(home: Path) -> None:
    file = home / "verdicts.csv"
    file.write_text(CSV)
    found = _import(file)
    assert (found["rows"], found["told"], found["rejected"]) == (6, 2, 4)
    assert found["reasons"] == {
        "no such decision": 1,
        "unknown outcome": 1,
        "could not be handled": 1,
        "wrong number of columns": 1,
    }
    assert _stored(home) == [("confirmed_fraud", "a call"), ("false_positive", None)]
    (kept,) = (home / "quarantine" / "ecommerce" / "demo").glob("outcomes-*.parquet")
    assert sorted(pq.read_table(kept)["row"].to_pylist()) == [3, 4, 5, 6]
    assert _import(file)["told"] == 2
    assert len(_stored(home)) == 2


def test_every_kind_of_file_is_read(home: Path) -> None:
    ids = {i: f"tx{i}" for i in range(4)}
    (home / "a.csv.gz").write_bytes(gzip.compress(b"transaction_id,outcome\ntx0,unknown\n"))
    pq.write_table(pa.table({"transaction_id": [ids[1]], "outcome": ["unknown"]}), home / "b.parquet")
    (home / "c.ndjson").write_text('{"transaction_id": "tx2", "outcome": "unknown"}\n\n{"broken"\n')
    shown = _import(home / "a.csv.gz"), _import(home / "b.parquet"), _import(home / "c.ndjson")
    assert [found["told"] for found in shown] == [1, 1, 1]
    assert shown[2]["reasons"] == {"not a JSON object": 1}
    assert len(_stored(home)) == 3


def test_chargebacks_of_fraud_confirm_it_and_others_are_counted(home: Path) -> None:
    file, mapping = home / "chargebacks.csv", home / "ours.yaml"
    file.write_text("order,why,day\ntx0,10.4,2024-03-10\ntx1,13.1,2024-03-10\ntx2,4837,2024-03-11\n")
    mapping.write_text("columns: {transaction_id: order, reason_code: why, chargeback_date: day}\n")
    found = _import(file, "--format", "chargeback", "--mapping", str(mapping))
    assert (found["told"], found["ignored"], found["rejected"]) == (2, 1, 0)
    assert _stored(home) == [("confirmed_fraud", "chargeback 10.4"), ("confirmed_fraud", "chargeback 4837")]


def test_decisions_can_be_named_themselves(home: Path, client: Client) -> None:
    decision_id = client.post(body("tx0", event_time="2024-02-29T12:00:00Z")).json()["decision_id"]
    file = home / "named.ndjson"
    lines = [{"decision_id": decision_id, "outcome": "unknown"}, {"decision_id": "dec_none", "outcome": "unknown"}]
    file.write_text("".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    found = _import(file)
    assert (found["told"], found["reasons"]) == (1, {"no such decision": 1})


def test_what_cannot_be_begun_is_said_in_a_line(home: Path) -> None:
    (home / "a.csv").write_text("id,outcome\n1,unknown\n")
    with pytest.raises(InvalidInput, match="neither"):
        _import(home / "a.csv")
    with pytest.raises(InvalidInput, match="ends in"):
        _import(home / "nothing.csv")
    (home / "keys" / "api-key").rename(home / "keys" / "gone")
    (home / "a.csv").write_text("transaction_id,outcome\n")
    with pytest.raises(NotFound, match="no API key"):
        _import(home / "a.csv")


def test_without_a_service_the_remedy_is_told(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    decision_id = client.post(body("tx0")).json()["decision_id"]
    file = tmp_path / "a.csv"
    file.write_text(f"decision_id,outcome\n{decision_id},unknown\n")
    with pytest.raises(Unavailable, match="fradect serve"):
        _import(file, "--url", "http://127.0.0.1:9")
