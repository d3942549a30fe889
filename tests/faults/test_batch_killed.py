"""The service at work on a batch, dying between a chunk's decisions and its progress: each row is decided once."""

import socket
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from fradect.adapters.batch_tables import batch_jobs, batch_uploads
from fradect.adapters.shared_sql import open_shared
from serving.launch import start
from tests.factories_decision import body
from tests.faults.checker import ROUNDS, check
from tests.serving.conftest import promote, settings_of

ROWS = 700 if ROUNDS <= 4 else 10_000
BATCH, UPLOADS = "/api/v1/batch/score", "/api/v1/batch/uploads"
_EACH = ["batch-decided:2", "batch-committed:1", "before-commit:40", "batch-decided:1", "batch-decided:3"]


class Row(msgspec.Struct):
    """A line of the result, its answer byte for byte."""

    row: int
    transaction_id: str | None
    answer: msgspec.Raw = msgspec.Raw()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lines() -> bytes:
    rows = [body(f"tx{n}", customer_id=f"c{n % 50}") for n in range(ROWS)]
    rows[7]["transaction"]["amount"] = -1
    rows[ROWS - 3] = rows[3]  # one that comes twice is decided once
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


@pytest.mark.parametrize("point", _EACH if ROUNDS > 4 else _EACH[:2])
def test_a_batch_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    promote(tmp_path)
    monkeypatch.setenv("FRADECT_CRASH_AT", point)
    running = start(settings_of(tmp_path, port=_free_port(), budget_ms=3_000), tmp_path / "service.log")
    key = (tmp_path / "keys" / "api-key").read_text().strip()
    try:
        with httpx.Client(base_url=running.url, headers={"X-API-Key": key}, timeout=10, trust_env=False) as http:
            sent = http.post(UPLOADS, content=_lines(), headers={"Content-Type": "application/x-ndjson"}).json()
            job = http.post(BATCH, json={"upload_id": sent["upload_id"]}).json()
            done = _followed(http, f"/api/v1/batch/jobs/{job['job_id']}")
            lines = http.get(done["result"]).content.splitlines()
    finally:
        running.stop()
    begun, uploads = _kept(tmp_path)
    assert begun > 1, "it never died"
    assert not uploads, "their keys go with the last chunk; a file that is left is swept up"
    rows = [msgspec.json.decode(line, type=Row) for line in lines]
    assert [row.row for row in rows] == list(range(1, ROWS + 1))
    assert (done["rejected"], done["done"]) == (1, ROWS)
    assert rows[ROWS - 3].answer == rows[3].answer
    answers = {str(row.transaction_id): bytes(row.answer) for row in rows if bytes(row.answer)}
    assert check(f"sqlite:///{tmp_path}/ledger.db", answers) == len(answers) == ROWS - 2


def _kept(home: Path) -> tuple[int, int]:
    """How often the job was begun, and how many uploads are left."""
    engine = open_shared(f"sqlite:///{home}/ledger.db")
    with engine.connect() as connection:
        fence: int = connection.execute(sa.select(batch_jobs.c.fence)).scalar_one()
        uploads: int = connection.execute(sa.select(sa.func.count()).select_from(batch_uploads)).scalar_one()
    engine.dispose()
    return fence, uploads


def _followed(http: httpx.Client, path: str, patience: float = 120.0) -> dict[str, Any]:
    """The job when it is over. The service dies again wherever it began anew."""
    deadline, said = time.monotonic() + patience, ""
    while time.monotonic() < deadline:
        try:
            answer = http.get(path)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code == 200 and answer.json()["status"] == "COMPLETED":
            return dict(answer.json())
        said = answer.text
        time.sleep(0.2)
    raise AssertionError(f"it is not over after {patience} s: {said}")
