"""The whole service, over HTTP, dying at named points and coming back: callers who ask again get one decision each."""

import itertools
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serving.launch import start
from tests.factories_decision import body
from tests.factories_postgres import PostgresServer
from tests.faults.checker import ROUNDS, check
from tests.serving.conftest import SCORE, promote, settings_of

CALLERS = 4
REQUESTS = 10  # of each caller, at least; as many as it takes to come to the point


_EACH = [
    ("sqlite", "mid-response:25"),
    ("postgresql", "after-commit:10"),
    ("sqlite", "after-commit:10"),
    ("sqlite", "before-insert:10"),
    ("postgresql", "mid-response:25"),
    ("postgresql", "before-commit:10"),
]


class Caller:
    """Asks until it is answered, and counts how often the connection broke."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=5, trust_env=False)
        self.answers: dict[str, bytes] = {}
        self.broken = 0

    def ask(self, name: str, patience: float = 60.0) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                response = self._http.post(SCORE, json=body(name), headers={"Idempotency-Key": f"key-{name}"})
            except httpx.TransportError:
                self.broken += 1
                time.sleep(0.1)
                continue
            if response.status_code == 200:
                self.answers[name] = response.content
                return
            assert response.status_code in (409, 503), response.text
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"]
            time.sleep(0.1)
        raise AssertionError(f"{name} was not answered within {patience} s")

    def close(self) -> None:
        self._http.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("kind", "point"), _EACH if ROUNDS > 4 else _EACH[:2])
def test_killed_under_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str, point: str
) -> None:
    promote(tmp_path)
    url = f"sqlite:///{tmp_path}/ledger.db" if kind == "sqlite" else request.getfixturevalue("postgres").new_database()
    settings = settings_of(tmp_path, ledger_url=url, port=_free_port(), budget_ms=3_000)
    monkeypatch.setenv("FRADECT_CRASH_AT", point)
    running = start(settings, tmp_path / "logs" / "service.log")
    key = (tmp_path / "keys" / "api-key").read_text().strip()
    callers = [Caller(running.url, key) for _ in range(CALLERS)]
    for_all = REQUESTS * max(1, ROUNDS // 10)

    def work(which: int) -> None:
        for n in range(for_all):
            callers[which].ask(f"tx{which}-{n}")

    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(work, range(CALLERS)))
        assert sum(caller.broken for caller in callers) > 0, "it never died"
        answers = {name: answer for caller in callers for name, answer in caller.answers.items()}
        asker = callers[0]
        for name, answer in itertools.islice(answers.items(), 5):
            asker.ask(name)
            assert asker.answers[name] == answer
        assert check(url, answers) == len(answers) == CALLERS * for_all
    finally:
        for caller in callers:
            caller.close()
        running.stop()


def test_a_database_that_stops_answering_is_503_within_a_second_and_decides_again_after(
    tmp_path: Path, postgres_bin: Path
) -> None:
    server = PostgresServer(postgres_bin)
    promote(tmp_path)
    url = server.new_database()
    running = start(settings_of(tmp_path, ledger_url=url, port=_free_port(), budget_ms=300), tmp_path / "service.log")
    key = (tmp_path / "keys" / "api-key").read_text().strip()
    try:
        with httpx.Client(base_url=running.url, headers={"X-API-Key": key}, timeout=10, trust_env=False) as http:
            _until(http, "warm")
            threading.Timer(2.0, server.thaw).start()
            server.freeze()
            refused = []
            for n in range(3):
                began = time.monotonic()
                response = http.post(SCORE, json=body(f"frozen-{n}"))
                refused.append((response.status_code, "retry-after" in response.headers))
                assert time.monotonic() - began < 3.0, "a second, on a machine that is not busy with other things"
            assert refused == [(503, True)] * 3
            answers = {name: _until(http, name) for name in ("frozen-0", "frozen-1", "frozen-2", "after")}
        assert check(url, answers) == 5
    finally:
        running.stop()
        server.remove()


def _until(http: httpx.Client, name: str, patience: float = 20.0) -> bytes:
    deadline = time.monotonic() + patience
    while (response := http.post(SCORE, json=body(name))).status_code != 200:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.1)
    return response.content
