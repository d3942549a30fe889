"""Two services at work on batches over one PostgreSQL and one Redis, one of them killed: each row is decided once."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import sqlalchemy as sa

from fradect.adapters.batch_tables import batch_jobs
from fradect.adapters.shared_sql import open_shared
from fradect.jobs import LEASE
from fradect.types import SECOND
from serving.launch import Running, start
from tests.factories_decision import body
from tests.faults.checker import check
from tests.serving.conftest import promote, settings_of

ROWS, JOBS = 2_500, 3
BATCH, UPLOADS = "/api/v1/batch/score", "/api/v1/batch/uploads"
_j = batch_jobs.c


class Row(msgspec.Struct):
    """A line of the result, its answer byte for byte."""

    row: int
    transaction_id: str
    answer: msgspec.Raw


@dataclass
class Watched:
    """The jobs, as the database has them."""

    engine: sa.Engine

    def all(self) -> list[sa.Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(batch_jobs).order_by(_j.id)).all())

    def until(self, what: str, holds: Callable[[list[sa.Row[Any]]], bool], patience: float = 60.0) -> None:
        deadline = time.monotonic() + patience
        while not holds(rows := self.all()):
            assert time.monotonic() < deadline, (what, [(row.state, row.owner, row.taken) for row in rows])
            time.sleep(0.02)

    def grow_old(self) -> None:
        """As if every lease were about to end: nobody waits half a minute here. Who lives has renewed it by then."""
        with self.engine.begin() as connection:
            held = batch_jobs.update().where(_j.state == "running")
            connection.execute(held.values(lease_until=_j.lease_until - LEASE + 2 * SECOND))


def _service(home: Path, ledger_url: str, redis_url: str) -> Running:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    urls = {"ledger_url": ledger_url, "state_url": redis_url, "online_url": redis_url}
    return start(settings_of(home, port=port, budget_ms=3_000, **urls), home / f"service-{port}.log")


def _kill(running: Running) -> None:
    """All of it at once; nobody starts its worker again."""
    family, found = [running.process.pid], list[int]()
    while family:
        found.append(pid := family.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait()


def _lines(job: int) -> bytes:
    """Every tenth row of a job is another job's too."""
    names = (f"all-{n}" if n % 10 == 0 else f"job{job}-{n}" for n in range(ROWS))
    return b"".join(msgspec.json.encode(body(name, customer_id=f"c{name[-2:]}")) + b"\n" for name in names)


def test_what_a_killed_service_worked_on_another_finishes(tmp_path: Path, postgres: Any, redis_db: str) -> None:
    promote(tmp_path)
    ledger_url = postgres.new_database()
    first, second = (_service(tmp_path, ledger_url, redis_db) for _ in range(2))
    jobs = Watched(open_shared(ledger_url))
    headers = {"X-API-Key": (tmp_path / "keys" / "api-key").read_text().strip()}
    try:
        with httpx.Client(base_url=first.url, headers=headers, timeout=30, trust_env=False) as http:
            kind = {"Content-Type": "application/x-ndjson"}
            sent = [http.post(UPLOADS, content=_lines(n), headers=kind).json()["upload_id"] for n in range(JOBS)]
            asked = [http.post(BATCH, json={"upload_id": upload}).json()["job_id"] for upload in sent]
        jobs.until("two at work", lambda rows: len({r.owner for r in rows if r.owner and r.taken}) == 2)
        _kill(first)
        jobs.grow_old()
        jobs.until("all done", lambda rows: all(r.state == "done" for r in rows))
        with httpx.Client(base_url=second.url, headers=headers, timeout=30, trust_env=False) as http:
            results = [http.get(f"/api/v1/batch/jobs/{job}/result").content.splitlines() for job in asked]
        assert max(row.fence for row in jobs.all()) > 1, "nothing was taken over"
    finally:
        first.stop()
        second.stop()
        jobs.engine.dispose()
    answers: dict[str, bytes] = {}
    for lines in results:
        rows = [msgspec.json.decode(line, type=Row) for line in lines]
        assert [row.row for row in rows] == list(range(1, ROWS + 1))
        for row in rows:
            assert answers.setdefault(row.transaction_id, bytes(row.answer)) == bytes(row.answer)
    assert check(ledger_url, answers) == len(answers) == JOBS * ROWS - (JOBS - 1) * ROWS // 10
