"""What lists say of an event is an input of its decision: stored with it, and missed aloud when it cannot be had."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from fradect.decide import Champion, Decider, Ports, Request, Source
from fradect.errors import Unavailable
from fradect.judgement import judge
from fradect.lists import NOTHING_LISTED, Entry, ListName, Lists
from fradect.ports import Signals
from fradect.sight import LISTS
from fradect.turns import OwnThread
from fradect.types import Action, Decision, Event, Value
from tests.factories_decision import NOON, MemoryBatch, MemoryLedger, MemoryState, purchase, toy_loaded

DENIED = Lists([Entry("demo", "ecommerce", ListName.DENY, "device", "d1")])


class Gone:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def of(self, _event: Event) -> Mapping[str, Value]:
        raise self._error


@pytest.fixture
def threads() -> Iterator[list[OwnThread]]:
    threads = [OwnThread(name) for name in ("state", "batch", "ledger", "reads")]
    yield threads
    for thread in threads:
        thread.close()


def _decide(threads: list[OwnThread], signals: Signals, event: Event) -> Decision:
    ports = Ports(MemoryState(), MemoryLedger(), *threads, signals=signals)
    decider = Decider(ports, 60_000, Source(lambda: NOON, lambda: "dec_1"))
    request = Request(event, "req_1", "digest", explain=True)
    decided = asyncio.run(decider.decide(request, Champion(toy_loaded(), MemoryBatch()))).decision
    assert decided is not None
    return decided


def test_signals_are_stored_with_the_decision_and_make_it_again(threads: list[OwnThread]) -> None:
    event = purchase()
    decision = _decide(threads, DENIED, event)
    assert decision.signals["deny_device"] is True
    assert decision.signals["allow_device"] is False
    assert decision.action is Action.DECLINE
    again = judge(toy_loaded(), event, decision.vector, (), explain=True, signals=decision.signals)
    assert (again.action, again.score, again.factors, again.could_not_run) == (
        decision.action,
        decision.score,
        decision.factors,
        decision.could_not_run,
    )


def test_nothing_listed_is_an_answer_and_not_a_gap(threads: list[OwnThread]) -> None:
    decision = _decide(threads, NOTHING_LISTED, purchase(ip="192.0.2.1", email_domain="example.org"))
    assert set(decision.signals.values()) == {False}
    assert decision.degraded == ()
    assert not [rule for rule in decision.could_not_run if rule.startswith(("denied", "allowed"))]


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("anything")])
def test_lists_that_cannot_be_had_mean_review_and_rules_that_could_not_run(
    threads: list[OwnThread], error: Exception
) -> None:
    decision = _decide(threads, Gone(error), purchase())
    assert decision.degraded == (LISTS,)
    assert decision.action is Action.REVIEW
    assert {"denied_device", "allowed_customer"} <= set(decision.could_not_run)
    assert decision.signals == {}
