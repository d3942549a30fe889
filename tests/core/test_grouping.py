"""Group commit: alone when idle, together when busy, each with its own answer; what never began is known not to be."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from fradect.crash import armed
from fradect.errors import Unavailable
from fradect.grouping import Grouped, NeverBegun
from fradect.turns import OwnThread


@pytest.fixture
def thread() -> Iterator[OwnThread]:
    thread = OwnThread("ledger")
    yield thread
    thread.close()


class Port:
    """Doubles numbers, says which came together, and can be held up."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self.begun = threading.Event()
        self.go.set()

    def double(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        self.begun.set()
        self.go.wait(10)
        return [ValueError(str(n)) if n < 0 else 2 * n for n in numbers]

    async def held(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.begun.wait)


def _run(thread: OwnThread, port: Port, body: Callable[[Grouped[int, int]], Any], most: int = 64) -> Any:
    async def run() -> Any:
        return await body(Grouped(thread, port.double, most))

    return asyncio.run(run())


def test_who_comes_alone_waits_for_nobody(thread: OwnThread) -> None:
    port = Port()

    async def one_by_one(grouped: Grouped[int, int]) -> list[int]:
        return [await grouped.call(5, n) for n in range(3)]

    assert _run(thread, port, one_by_one) == [0, 2, 4]
    assert port.groups == [[0], [1], [2]]


def test_who_comes_while_it_is_busy_goes_together_up_to_the_most(thread: OwnThread) -> None:
    port = Port()
    port.go.clear()

    async def crowd(grouped: Grouped[int, int]) -> list[int | BaseException]:
        calls = [asyncio.create_task(grouped.call(5, 0))]
        await port.held()
        calls += [asyncio.create_task(grouped.call(5, n)) for n in (1, 2, -3, 4, 5)]
        await asyncio.sleep(0.01)
        port.go.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = _run(thread, port, crowd, most=4)
    assert port.groups == [[0], [1, 2, -3, 4], [5]]
    assert [answer for answer in answers if not isinstance(answer, BaseException)] == [0, 2, 4, 8, 10]
    assert isinstance(answers[3], ValueError)


def test_what_is_raised_is_everybodys(thread: OwnThread) -> None:
    def gone(_: Sequence[int]) -> list[int | Exception]:
        raise Unavailable("gone")

    async def two() -> list[int | BaseException]:
        grouped: Grouped[int, int] = Grouped(thread, gone)
        return list(await asyncio.gather(grouped.call(5, 1), grouped.call(5, 2), return_exceptions=True))

    assert [type(answer) for answer in asyncio.run(two())] == [Unavailable, Unavailable]


def test_whose_time_is_up_before_its_turn_was_never_begun(thread: OwnThread) -> None:
    port = Port()
    port.go.clear()

    async def late(grouped: Grouped[int, int]) -> tuple[int, list[BaseException]]:
        first = asyncio.create_task(grouped.call(5, 0))
        await port.held()
        begun = asyncio.create_task(grouped.call(0.01, 1))
        errors = list(await asyncio.gather(begun, return_exceptions=True))
        port.go.set()
        await first
        port.begun.clear()
        port.go.clear()
        in_flight = asyncio.create_task(grouped.call(0.05, 2))
        errors += await asyncio.gather(in_flight, return_exceptions=True)
        port.go.set()
        return await grouped.call(5, 3), [error for error in errors if isinstance(error, BaseException)]

    answer, errors = _run(thread, port, late)
    assert answer == 6
    assert [type(error) for error in errors] == [NeverBegun, TimeoutError]
    assert port.groups == [[0], [2], [3]], "what was given up in time is not done"


def test_a_request_that_is_cancelled_leaves_its_place(thread: OwnThread) -> None:
    port = Port()
    port.go.clear()

    async def cancelled(grouped: Grouped[int, int]) -> None:
        first = asyncio.create_task(grouped.call(5, 0))
        await port.held()
        given_up = asyncio.create_task(grouped.call(5, 1))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        port.go.set()
        await first

    _run(thread, port, cancelled)
    assert port.groups == [[0]]


def test_closing_finishes_what_was_accepted_and_takes_nothing_more() -> None:
    port, thread = Port(), OwnThread("ledger")
    port.go.clear()

    async def close(grouped: Grouped[int, int]) -> list[int | BaseException]:
        calls = [asyncio.create_task(grouped.call(5, 0))]
        await port.held()
        calls += [asyncio.create_task(grouped.call(5, n)) for n in (1, 2)]
        await asyncio.sleep(0.01)
        closing = asyncio.get_running_loop().run_in_executor(None, thread.close)
        await asyncio.sleep(0.05)
        port.go.set()
        await closing
        calls.append(asyncio.create_task(grouped.call(5, 3)))
        return await asyncio.gather(*calls, return_exceptions=True)

    *answers, refused = _run(thread, port, close)
    assert answers == [0, 2, 4]
    assert isinstance(refused, NeverBegun)


def test_too_many_who_wait_are_told_so(thread: OwnThread) -> None:
    port = Port()
    port.go.clear()

    async def crowd(grouped: Grouped[int, int]) -> list[int | BaseException]:
        calls = [asyncio.create_task(grouped.call(5, 0))]
        await port.held()
        calls += [asyncio.create_task(grouped.call(5, n)) for n in range(1_100)]
        await asyncio.sleep(0.01)
        port.go.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    refused = [answer for answer in _run(thread, port, crowd) if isinstance(answer, NeverBegun)]
    assert len(refused) == 1_100 - 1_024


def test_a_crash_point_that_nobody_asked_for_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, number: killed.append(number))
    for asked in ("", "nowhere:1"):
        armed(asked)("after-commit")
    third = armed("after-commit:3")
    for name in ("after-commit", "before-insert", "after-commit"):
        third(name)
    assert not killed
    third("after-commit")
    assert killed == [9]
