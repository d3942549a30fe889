"""When a delivery is tried again, and when no more."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.deliveries import RETRY_SECONDS, Attempt, State, fate, has_failed_long, message
from fradect.types import DAY, SECOND

FAILED = Attempt(500, "status")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert fate(Attempt(status), 1, 7, 0.5).state == State.DELIVERED


@pytest.mark.parametrize(
    "attempt", [Attempt(301, "redirect"), FAILED, Attempt(error="timeout"), Attempt(404, "status")]
)
def test_anything_else_is_tried_again(attempt: Attempt) -> None:
    assert fate(attempt, 1, 0, 0.0).state == State.WAITING


@given(st.floats(0, 1))
def test_ten_tries_as_the_standard_has_them_with_jitter_then_dead(drawn: float) -> None:
    for attempts, seconds in enumerate(RETRY_SECONDS, start=1):
        its = fate(FAILED, attempts, 0, drawn)
        assert its.state == State.WAITING
        assert seconds * SECOND <= its.due_at <= 1.2 * seconds * SECOND
    assert fate(FAILED, len(RETRY_SECONDS) + 1, 0, drawn).state == State.DEAD
    assert 3 * DAY < sum(RETRY_SECONDS) * SECOND < 4 * DAY


def test_gone_is_dead_at_once() -> None:
    assert fate(Attempt(410, "status"), 1, 0, 0.0).state == State.DEAD


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    assert fate(Attempt(429, "status", 60), 1, 0, 0.0).due_at == 60 * SECOND
    assert fate(Attempt(429, "status", 1), 2, 0, 0.0).due_at == 300 * SECOND
    assert fate(Attempt(429, "status", 10**9), 1, 0, 0.0).due_at == DAY


def test_five_days_are_long() -> None:
    assert not has_failed_long(None, 10 * DAY)
    assert not has_failed_long(0, 5 * DAY - 1)
    assert has_failed_long(0, 5 * DAY)


def test_a_message_reads_as_the_interface_promises() -> None:
    held = json.loads(message("risk.decision.created", b'{"score":720}', 1_759_314_600_000_000))
    assert held == {"event": "risk.decision.created", "data": {"score": 720}, "timestamp": "2025-10-01T10:30:00Z"}
