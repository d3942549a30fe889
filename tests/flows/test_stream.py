"""`fradect ingest` as people and schedules run it: a folder into log and live state, stopped and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.ingest import ingest
from flows.stream import stream
from flows.wiring.compacting import compacted
from fradect.adapters.event_log import EventLog
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.adapters.state_sqlite import SqliteState
from fradect.adapters.states import open_state
from fradect.errors import Conflict, InvalidInput
from serving.metrics import Metrics
from tests.adapters.factories_import import MAPPING, row, rows, write_csv
from tests.stream.factories_stream import message, verdict
from tests.stream.mock_kafka import mock_kafka

FRADECT = str(Path(sys.executable).parent / "fradect")
WHOSE = ("shop", "ecommerce")
_LAGS = "SELECT count(*) FROM measurements WHERE name = 'fradect_stream_lag'"


@pytest.fixture
def inbox(home: Path, tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(MAPPING)
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def put(path: Path, *numbers: int) -> None:
    """A file that has been there for a while."""
    write_csv(path, rows(*numbers))
    os.utime(path, (time.time() - 60, time.time() - 60))


def logged(home: Path) -> dict[str, int]:
    log = EventLog(home, "ecommerce", "shop")
    return {e["event_id"]: e["seq"] for batch in log.scan(["event_id", "seq"]) for e in batch.to_pylist()}


def test_stream_import_and_stream_again_share_one_line_of_numbers(home: Path, inbox: Path, tmp_path: Path) -> None:
    mapping = str(tmp_path / "shop.yaml")
    put(inbox / "a.csv", *range(10))
    first = stream(str(inbox), mapping, once=True)
    assert (first.events, first.outcomes) == (10, 10)
    state = SqliteState(home / "state.db")
    mark = state.mark(*WHOSE)
    assert (mark.last_seq, mark.confirmed_seq) == (20, 10)
    report = ingest(str(write_csv(tmp_path / "more.csv", rows(*range(5, 15)))), mapping)
    assert (report.accepted, report.already) == (5, 5)
    put(inbox / "b.csv", *range(12, 18))
    again = stream(f"file://{inbox}", mapping, once=True)
    assert (again.events, again.repeated) == (3, 3)
    assert compacted("ecommerce", "shop").events == 3
    found = logged(home)
    assert found == {
        f"t{i}": seq for i, seq in zip(range(18), [*range(1, 11), *range(21, 26), 26, 27, 28], strict=True)
    }
    assert state.mark(*WHOSE).confirmed_seq == 28
    state.close()


def test_a_live_state_that_machines_share(
    home: Path, inbox: Path, tmp_path: Path, redis_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRADECT_STATE_URL", redis_db)
    mapping = str(tmp_path / "shop.yaml")
    put(inbox / "a.csv", *range(10))
    stream(str(inbox), mapping, once=True)
    report = ingest(str(write_csv(tmp_path / "more.csv", rows(*range(5, 15)))), mapping)
    assert (report.accepted, report.already) == (5, 5)
    state = open_state(redis_db)
    assert (state.mark(*WHOSE).last_seq, state.confirmed(*WHOSE)) == (25, 10)
    state.close()
    assert logged(home)["t14"] == 25


def test_the_lag_reaches_the_metrics_under_a_few_labels(home: Path, inbox: Path, tmp_path: Path) -> None:
    put(inbox / "a.csv", 1, 2)
    for _ in range(2):
        stream(str(inbox), str(tmp_path / "shop.yaml"), once=True)
    shared = open_shared(f"sqlite:///{home}/ledger.db")
    latest = SqlMeasurements(shared).latest()
    with shared.connect() as connection:
        assert connection.exec_driver_sql(_LAGS).scalar() == 1
    shared.dispose()
    metrics = Metrics()
    metrics.measured.take(latest)
    assert 'fradect_stream_lag{partition="0",topic="inbox"} ' in metrics.text().decode()


def test_kafka_by_its_url(home: Path, inbox: Path, tmp_path: Path) -> None:
    with mock_kafka() as kafka:
        kafka.topic("purchases"), kafka.topic("verdicts"), kafka.topic("purchases.dead")
        kafka.send("purchases", [message(i, fraud="") for i in range(20)] + [b"{"])
        kafka.send("verdicts", [verdict(3)])
        url = f"kafka://{kafka.servers}/purchases?group=flow"
        done = stream(url, str(tmp_path / "shop.yaml"), "verdicts", once=True)
        assert (done.events, done.outcomes, done.dead) == (20, 1, 1)
        assert len(kafka.read("purchases.dead")) == 1
    state = SqliteState(home / "state.db")
    assert state.mark(*WHOSE).confirmed_seq == 20
    state.close()


@pytest.mark.parametrize(
    ("url", "outcomes"),
    [("redis://host/1", None), ("kafka://host", None), ("nowhere/at/all", None), ("HERE", "verdicts")],
)
def test_a_stream_that_cannot_be_is_refused(inbox: Path, tmp_path: Path, url: str, outcomes: str | None) -> None:
    with pytest.raises(InvalidInput):
        stream(url.replace("HERE", str(inbox)), str(tmp_path / "shop.yaml"), outcomes, once=True)


def test_a_termination_ends_it_after_what_is_in_hand(home: Path, inbox: Path, tmp_path: Path) -> None:
    put(inbox / "a.csv", *range(3000))
    command = [FRADECT, "ingest", "--stream", str(inbox), "--mapping", str(tmp_path / "shop.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            _wait_for(home / "shared.db", "stream_events")
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 0, err
    assert "new events" in out
    done = stream(str(inbox), str(tmp_path / "shop.yaml"), once=True)
    compacted("ecommerce", "shop")
    assert len(logged(home)) == 3000
    assert done.repeated == 0


def _wait_for(database: Path, table: str) -> None:
    """Until something is in the table."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if database.exists():
            shared = open_shared(f"sqlite:///{database.parent}/ledger.db")
            with shared.connect() as connection:
                found = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()  # noqa: S608
            shared.dispose()
            if found:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing came into {table}")


def test_a_row_of_another_contract_or_key_is_refused_before_anything_is_taken(
    home: Path, inbox: Path, tmp_path: Path
) -> None:
    put(inbox / "a.csv", 1)
    stream(str(inbox), str(tmp_path / "shop.yaml"), once=True)
    (tmp_path / "shop.yaml").write_text(
        MAPPING.replace("base_currency: RUB", "base_currency: USD").replace("  USD:", "  RUB:")
    )
    write_csv(inbox / "b.csv", [row(2)])
    with pytest.raises(Conflict, match="name another tenant"):
        stream(str(inbox), str(tmp_path / "shop.yaml"), once=True)
