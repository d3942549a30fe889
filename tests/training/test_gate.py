"""Gates: each can fail and can pass, and says why."""

from dataclasses import replace

import pytest

from fradect.policy import Limits
from fradect.types import Verdict
from tests.training.factories_training import make_evaluated
from training.bootstrap import Interval
from training.evaluate import Comparison
from training.gate import conclude, improvement, matured, replay

LIMITS = Limits()
_EVALUATED = make_evaluated().evaluation
MADE = replace(_EVALUATED, metrics={**_EVALUATED.metrics, "money_saved": Interval(900.0, 500.0, 1_300.0)})


EVEN = Interval(0, -5, 5)


def _comparison(gain: Interval, money: Interval = EVEN) -> Comparison:
    return Comparison(gain, money, champion_average_precision=0.5, champion_money_saved=1_000.0, events=2_000)


def test_the_first_candidate_has_to_beat_guessing() -> None:
    assert improvement(MADE, None, LIMITS).result == "pass"
    guessing = replace(MADE, metrics={**MADE.metrics, "average_precision": Interval(0.12, 0.05, 0.2)})
    verdict = improvement(guessing, None, LIMITS)
    assert verdict.result == "fail"
    assert "share of fraud" in verdict.reason


def test_the_first_candidate_must_not_certainly_lose_money() -> None:
    losing = replace(MADE, metrics={**MADE.metrics, "money_saved": Interval(-900.0, -1_500.0, -10.0)})
    assert "cost more than they save" in improvement(losing, None, LIMITS).reason
    unsure = replace(MADE, metrics={**MADE.metrics, "money_saved": Interval(-900.0, -1_500.0, 10.0)})
    assert improvement(unsure, None, LIMITS).result == "pass"


@pytest.mark.parametrize(
    ("gain", "result"),
    [
        (Interval(0.02, 0.01, 0.03), "pass"),
        (Interval(0.02, -0.001, 0.04), "fail"),
        (Interval(0.0, 0.0, 0.0), "fail"),
        (Interval(-0.02, -0.03, -0.01), "fail"),
    ],
)
def test_a_challenger_has_to_be_certainly_better(gain: Interval, result: str) -> None:
    verdict = improvement(MADE, _comparison(gain), LIMITS)
    assert verdict.result == result
    assert verdict.evidence["average_precision"]["value"] == gain.value


def test_a_margin_lets_an_equal_one_pass() -> None:
    equal = _comparison(Interval(0.0, -0.004, 0.004))
    assert improvement(MADE, equal, replace(LIMITS, improvement_margin=0.005)).result == "pass"
    assert improvement(MADE, equal, replace(LIMITS, improvement_margin=0.003)).result == "fail"


def test_a_better_ranking_that_certainly_saves_less_fails() -> None:
    gain = Interval(0.02, 0.01, 0.03)
    assert improvement(MADE, _comparison(gain, Interval(-300, -500, -100)), LIMITS).result == "fail"
    assert improvement(MADE, _comparison(gain, Interval(-15, -19, -11)), LIMITS).result == "pass"
    assert improvement(MADE, _comparison(gain, Interval(-300, -500, 1)), LIMITS).result == "pass"


@pytest.mark.parametrize(
    ("money", "result"),
    [
        (Interval(50, -10, 90), "pass"),
        (Interval(0, 0, 0), "pass"),
        (Interval(-15, -40, 5), "not enough data"),
        (Interval(-90, -150, -25), "fail"),
    ],
)
def test_an_edit_ranks_as_the_champion_does_so_money_alone_is_asked(money: Interval, result: str) -> None:
    alike = _comparison(Interval(0.0, 0.0, 0.0), money)
    assert improvement(MADE, alike, LIMITS).result == "fail"
    assert improvement(MADE, alike, LIMITS, is_edit=True).result == result
    losing = replace(MADE, metrics={**MADE.metrics, "money_saved": Interval(-900.0, -1_500.0, -10.0)})
    assert improvement(losing, None, LIMITS, is_edit=True).result == "fail", "without a champion it is a first one"


@pytest.mark.parametrize(
    ("money", "events", "result"),
    [
        (Interval(50, 10, 90), 2_000, "pass"),
        (Interval(50, -10, 90), 2_000, "not enough data"),
        (Interval(-50, -90, 0), 2_000, "fail"),
        (Interval(50, 10, 90), 999, "not enough data"),
    ],
)
def test_matured_events_say_better_worse_or_nothing_yet(money: Interval, events: int, result: str) -> None:
    found = replace(_comparison(Interval(0.0, 0.0, 0.0), money), events=events)
    assert matured(found, LIMITS).result == result
    assert matured(None, LIMITS).result == "not enough data"


def test_one_mismatch_is_one_too_many_and_no_event_proves_nothing() -> None:
    assert replay([], 1_000).result == "pass"
    failed = replay(["event e7: customer_count_1h 3.0 in history, 2.0 live"], 1_000)
    assert failed.result == "fail"
    assert "e7" in failed.reason
    assert replay([], 0).result == "fail"


def test_evidence_of_many_mismatches_stays_short() -> None:
    verdict = replay([f"event e{i}" for i in range(900)], 1_000)
    assert verdict.evidence["mismatches"] == 900
    assert len(verdict.evidence["first"]) == 5


def test_all_gates_as_one() -> None:
    good = Verdict("replay", "pass", "equal")
    unsure = Verdict("fairness", "not enough data", "no groups")
    bad = Verdict("improvement", "fail", "not above")
    assert conclude([good, unsure]).result == "pass"
    assert "fairness" in conclude([good, unsure]).reason
    failed = conclude([good, unsure, bad])
    assert failed.result == "fail"
    assert failed.reason == "improvement: not above"
    assert failed.evidence == {"replay": "pass", "fairness": "not enough data", "improvement": "fail"}
    assert conclude([]).result == "fail"
