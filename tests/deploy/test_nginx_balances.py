"""Two whole services behind nginx, one of which is killed under load: no decision is lost, none is made twice."""

import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fradect.adapters.keys import ApiKeys
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.vault import HomeVault
from fradect.settings import Settings
from serving.launch import Running, start
from tests.factories_decision import body
from tests.factories_nginx import Nginx
from tests.faults.checker import check
from tests.serving.conftest import SCORE, promote, settings_of

CALLERS = 6
REQUESTS = 30  # of each caller, before the kill and after it


@pytest.fixture
def database(nginx_is_here: None, postgres: Any) -> str:
    return str(postgres.new_database())


@pytest.fixture
def instances(tmp_path: Path, database: str, new_redis_db: Callable[[], str]) -> Iterator[list[Running]]:
    """Two homes with the same keys and releases, over one database and one Redis."""
    redis_url, ledger_url = new_redis_db(), database
    first = tmp_path / "first"
    promote(first, "ecommerce/standard")
    HomeVault(first)
    engine = open_shared(ledger_url)
    ApiKeys(engine, first / "keys").first("demo", 1)
    engine.dispose()
    shutil.copytree(first, tmp_path / "second")
    places = {"ledger_url": ledger_url, "state_url": redis_url, "online_url": redis_url}
    settings = [settings_of(tmp_path / name, port=_free_port(), **places) for name in ("first", "second")]
    with ThreadPoolExecutor(2) as pool:
        running = list(pool.map(_start, settings))
    yield running
    for one in running:
        one.stop()


def _start(settings: Settings) -> Running:
    return start(settings, settings.home / "service.log")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Caller:
    """As a merchant's code does: what was not answered is asked again, under the same transaction_id."""

    def __init__(self, front: Nginx, key: str) -> None:
        self._http = front.client(headers={"X-API-Key": key})
        self.answers: dict[str, bytes] = {}
        self.refused: Counter[int] = Counter()

    def ask(self, name: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            response = self._http.post(SCORE, json=body(name))
            if response.status_code == 200:
                self.answers[name] = response.content
                return
            assert response.status_code in (502, 503, 504), response.text
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"]
            self.refused[response.status_code] += 1
            time.sleep(0.05)
        raise AssertionError(f"{name} was not answered")

    def close(self) -> None:
        self._http.close()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _kill(running: Running) -> None:
    for pid in _family(running.process.pid):
        os.kill(pid, signal.SIGKILL)


def test_one_of_two_instances_is_killed_under_load(
    nginx: Callable[..., Nginx], instances: list[Running], database: str, tmp_path: Path
) -> None:
    front = nginx(*(httpx.URL(one.url).port for one in instances))
    key = (tmp_path / "first" / "keys" / "api-key").read_text().strip()
    callers = [Caller(front, key) for _ in range(CALLERS)]
    midway = threading.Barrier(CALLERS + 1)

    def work(which: int) -> None:
        for n in range(2 * REQUESTS):
            if n == REQUESTS:
                midway.wait(60)
            callers[which].ask(f"tx{which}-{n}")

    with ThreadPoolExecutor(CALLERS) as pool:
        working = [pool.submit(work, which) for which in range(CALLERS)]
        midway.wait(60)
        time.sleep(0.03)
        _kill(instances[1])
        for one in working:
            one.result()
    answers = {name: answer for caller in callers for name, answer in caller.answers.items()}
    refused = sum((caller.refused for caller in callers), Counter())
    for name in (f"tx{which}-{n}" for which in range(2) for n in range(0, 2 * REQUESTS, 7)):
        callers[0].ask(name)
        assert callers[0].answers[name] == answers[name], "asked again, the answer is the one that was stored"
    for caller in callers:
        caller.close()
    assert check(database, answers) == len(answers) == CALLERS * 2 * REQUESTS
    asked = Counter(line["instance"].split(", ")[-1] for line in front.logged(len(answers)) if line["status"] == 200)
    assert len(asked) == 2, "both had their share"
    assert min(asked.values()) > CALLERS * REQUESTS / 5
    assert refused.total() <= 2 * CALLERS, "only what had been sent already is left to its caller"
