"""The breaker: opens after so many failures in a row, tries once in each rest, closes when it is answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("it", failures=3, rest=1.0, now=clock)


def _fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.allows()
        breaker.failed()


def test_it_opens_at_the_third_failure_in_a_row(breaker: Breaker) -> None:
    _fail(breaker, 2)
    breaker.succeeded()
    _fail(breaker, 2)
    assert not breaker.is_open
    _fail(breaker, 1)
    assert breaker.is_open
    assert not breaker.allows()


def test_one_call_in_each_rest_tries_it_and_closes_it_when_answered(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    for _ in range(3):
        clock.now += 1.0
        assert breaker.allows()
        assert not breaker.allows(), "the others do not wait with it"
        breaker.failed()
    clock.now += 1.0
    assert breaker.allows()
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.allows()
    assert breaker.allows()


def test_a_try_that_never_says_how_it_went_is_followed_by_another(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, 3)
    clock.now += 1.0
    assert breaker.allows()
    clock.now += 1.0
    assert breaker.allows()


@given(st.lists(st.booleans(), max_size=60))
def test_while_nothing_answers_calls_are_few_whatever_came_before(history: list[bool]) -> None:
    clock = Clock()
    breaker = Breaker("it", failures=5, rest=1.0, now=clock)
    for answered in history:
        if breaker.allows():
            breaker.succeeded() if answered else breaker.failed()
    called = 0
    for _ in range(1_000):
        clock.now += 0.01
        if breaker.allows():
            called += 1
            breaker.failed()
    assert called <= 5 + 10
