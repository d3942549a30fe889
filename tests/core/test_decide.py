"""The request's way: in order, within its budget, failing by policy, once for each id."""

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
from msgspec import structs

from fradect.decide import Decided, DifferentBody
from fradect.errors import Conflict, Unavailable, Uncertain
from fradect.grouping import NeverBegun
from fradect.judgement import judge
from fradect.ports import Arrival, Stored
from fradect.turns import OwnThread
from fradect.types import Action, Event
from tests.factories_bench import Bench, SlowLedger, asked
from tests.factories_decision import NOON, MemoryLedger, MemoryState, by_name, purchase, toy_loaded, vector_of

T = TypeVar("T")


def _run(what: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(what)


def test_an_answer_is_what_the_ledger_holds(bench: Bench) -> None:
    decided = _run(bench.decide(asked()))
    (record,) = bench.ledger.rows.values()
    assert decided.answer == record.answer
    assert decided.decision == record.decision
    assert record.decision.seq == 1
    assert record.event == purchase()
    assert record.options == {"include_factors": True}
    answer = msgspec.json.decode(decided.answer)
    assert answer["decision_id"] == "dec_1"
    assert answer["decision"] == "APPROVE"
    assert sum(factor["points"] for factor in answer["factors"]) == answer["score"]
    assert answer["degraded"] == []


def test_the_judgement_is_the_pure_functions(bench: Bench) -> None:
    decided = _run(bench.decide(asked()))
    assert decided.decision is not None
    again = judge(toy_loaded(), purchase(), decided.decision.vector, (), explain=True)
    assert (again.action, again.score, again.factors) == (
        decided.decision.action,
        decided.decision.score,
        decided.decision.factors,
    )


def test_a_repeat_gets_the_stored_bytes_and_is_judged_by_nobody(bench: Bench) -> None:
    first = _run(bench.decide(asked()))
    bench.state.error = AssertionError("a repeat must not arrive again")
    again = _run(bench.decide(asked()))
    assert (again.answer, again.decision) == (first.answer, None)


def test_the_same_id_with_another_request_is_refused(bench: Bench) -> None:
    _run(bench.decide(asked()))
    with pytest.raises(DifferentBody, match="'tx1' was decided for another request") as caught:
        _run(bench.decide(asked(digest="d2")))
    assert caught.value.status == 422
    assert not bench.state.withdrawn, "the arrival belongs to the decision that stands"


def test_requests_at_once_under_one_id_make_one_decision(bench: Bench) -> None:
    async def at_once() -> list[Decided]:
        decider, champion = bench.decider(), bench.champion
        return await asyncio.gather(*(decider.decide(asked(), champion) for _ in range(8)))

    answers = _run(at_once())
    assert len({decided.answer for decided in answers}) == 1
    assert [decided.decision is not None for decided in answers].count(True) == 1
    assert bench.made == 1


def test_the_loser_of_a_race_between_writers_gets_the_winners_answer(bench: Bench) -> None:
    class Slow(MemoryLedger):
        def find(self, *_who: str) -> Stored | None:
            return None

    bench.ledger = Slow(rows=bench.ledger.rows)
    first, second = _run(bench.decide(asked())), _run(bench.decide(asked()))
    assert first.answer == second.answer
    assert second.decision is None


@pytest.mark.parametrize("error", [Unavailable("gone"), OSError("gone"), RuntimeError("odd")])
def test_without_live_state_it_is_reviewed_and_says_so(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench.state.error = error
    with caplog.at_level(logging.CRITICAL):
        decided = _run(bench.decide(asked()))
    assert decided.decision is not None
    assert decided.decision.degraded == ("live_state",)
    assert decided.decision.action >= Action.REVIEW
    assert decided.decision.seq is None
    assert decided.decision.vector.missing["customer_count_1h"] == "live_state did not answer"


def test_without_batch_features_it_is_reviewed_and_says_so(bench: Bench) -> None:
    bench.batch.error = Unavailable("gone")
    decided = _run(bench.decide(asked()))
    assert decided.decision is not None
    assert decided.decision.degraded == ("batch_features",)
    assert decided.decision.action >= Action.REVIEW
    assert decided.decision.vector.missing["total_orders"] == "batch_features did not answer"
    assert by_name(decided.decision.vector)["customer_count_1h"] == 1


def test_a_contract_without_batch_features_reads_none(bench: Bench) -> None:
    bench.contract, bench.batch.error = "ecommerce/handbook", AssertionError("nobody asked")
    bench.state.layout = toy_loaded(bench.contract).reader.layout
    decided = _run(bench.decide(asked()))
    assert decided.decision is not None
    assert decided.decision.degraded == ()


def test_a_state_that_is_kept_for_another_release_is_as_good_as_none(bench: Bench) -> None:
    """Between a promotion here and the switch, or while another process still serves the release before."""
    bench.contract = "ecommerce/handbook"
    decided = _run(bench.decide(asked()))
    assert decided.decision is not None
    assert decided.decision.degraded == ("live_state",)
    assert decided.decision.action is Action.REVIEW


def test_a_slow_live_state_does_not_hold_the_answer_up(bench: Bench) -> None:
    release = threading.Event()

    class Slow(MemoryState):
        def arrive(self, event: Event) -> Arrival:
            release.wait(5)
            return super().arrive(event)

    bench.state, bench.budget_ms = Slow(), 200
    start = time.monotonic()
    decided = _run(bench.decide(asked()))
    took = time.monotonic() - start
    release.set()
    assert decided.decision is not None
    assert decided.decision.degraded == ("live_state",)
    assert took < 2.0


def test_without_the_ledger_there_is_no_decision_and_no_arrival_left(bench: Bench) -> None:
    bench.ledger.find_error = Unavailable("gone")
    with pytest.raises(Unavailable):
        _run(bench.decide(asked()))
    assert not bench.state.arrived
    bench.ledger.find_error, bench.ledger.commit_error = None, Unavailable("gone")
    with pytest.raises(Unavailable):
        _run(bench.decide(asked()))
    assert bench.state.withdrawn == ["tx1"]


def test_a_ledger_that_is_slow_to_write_may_have_written_so_the_arrival_stays(bench: Bench) -> None:
    ledger = SlowLedger()
    bench.ledger, bench.budget_ms = ledger, 300
    with pytest.raises(Unavailable, match="same id"):
        _run(bench.decide(asked()))
    ledger.release.set()
    assert not bench.state.withdrawn
    bench.threads[2].close()
    assert len(bench.ledger.rows) == 1, "what had begun was finished, and a repeat will find it"


def test_when_nobody_knows_whether_it_was_written_the_arrival_stays(bench: Bench) -> None:
    bench.ledger.commit_error = Uncertain("broke off")
    with pytest.raises(Uncertain):
        _run(bench.decide(asked()))
    assert not bench.state.withdrawn


def test_what_never_had_its_turn_at_the_ledger_leaves_no_arrival(bench: Bench) -> None:
    ledger = SlowLedger()
    bench.ledger, bench.budget_ms = ledger, 300

    async def two() -> list[Any]:
        decider, champion = bench.decider(), bench.champion
        first = asyncio.create_task(decider.decide(asked(), champion))
        while not bench.state.arrived:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        second = asyncio.create_task(decider.decide(asked(purchase("tx2")), champion))
        answers = await asyncio.gather(first, second, return_exceptions=True)
        ledger.release.set()
        return list(answers)

    assert [type(answer) for answer in _run(two())] == [Uncertain, NeverBegun]
    bench.threads[2].close()
    assert {record.event.event_id for record in bench.ledger.rows.values()} == {"tx1"}


def test_a_key_that_another_event_was_decided_under_is_refused(bench: Bench) -> None:
    class Keyed(MemoryLedger):
        def find(self, *_who: str) -> Stored | None:
            return Stored("dec_0", "d1", b"{}", "tx0")

    bench.ledger = Keyed()
    with pytest.raises(DifferentBody, match="the Idempotency-Key was used for 'tx0'"):
        _run(bench.decide(asked()))


def test_the_time_of_the_first_arrival_is_kept(bench: Bench) -> None:
    class Earlier(MemoryState):
        def arrive(self, event: Event) -> Arrival:
            return super().arrive(structs.replace(event, event_time=NOON - 5))

    bench.state = Earlier()
    _run(bench.decide(asked()))
    (record,) = bench.ledger.rows.values()
    assert record.event.event_time == NOON - 5


def test_a_conflict_that_the_state_finds_reaches_the_caller(bench: Bench) -> None:
    bench.state.error = Conflict("another event")
    with pytest.raises(Conflict):
        _run(bench.decide(asked()))
    assert not bench.ledger.rows


class _Broken:
    def probability_of(self, _row: object) -> float:
        raise ValueError("no")

    def contributions(self, _row: object) -> tuple[np.ndarray, float]:
        raise ValueError("no")


class _Nan(_Broken):
    def probability_of(self, _row: object) -> float:
        return float("nan")

    def contributions(self, _row: object) -> tuple[np.ndarray, float]:
        return np.zeros(1), 0.0


@pytest.mark.parametrize("model", [_Broken(), _Nan()])
def test_a_model_that_fails_leaves_the_rules_and_at_least_review(model: _Broken) -> None:
    release = replace(toy_loaded(), model=model)
    seen = vector_of(release.contract, 0.0, card_count_1h=9.0)
    judgement = judge(release, purchase(), seen, (), explain=True)
    assert judgement.degraded == ("model",)
    assert judgement.action is Action.REVIEW
    assert judgement.score == 120
    assert sum(factor.points for factor in judgement.factors) == 120


def test_without_factors_the_model_is_one_factor_and_the_score_the_same(bench: Bench) -> None:
    long = _run(bench.decide(asked()))
    short = _run(bench.decide(asked(purchase("tx2"), explain=False)))
    assert long.decision is not None
    assert short.decision is not None
    assert long.decision.score == short.decision.score
    assert [f.name for f in short.decision.factors] == ["model"]


def test_a_full_queue_is_unavailable_at_once() -> None:
    thread = OwnThread("x", most_waiting=1)
    release = threading.Event()

    async def two() -> None:
        first = asyncio.ensure_future(thread.call(5, release.wait, 5))
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="too busy"):
            await thread.call(5, release.wait, 5)
        release.set()
        assert await first

    _run(two())
    thread.close()
