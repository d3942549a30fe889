"""A real Redis behind a proxy with faults: the answer comes in time, by policy, and says what it was made without."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fradect.breaker import FAILURES
from serving.app import create
from serving.wiring import Service
from tests.factories_decision import body
from tests.factories_proxy import Proxy
from tests.serving.conftest import SCORE, Client, promote, settings_of

BUDGET_MS = 300
ASKED = 60


@pytest.fixture
def proxy(redis_db: str) -> Iterator[Proxy]:
    proxy = Proxy(int(redis_db.rsplit(":", 1)[1].partition("/")[0]))
    yield proxy
    proxy.close()


@pytest.fixture
def client(proxy: Proxy, redis_db: str, tmp_path: Path) -> Iterator[Client]:
    url = f"redis://127.0.0.1:{proxy.port}/{redis_db.rpartition('/')[2]}"
    promote(tmp_path, "ecommerce/standard")
    service = Service(settings_of(tmp_path, state_url=url, online_url=url, budget_ms=BUDGET_MS))
    app = create(service.start())
    service._housekeeping.stop()  # it asks Redis too, and here it is counted who asks
    yield Client(app, (tmp_path / "keys" / "api-key").read_text().strip(), service)
    service.close()


def _latency(proxy: Proxy) -> None:
    proxy.latency = 0.4


def _blackhole(proxy: Proxy) -> None:
    proxy.blackhole = True


async def _ask(client: Client, name: str, at_once: int, count: int) -> list[tuple[httpx.Response, float]]:
    numbers = iter(range(count))
    answers: list[tuple[httpx.Response, float]] = []
    transport = httpx.ASGITransport(app=client.app)

    async def one_after_the_other() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            for i in numbers:
                start = time.perf_counter()
                answer = await http.post(SCORE, json=body(f"{name}{i}"), headers={"X-API-Key": client.key})
                answers.append((answer, time.perf_counter() - start))

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return answers


def _count(client: Client, pattern: str) -> float:
    return sum(float(found) for found in re.findall(rf"^{pattern} (\S+)$", client.get("/metrics").text, re.MULTILINE))


@pytest.mark.parametrize("fault", [_latency, _blackhole, Proxy.reset, Proxy.down])
def test_without_redis_answers_are_degraded_in_time_and_it_recovers_by_itself(
    client: Client, proxy: Proxy, fault: Callable[[Proxy], Any]
) -> None:
    assert client.post(body("before")).json()["degraded"] == []
    fault(proxy)
    answers = asyncio.run(_ask(client, "during", 4, ASKED))
    assert {answer.status_code for answer, _ in answers} == {200}
    assert {tuple(answer.json()["degraded"]) for answer, _ in answers} == {("live_state", "batch_features")}
    assert {answer.json()["decision"] for answer, _ in answers} <= {"REVIEW", "DECLINE"}, "never a silent approval"
    took = sorted(seconds for _, seconds in answers)
    assert took[int(len(took) * 0.99)] <= (BUDGET_MS + 50) / 1000
    assert _count(client, 'fradect_degraded_total{module="ecommerce",what="live_state"}') == ASKED
    client.service._follow()
    assert _count(client, 'fradect_breaker_open{what="live_state"}') == 1

    proxy.mend()
    deadline = time.monotonic() + 20
    while "live_state" in client.post(body(f"after{time.monotonic()}")).json()["degraded"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.service._follow()
    assert _count(client, 'fradect_breaker_open{what="live_state"}') == 0


def test_a_dead_redis_costs_five_calls_and_then_one_a_second(client: Client, proxy: Proxy) -> None:
    client.post(body("before"))
    proxy.blackhole = True
    slow = [seconds for _, seconds in asyncio.run(_ask(client, "x", 1, FAILURES))]
    assert min(slow) >= 0.1, "each of the first waited for its share of the budget"
    asked = proxy.connections
    answers = asyncio.run(_ask(client, "y", 1, 20))
    assert proxy.connections - asked <= 2
    assert sorted(seconds for _, seconds in answers)[10] < 0.1
    assert all("live_state" in answer.json()["degraded"] for answer, _ in answers)
