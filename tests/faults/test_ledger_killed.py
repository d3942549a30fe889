"""A writer that dies at any moment: whoever asks again gets the answer that was given, or the only one there is."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import pytest

from fradect.adapters.ledger_sql import SqlLedger
from tests.faults import ledger_client
from tests.faults.checker import ROUNDS, check
from tests.faults.ledger_client import Callers

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([ledger_client.__name__])


def _until_it_dies(
    url: str, names: Sequence[str], crash_at: str = "", kill_after: float | None = None
) -> dict[str, bytes]:
    """The answers that left the process."""
    here, there = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=ledger_client.work, args=(url, names, crash_at, there))
    process.start()
    there.close()
    answers: dict[str, bytes] = {}
    assert here.recv_bytes() == b"ready"
    if kill_after is not None:
        time.sleep(kill_after)
        process.kill()
    while (message := _next(here)) is not None:
        name, _, answer = message.partition(b" ")
        answers[name.decode()] = answer
    process.join()
    here.close()
    assert process.exitcode in (-9, 0)
    assert crash_at == "" or process.exitcode == -9, "it never came to the point"
    process.close()
    return answers


def _next(pipe: Connection) -> bytes | None:
    try:
        return pipe.recv_bytes()
    except EOFError:
        return None


def _asked_again(url: str, names: Sequence[str]) -> dict[str, bytes]:
    ledger, callers = SqlLedger(url), Callers(within=30.0)
    asyncio.run(callers.all(ledger, names))
    ledger.close()
    assert not callers.failures, "a retry succeeds the first time"
    return callers.answers


@pytest.mark.parametrize("point", ["before-insert", "before-commit", "after-commit"])
def test_killed_at_a_named_point(ledger_url: str, point: str) -> None:
    everything: dict[str, bytes] = {}
    for round_ in range(ROUNDS):
        names = [f"tx{round_}-{n}" for n in range(40)]
        before = _until_it_dies(ledger_url, names, f"{point}:{round_ % 4 + 1}")
        assert len(before) < len(names)
        after = _asked_again(ledger_url, names)
        assert {name: after[name] for name in before} == before
        everything |= after
    assert check(ledger_url, everything) == 40 * ROUNDS


def test_killed_at_any_moment_under_load(ledger_url: str) -> None:
    everything: dict[str, bytes] = {}
    draw = random.Random(4)
    for round_ in range(ROUNDS):
        names = [f"tx{round_}-{n}" for n in range(400)]
        before = _until_it_dies(ledger_url, names, kill_after=draw.uniform(0.0, 0.15))
        after = _asked_again(ledger_url, names[: len(before) + 40])
        assert {name: after[name] for name in before if name in after} == {n: before[n] for n in before if n in after}
        everything |= before | after
    assert check(ledger_url, everything) >= 40 * ROUNDS
