"""More is asked than can be decided: the excess is told at once, the rest is decided, and nothing is left behind."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from statistics import mean

import httpx
import pytest

from serving.admission import LEAST, MOST, SHARE, Admission, Overloaded
from tests.factories_decision import body
from tests.serving.conftest import SCORE, Client

BUDGET = 0.3


async def _all_at_once(client: Client, count: int) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app=client.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        headers = {"X-API-Key": client.key}
        asked = (http.post(SCORE, json=body(f"tx{i}"), headers=headers) for i in range(count))
        return await asyncio.gather(*asked)


def test_the_excess_is_told_to_come_again_and_the_rest_is_decided(client: Client) -> None:
    held = client.service._admission
    held.limit = 5
    answers = asyncio.run(_all_at_once(client, 40))
    decided = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(decided) >= 5
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.json()["type"] for answer in refused} == {"urn:fradect:problem:overloaded"}
    assert len({answer.json()["decision_id"] for answer in decided}) == len(decided)
    assert held._in_flight == 0
    assert client.post(body("later")).status_code == 200
    assert 'fradect_request_errors_total{type="overloaded"}' in client.get("/metrics").text


def test_a_body_that_trickles_takes_nobodys_place(client: Client) -> None:
    client.service._admission.limit = 1

    async def go() -> int:
        transport = httpx.ASGITransport(app=client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            gate = asyncio.Event()

            async def trickle() -> AsyncIterator[bytes]:
                yield b"{"
                await gate.wait()

            headers = {"X-API-Key": client.key, "Content-Type": "application/json"}
            slow = asyncio.ensure_future(http.post(SCORE, content=trickle(), headers=headers))
            await asyncio.sleep(0.05)
            status = (await http.post(SCORE, json=body("quick"), headers=headers)).status_code
            gate.set()
            await slow
            return status

    assert asyncio.run(go()) == 200


class World:
    """A clock, the processor's time, and what one decision takes of either."""

    def __init__(self, cost: float, share: float = 1.0) -> None:
        self.now, self.cost, self.share = 0.0, cost, share
        self.admission = Admission(BUDGET, lambda: self.now * self.share, lambda: self.now)

    def saturate(self, seconds: float) -> float:
        """As many ask as are let in, always; the mean time of the last second's decisions."""
        taken: list[tuple[float, float]] = []
        waiting: deque[float] = deque()
        while self.now < seconds:
            with suppress(Overloaded):
                while True:
                    waiting.append(self.admission.enter())
            self.now += self.cost
            began = waiting.popleft()
            self.admission.leave(began)
            taken.append((self.now, self.now - began))
        return mean(took for at, took in taken if at > seconds - 1)


@pytest.mark.parametrize(("cost", "limit"), [(0.0002, MOST), (0.001, 100), (0.002, 50), (0.1, LEAST)])
def test_the_bound_is_a_third_of_the_budget_over_the_cost(cost: float, limit: int) -> None:
    world = World(cost)
    world.saturate(20.0)
    assert abs(world.admission.limit - limit) <= limit * 0.05


@pytest.mark.parametrize("share", [1.0, 0.5, 0.26])
def test_decisions_are_in_time_also_where_others_use_the_processor(share: float) -> None:
    """A third of the budget is for waiting, so that the slowest has time left."""
    assert World(0.004, share).saturate(20.0) <= SHARE * BUDGET * 1.3


def test_an_idle_service_does_not_learn_from_what_else_it_does() -> None:
    world = World(1.0, share=0.05)
    before = world.admission.limit
    for _ in range(20):
        began = world.admission.enter()
        world.now += 1.0
        world.admission.leave(began)
    assert world.admission.limit == before


def test_what_was_spent_before_anybody_asked_is_not_what_a_decision_costs() -> None:
    world = World(0.001)
    before = world.admission.limit
    world.now += 4.0
    for _ in range(2):
        began = world.admission.enter()
        world.now += 0.001
        world.admission.leave(began)
    assert world.admission.limit == before


def test_an_error_gives_the_place_back(client: Client) -> None:
    client.service._admission.limit = 1
    for _ in range(3):
        assert client.post({"transaction": {}}).status_code == 422
    assert client.post(body()).status_code == 200
