"""`fradect customers`: the same answers as over HTTP, beside a service and without one."""

import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.commands.customers import app
from flows.ingest import ingest
from fradect import cli
from fradect.adapters import erasures
from fradect.adapters.ledger_verify import verify
from fradect.errors import NotFound, Unavailable
from tests.adapters.factories_import import MAPPING, row, write_csv
from tests.factories_decision import body
from tests.serving.conftest import Client

EXPORT = "/api/v1/customers/c1/export"


def _run(*words: str, typed: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(words), input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _imported(tmp_path: Path, rows: int = 20) -> None:
    """Purchases of c0 to c6 from a file, into the tenant that the service decides for."""
    source, mapping = tmp_path / "given" / "rows.csv", tmp_path / "given" / "shop.yaml"
    write_csv(source, [row(i) for i in range(rows)])
    mapping.write_text(MAPPING.replace("tenant: shop", "tenant: demo"))
    ingest(str(source), str(mapping))


@pytest.fixture
def filled(served: Callable[[], Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Three decisions about c1 and one about c2; c1 has three purchases in a file as well."""
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    client = served()
    for i in range(3):
        assert client.post(json=body(f"c1-{i}", customer_id="c1")).status_code == 200
    assert client.post(json=body("c2-0", customer_id="c2")).status_code == 200
    _imported(tmp_path)
    return client


def _asked(client: Client, method: str, path: str, **query: Any) -> tuple[int, Any]:
    headers = {"X-API-Key": client.service._keys.issue("demo", frozenset(["*"]), 1)}
    answer = client.request(method, path, headers=headers, params=query)
    return answer.status_code, answer.json()


def _pages(client: Client, limit: int) -> Iterator[dict[str, Any]]:
    status, page = _asked(client, "GET", EXPORT, limit=limit)
    yield page
    while page["next"] is not None:
        status, page = _asked(client, "GET", EXPORT, limit=limit, cursor=page["next"])
        assert status == 200
        yield page


def test_pages_of_any_size_are_the_same_export_imports_with_it(filled: Client) -> None:
    (whole,) = _pages(filled, 500)
    assert [one["transaction_id"] for one in whole["purchases"]] == ["c1-2", "c1-1", "c1-0"]
    assert [one["transaction_id"] for one in whole["events"]] == ["t1", "t8", "t15"]
    assert whole["sources"] == ["ledger", "streams", "log"]
    assert {one["fields"]["email"] for one in whole["events"]} == {"person1@mail.example"}
    assert whole["events"][0]["source"] == "log"
    assert whole["events"][0]["event_time"] == "2024-03-01T00:01:00Z"
    assert [told["kind"] for told in whole["events"][0]["outcomes"]] == ["fraud"]
    for limit in (1, 2, 3, 4):
        pages = list(_pages(filled, limit))
        assert all(0 < len(page["purchases"]) + len(page["events"]) <= limit for page in pages)
        for part in ("purchases", "events"):
            assert [one for page in pages for one in page[part]] == whole[part]


@pytest.mark.parametrize("cursor", ["x", "W10", "bnVsbA", "W251bGwsLTFd", "W1sxLCJcdTAwMDAiXSwwXQ", "W251bGwsMWUzMDBd"])
def test_a_cursor_that_was_not_given_out_is_refused(filled: Client, cursor: str) -> None:
    assert _asked(filled, "GET", EXPORT, cursor=cursor)[0] == 422
    assert _asked(filled, "GET", EXPORT, limit=0)[0] == _asked(filled, "GET", EXPORT, of="c2")[0] == 422


def test_the_command_exports_what_http_does_and_leaves_no_file_unasked(filled: Client, tmp_path: Path) -> None:
    (whole,) = _pages(filled, 500)
    before = {path for path in tmp_path.rglob("*") if not path.name.startswith(("ledger", "shared", "state"))}
    lines = [json.loads(line) for line in _run("export", "c1").stdout.splitlines()]
    after = {path for path in tmp_path.rglob("*") if not path.name.startswith(("ledger", "shared", "state"))}
    assert before == after
    assert lines[0] == {"customer": None, "sources": whole["sources"]}
    assert [line["purchase"] for line in lines[1:4]] == whole["purchases"]
    assert [line["event"] for line in lines[4:7]] == whole["events"]
    assert lines[7:] == [{"end": 6}]
    file = tmp_path / "out" / "c1.json"
    assert not _run("export", "c1", "--json", str(file)).stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_bytes()) == {name: held for name, held in whole.items() if name != "next"}
    for customer, part in (("c2", "purchases"), ("c3", "events")):
        _run("export", customer, "--json", str(file))
        assert json.loads(file.read_bytes())[part]


def test_the_profile_is_the_routes(filled: Client, tmp_path: Path) -> None:
    _, told = _asked(filled, "GET", "/api/v1/customers/c1/risk-profile")
    file = tmp_path / "profile.json"
    shown = _run("show", "c1", "--json", str(file)).stdout
    assert shown.startswith(f"c1: {told['overall_risk']}")
    assert told["recommendations"][0]["code"] in shown
    assert json.loads(file.read_bytes())["ecommerce_risk"]["history"] == told["ecommerce_risk"]["history"]


def test_an_erasure_is_asked_about_and_told_of(filled: Client, tmp_path: Path) -> None:
    filled.service.close()
    refused = _run("erase", "c1", typed="n\n")
    assert refused.exit_code != 0
    assert _run("export", "c1").exit_code == 0
    file = tmp_path / "receipt.json"
    receipt = json.loads(_run("erase", "c1", "--yes", "--by", "officer", "--json", str(file)).stdout)
    assert receipt["destroyed"]["data_keys"] == 2, "one of decisions, one of imports"
    assert receipt["destroyed"]["transactions_refiled"] == 3
    assert receipt["destroyed"]["live_state_keys"] == 1
    assert receipt == json.loads(file.read_bytes()) == json.loads(_run("erase", "c1", "--yes").stdout)
    for command in ("export", "show"):
        with pytest.raises(NotFound, match="no such customer"):
            _run(command, "c1")
    assert json.loads(_run("export", "c2").stdout.splitlines()[-1]) == {"end": 4}
    assert verify(f"sqlite:///{tmp_path}/ledger.db").broken is None


def test_beside_a_service_that_holds_the_ledger_the_service_does_it(
    filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "_AT_WORK", 0)
    stop = threading.Event()

    def settle() -> None:
        while not stop.wait(0.1):
            filled.service._customers.settle()

    thread = threading.Thread(target=settle)
    thread.start()
    try:
        receipt = json.loads(_run("erase", "c1", "--yes").stdout)
    finally:
        stop.set()
        thread.join()
    assert receipt["destroyed"]["transactions_refiled"] == 3
    assert _asked(filled, "DELETE", "/api/v1/customers/c1") == (200, receipt)
    assert _asked(filled, "GET", EXPORT)[0] == 404


def test_a_service_that_does_not_come_to_it_is_not_waited_for_forever(
    filled: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.wiring.one_customer.WAITED", 0.3)
    filled.service._housekeeping.stop()
    with pytest.raises(Unavailable, match="goes on by itself"):
        _run("erase", "c1", "--yes")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "nobody"], "no such customer"),
        (["export", "nobody", "--json", "left.json"], "no such customer"),
        (["erase", "nobody", "--yes"], "no such customer"),
        (["show", "a\x00b"], "CUSTOMER"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    filled: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    filled.service.close()
    monkeypatch.setattr(sys, "argv", ["fradect", "customers", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not Path("left.json").exists()


def test_a_home_where_nothing_is_says_so_and_stays_empty(home: Path) -> None:
    with pytest.raises(NotFound, match="FRADECT_HOME"):
        _run("show", "c1")
    assert not home.exists()
