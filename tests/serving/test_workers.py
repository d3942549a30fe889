"""The real service with two workers over PostgreSQL and Redis: one of everything, and a stop that loses nothing."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import risk_decisions
from fradect.errors import Refused
from fradect.settings import Settings
from serving.launch import GRACE_SECONDS, Running, start
from tests.factories_decision import body
from tests.serving.conftest import SCORE, promote, settings_of

WORKERS = 2


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, postgres: Any, new_redis_db: Callable[[], str]) -> Settings:
    home, redis_url = tmp_path_factory.mktemp("workers"), new_redis_db()
    promote(home, "ecommerce/standard")
    return settings_of(
        home,
        port=_free_port(),
        ledger_url=postgres.new_database(),
        state_url=redis_url,
        online_url=redis_url,
        budget_ms=3_000,
        workers=WORKERS,
    )


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[Running]:
    running = start(settings, settings.home / "logs" / "service.log")
    yield running
    running.stop()


def _key(settings: Settings) -> str:
    assert sorted(p.name for p in (settings.home / "keys").glob("api-key*")) == ["api-key"], "two workers, one key"
    return (settings.home / "keys" / "api-key").read_text().strip()


async def _load(running: Running, key: str, clients: int, until: asyncio.Event) -> tuple[dict[str, bytes], int]:
    """What was answered with 200, by id, from so many connections; and how many requests ended otherwise."""
    answers: dict[str, bytes] = {}
    refused = 0

    async def one(number: int) -> None:
        nonlocal refused
        async with httpx.AsyncClient(base_url=running.url, timeout=30, trust_env=False) as http:
            for i in range(100_000):
                if until.is_set():
                    return
                name = f"tx{number}-{i}"
                try:
                    answer = await http.post(SCORE, json=body(name), headers={"X-API-Key": key})
                except httpx.TransportError:
                    refused += 1
                    return
                if answer.status_code == 503 and answer.json()["type"] == "urn:fradect:problem:overloaded":
                    refused += 1  # never accepted, and told so
                    continue
                assert answer.status_code == 200, answer.text
                answers[name] = answer.content

    await asyncio.gather(*(one(i) for i in range(clients)))
    return answers, refused


def _stored(settings: Settings) -> tuple[dict[str, bytes], int]:
    engine = open_database(settings.ledger_url)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(risk_decisions.c.entity_id, risk_decisions.c.answer, risk_decisions.c.writer)
        ).all()
    engine.dispose()
    return {row.entity_id: bytes(row.answer) for row in rows}, len({row.writer for row in rows})


def _counted(text: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def test_a_killed_worker_is_replaced_and_what_was_counted_stays(running: Running, settings: Settings) -> None:
    key = _key(settings)
    headers = {"X-API-Key": key}
    for i in range(10):
        assert httpx.post(f"{running.url}{SCORE}", json=body(f"a{i}"), headers=headers, trust_env=False).is_success
    workers = _children(running.process.pid)
    assert len(workers) == WORKERS
    os.kill(workers[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(set(_children(running.process.pid)) - set(workers)) < 1 or not _answers(running, headers):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    text = httpx.get(f"{running.url}/metrics", trust_env=False).text
    assert _counted(text, "fradect_requests_total") >= 10
    assert _counted(text, "fradect_ready") == 1


def _answers(running: Running, headers: dict[str, str]) -> bool:
    try:
        answer = httpx.post(f"{running.url}{SCORE}", json=body("again"), headers=headers, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and msgspec.json.decode(answer.content)["decision_id"].startswith("dec_")


def _children(pid: int) -> list[int]:
    """The processes that it started and that work for the service."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in found if b"_bentoml_impl" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_several_workers_over_sqlite_are_refused_in_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"2 workers cannot share SQLite.*FRADECT_LEDGER_URL=postgresql") as refused:
        start(replace(settings, ledger_url=f"sqlite:///{tmp_path}/ledger.db"))
    assert "FRADECT_STATE_URL" not in str(refused.value)
    with pytest.raises(Refused, match="FRADECT_STATE_URL=redis"):
        start(replace(settings, state_url=f"sqlite:///{tmp_path}/state.db"))


def test_workers_count_together_and_stop_without_losing_an_answer(running: Running, settings: Settings) -> None:
    key = _key(settings)

    async def go() -> tuple[dict[str, bytes], float]:
        until = asyncio.Event()
        loading = asyncio.ensure_future(_load(running, key, 12, until))
        await asyncio.sleep(3)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        answers, _ = await loading  # every connection ends, each after an answer or before its request was taken
        await asyncio.to_thread(running.process.wait, GRACE_SECONDS + 20)
        return answers, time.monotonic() - began

    before = _counted(httpx.get(f"{running.url}/metrics", trust_env=False).text, "fradect_requests_total")
    with httpx.Client(base_url=running.url, timeout=10, trust_env=False, headers={"X-API-Key": key}) as http:
        for i in range(20):
            assert http.post(SCORE, json=body(f"before{i}")).status_code == 200
    counted = {
        _counted(httpx.get(f"{running.url}/metrics", trust_env=False).text, "fradect_requests_total") for _ in range(8)
    }
    assert counted == {before + 20.0}, "whichever worker is asked"
    answers, took = asyncio.run(go())
    assert running.process.returncode == 0
    assert took < GRACE_SECONDS + 5
    stored, writers = _stored(settings)
    assert writers >= WORKERS
    assert {name: raw for name, raw in stored.items() if name.startswith("tx")} == answers
    assert len(answers) > 20
