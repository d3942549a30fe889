"""The relay of webhooks, dying at any moment: what was decided is told, at least once, and no message becomes two."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fradect.adapters.webhook_queue import LEASE
from fradect.adapters.webhook_tables import webhook_deliveries
from fradect.deliveries import Endpoint, State
from serving.relay import COMMAND
from tests.factories_receiver import Receiver
from tests.factories_webhooks import Town
from tests.faults.checker import ROUNDS

Process = subprocess.Popen[bytes]


@pytest.fixture
def town(ledger_url: str, tmp_path: Path) -> Iterator[Town]:
    held = Town(ledger_url, tmp_path)
    yield held
    held.close()


@pytest.fixture
def shop() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def relay(ledger_url: str, tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    """Starts the real process, which dies at the point that is named."""
    started: list[Process] = []

    def start(crash_at: str = "") -> Process:
        environment = os.environ | {
            "FRADECT_HOME": str(tmp_path),
            "FRADECT_LEDGER_URL": ledger_url,
            "FRADECT_CRASH_AT": crash_at,
            "FRADECT_OUTWARD_NETWORKS": "127.0.0.0/8",
            "FRADECT_OUTWARD_PORTS": "1-65535",
            "FRADECT_OUTWARD_HTTP": "true",
        }
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(COMMAND, env=environment, stdin=pipe, stdout=pipe))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def _until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def _leases_end(town: Town) -> None:
    d = webhook_deliveries.c
    with town.engine.begin() as connection:
        waiting = webhook_deliveries.update().where(d.state == str(State.WAITING))
        connection.execute(waiting.values(due_at=d.due_at - LEASE))


def _all_told(town: Town, endpoint: Endpoint, count: int) -> bool:
    told = town.told_of(endpoint)
    return len(told) == count and {one.state for one in told} == {State.DELIVERED}


@pytest.mark.parametrize("point", ["relay-handing-on", "relay-leased", "relay-sent"])
def test_killed_at_a_named_point(town: Town, shop: Receiver, relay: Callable[[str], Process], point: str) -> None:
    endpoint = town.listen(shop.url)
    names = [f"tx{n}" for n in range(12)]
    town.decide(*names)
    assert relay(f"{point}:1").wait(20) == -9, "it never came to the point"
    sent_before = len(shop.received)
    assert (sent_before > 0) == (point == "relay-sent")
    _leases_end(town)
    relay("")
    _until(lambda: _all_told(town, endpoint, len(names)))
    assert sorted(set(shop.ids())) == sorted(one.message_id for one in town.told_of(endpoint))
    again = [one for one in town.told_of(endpoint) if one.attempts > 1]
    assert bool(again) == (point != "relay-handing-on")
    assert sent_before <= len(shop.ids()) - len(names) <= len(again), "only what was not written down is sent again"


def test_killed_at_any_moment_while_others_go_on(town: Town, shop: Receiver, relay: Callable[[str], Process]) -> None:
    endpoint, draw = town.listen(shop.url), random.Random(5)
    count = 0
    for round_ in range(ROUNDS):
        running = [relay(""), relay("")]
        for _ in range(4):
            town.decide(*[f"tx{round_}-{count + n}" for n in range(10)])
            count += 10
            time.sleep(draw.uniform(0.1, 0.4))
        for process in running:
            process.kill()
            process.wait()
    _leases_end(town)
    relay("")
    _until(lambda: _all_told(town, endpoint, min(count, 100)) or (count > 100 and town.waiting() == 0))
    assert len(set(shop.ids())) == count


def test_it_ends_with_whoever_started_it(town: Town, shop: Receiver, relay: Callable[[str], Process]) -> None:
    endpoint = town.listen(shop.url)
    town.decide("tx1")
    process = relay("")
    _until(lambda: _all_told(town, endpoint, 1))
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_it_loads_nothing_of_what_decisions_need() -> None:
    code = "import sys, serving.wiring_relay; print(*{m.split('.')[0] for m in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"xgboost", "pandas", "pyarrow", "zen", "bentoml", "feast", "prometheus_client"}
    assert not heavy & set(ended.stdout.split())
