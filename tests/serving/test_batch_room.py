"""What requests leave to batches: all of it while nobody asks, a little under traffic, nothing when it is full."""

import asyncio

import pytest

from serving.admission import Admission
from serving.batch_room import DOUBLING_SECONDS, QUIET_SECONDS, TRICKLE_SECONDS, WIDEST, WIDTH, SpareRoom


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock: Clock) -> Admission:
    return Admission(0.3, spent=lambda: 0.0, now=clock)


async def _has_room(room: SpareRoom, hold: asyncio.Event) -> bool:
    """Whether one more gets in at once; it stays until it is told to go."""
    entered = asyncio.Event()

    async def row() -> None:
        began = await room.enter()
        entered.set()
        await hold.wait()
        room.leave(began)

    task = asyncio.create_task(row())
    await asyncio.sleep(0.001)
    if not entered.is_set():
        task.cancel()
    return entered.is_set()


async def _fill(room: SpareRoom, hold: asyncio.Event, most: int = 99) -> int:
    got = 0
    while got < most and await _has_room(room, hold):
        got += 1
    return got


async def _let_go(hold: asyncio.Event) -> None:
    hold.set()
    await asyncio.sleep(0.001)
    hold.clear()


def test_while_nobody_asks_rows_go_side_by_side(admission: Admission, clock: Clock) -> None:
    async def play() -> None:
        room, hold = SpareRoom(admission, clock), asyncio.Event()
        admission.limit = 4 * WIDEST
        assert await _fill(room, hold) == WIDEST
        assert admission.in_flight == WIDEST
        await _let_go(hold)
        assert admission.in_flight == 0

    asyncio.run(play())


def test_under_traffic_one_goes_at_a_time_and_not_often(admission: Admission, clock: Clock) -> None:
    async def play() -> None:
        room, hold = SpareRoom(admission, clock), asyncio.Event()
        admission.leave(admission.enter())
        assert await _fill(room, hold) == 1
        clock.now += 2 * TRICKLE_SECONDS
        assert await _fill(room, hold) == 0, "the first is under way still"
        await _let_go(hold)
        assert await _fill(room, hold) == 1
        await _let_go(hold)
        assert await _fill(room, hold) == 0, "it is too early"
        clock.now += 2 * QUIET_SECONDS
        began = admission.enter()
        assert await _fill(room, hold) == 1, "a request is in flight"
        admission.leave(began)
        await _let_go(hold)
        clock.now += QUIET_SECONDS + DOUBLING_SECONDS / 2
        assert await _fill(room, hold) == WIDTH

    asyncio.run(play())


def test_the_longer_nobody_asked_the_more_go_side_by_side(admission: Admission, clock: Clock) -> None:
    async def play() -> list[int]:
        room, hold, fits = SpareRoom(admission, clock), asyncio.Event(), []
        admission.limit = 4 * WIDEST
        admission.leave(admission.enter())
        assert await _fill(room, hold) == 1
        await _let_go(hold)
        clock.now += QUIET_SECONDS
        for _ in range(6):
            clock.now += DOUBLING_SECONDS / 100
            fits.append(await _fill(room, hold))
            await _let_go(hold)
            clock.now += DOUBLING_SECONDS
        return fits

    assert asyncio.run(play()) == [8, 16, 32, 64, 64, 64]


def test_who_waits_for_room_hears_of_it_at_once(admission: Admission, clock: Clock) -> None:
    async def play() -> None:
        room = SpareRoom(admission, clock)
        admission.limit = 4
        first, second = await room.enter(), await room.enter()
        waiting = asyncio.create_task(room.enter())
        await asyncio.sleep(0)
        room.leave(first)
        for _ in range(4):
            await asyncio.sleep(0)
        assert waiting.done(), "it did not wait for its next look"
        room.leave(second)
        room.leave(waiting.result())
        assert admission.in_flight == 0

    asyncio.run(play())


def test_when_it_is_full_nothing_goes(admission: Admission, clock: Clock) -> None:
    async def play() -> None:
        room, hold = SpareRoom(admission, clock), asyncio.Event()
        began = [admission.enter() for _ in range(admission.limit // 2)]
        clock.now += 10.0
        assert await _fill(room, hold) == 0
        admission.leave(began.pop())
        assert await _fill(room, hold) == 1

    asyncio.run(play())
