"""The real service as a child process: it starts, survives a kill without losing an answer, refuses a second one."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.tables import risk_decisions
from fradect.errors import Refused
from fradect.settings import Settings
from serving.launch import Running, start
from tests.factories_decision import body
from tests.factories_tokens import declare, token
from tests.serving.conftest import SCORE, promote, settings_of


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("launched")
    promote(home)
    return settings_of(home, port=_free_port(), budget_ms=3_000, issuers=declare(home / "issuers"))


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[Running]:
    running = start(settings, settings.home / "logs" / "service.log")
    yield running
    running.stop()


@pytest.fixture
def http(running: Running, settings: Settings) -> Iterator[httpx.Client]:
    key = (settings.home / "keys" / "api-key").read_text().strip()
    with httpx.Client(base_url=running.url, headers={"X-API-Key": key}, timeout=10, trust_env=False) as client:
        yield client


def _again(http: httpx.Client, request: object, patience: float = 60.0) -> httpx.Response:
    """What a caller does: on a broken connection or 503, ask again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            response = http.post(SCORE, json=request)
            if response.status_code != 503 or time.monotonic() > deadline:
                return response
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def test_a_token_of_a_declared_issuer_is_taken_and_one_of_another_is_not(
    http: httpx.Client, settings: Settings
) -> None:
    del http.headers["X-API-Key"]
    wanted: list[tuple[dict[str, Any], int]] = [
        ({}, 422),
        ({"role": "analyst"}, 403),
        ({"iss": "https://other.example/"}, 401),
    ]
    for claims, status in wanted:
        headers = {"Authorization": f"Bearer {token(**claims)}"}
        assert http.post(SCORE, json={}, headers=headers).status_code == status


def test_a_killed_worker_loses_no_answer(http: httpx.Client, settings: Settings) -> None:
    answers = {}
    for round_ in range(2):
        for i in range(5):
            name = f"tx{round_}-{i}"
            answers[name] = _again(http, body(name)).content
        worker = int((settings.home / "ledger.db.lock").read_text())
        os.kill(worker, signal.SIGKILL)
        assert _again(http, body(name)).content == answers[name]
        assert int((settings.home / "ledger.db.lock").read_text()) != worker
    engine = open_database(settings.ledger_url)
    with engine.connect() as connection:
        stored = dict(
            tuple(row) for row in connection.execute(sa.select(risk_decisions.c.entity_id, risk_decisions.c.answer))
        )
    engine.dispose()
    assert stored == answers


def test_a_second_service_says_at_once_why_not(running: Running, settings: Settings) -> None:
    with pytest.raises(Refused, match="is taken"):
        start(settings)
    with pytest.raises(Refused, match="one writer"):
        start(replace(settings, port=_free_port()), settings.home / "logs" / "second.log")
    assert running.process.poll() is None


def test_answers_over_the_wire_are_problems_too(http: httpx.Client) -> None:
    assert http.get("/nope").headers["content-type"] == "application/problem+json"
    assert http.get("/health").json() == {"status": "ok"}


def test_logs_hold_no_key_and_no_personal_text(http: httpx.Client, settings: Settings) -> None:
    _again(http, body("tx-log"))
    text = (settings.home / "logs" / "service.log").read_text()
    assert "keys/api-key" in text
    assert (settings.home / "keys" / "api-key").read_text().strip() not in text
    assert "ada@example.org" not in text


def test_the_service_loads_none_of_the_batch_packages() -> None:
    code = "import sys, serving.service; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    batch = {"mlflow", "prefect", "evidently", "great_expectations", "optuna", "fairlearn", "feast", "duckdb"}
    assert not batch & set(done.stdout.split())


def _root() -> Path:
    return Path(__file__).resolve().parents[2]
