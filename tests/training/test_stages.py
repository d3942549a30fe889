"""What becomes of a challenger: never on without enough, never on over a gate that failed."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.policy import Stages
from fradect.rollout import Rollout, Stage, Step, named, promoted, rolled_back, shadowed, split, widened
from fradect.types import HOUR, Verdict
from training.stages import Move, Promote, Wait, Widen, Withdraw, enough, next_move
from training.watching import Seen

GATES = ("data", "errors", "declines", "cost")
QUICK = Stages(hours=0.0)
START = 1_000
STEP = Step("tried", "ann", "a test", START)
SHADOW = shadowed(named(None, "rel_a", STEP), "rel_b", STEP)

results = st.sampled_from(["pass", "fail", "not enough data"])
verdicts = st.fixed_dictionaries(dict.fromkeys((*GATES, "matured"), results)).map(
    lambda found: [Verdict(gate, result, "so it is") for gate, result in found.items()]
)
stages = st.builds(
    Stages,
    shares=st.lists(st.integers(1, 9_999), max_size=4, unique=True).map(lambda found: tuple(sorted(found))),
    hours=st.sampled_from([0.0, 1.0, 24.0]),
    labels=st.booleans(),
)


@st.composite
def trials(draw: st.DrawFn) -> Rollout:
    now = SHADOW
    kind = draw(st.sampled_from(Stage))
    if kind is Stage.CANARY:
        now = widened(now, draw(st.integers(1, 9_999)), STEP)
    if kind is Stage.SPLIT:
        now = split(now, draw(st.integers(1, 9_999)), START + draw(st.integers(1, 100)) * HOUR, STEP)
    return now


def said(**results: str) -> list[Verdict]:
    """Every gate passed, but for these."""
    return [Verdict(gate, results.get(gate, "pass").replace("_", " "), "so it is") for gate in GATES]


def goes_on(move: Move) -> bool:
    return isinstance(move, Widen | Promote)


@given(trials(), verdicts, stages, st.integers(0, 200))
def test_it_goes_on_only_when_nothing_speaks_against_it(
    now: Rollout, found: Sequence[Verdict], terms: Stages, hours: int
) -> None:
    at = START + hours * HOUR
    move = next_move(now, found, terms, at)
    result = {verdict.gate: verdict.result for verdict in found}
    if any(result[gate] == "fail" for gate in GATES):
        assert isinstance(move, Withdraw), "whatever else is waited for"
    if goes_on(move):
        assert "fail" not in result.values()
        assert result["data"] == result["errors"] == result["declines"] == "pass"
        assert now.stage is Stage.SPLIT or at >= now.since + terms.hours * HOUR
        assert now.until is None or at >= now.until
    if isinstance(move, Widen):
        assert move.share == min(share for share in terms.shares if share > now.share)
    if isinstance(move, Promote):
        assert now.stage is Stage.SPLIT or not [share for share in terms.shares if share > now.share]
        assert not terms.labels or result["cost"] == "pass"


@given(verdicts, stages, st.lists(st.integers(0, 48), max_size=8))
def test_any_way_a_trial_goes_ends_or_grows(found: Sequence[Verdict], terms: Stages, pauses: Sequence[int]) -> None:
    """Whatever the gates say at each look, there is one champion, and a share only grows."""
    now, at = SHADOW, START
    for pause in pauses:
        at += pause * HOUR
        move = next_move(now, found, terms, at)
        before, step = now, Step("looked", "schedule", "a test", at)
        if isinstance(move, Withdraw):
            now = rolled_back(now, step)
        elif isinstance(move, Widen):
            now = widened(now, move.share, step)
        elif isinstance(move, Promote):
            now = promoted(now, step)
        if now.challenger is None:
            assert (now.release, now.share) == (("rel_b", 0) if isinstance(move, Promote) else ("rel_a", 0))
            return
        assert now.share >= before.share


def test_the_way_of_a_release_that_does_well() -> None:
    now, way = SHADOW, []
    for look in range(4):
        move = next_move(now, said(), QUICK, START + look)
        way.append(move.share if isinstance(move, Widen) else type(move).__name__)
        if isinstance(move, Widen):
            now = widened(now, move.share, STEP)
    assert way == [500, 2_500, 5_000, "Promote"]


def test_what_lacks_data_waits_and_says_for_what() -> None:
    move = next_move(SHADOW, said(data="not_enough_data"), QUICK, START)
    assert move == Wait("data: so it is")
    early = next_move(SHADOW, said(), Stages(), START + HOUR)
    assert isinstance(early, Wait)
    assert "24 hours" in early.reason
    assert goes_on(next_move(SHADOW, said(), Stages(), START + 24 * HOUR))


def test_labels_are_waited_for_before_the_last_step_alone() -> None:
    young = said(cost="not_enough_data")
    assert goes_on(next_move(widened(SHADOW, 500, STEP), young, QUICK, START))
    last = widened(SHADOW, 5_000, STEP)
    assert next_move(last, young, QUICK, START) == Wait("cost: so it is")
    assert isinstance(next_move(last, young, replace(QUICK, labels=False), START), Promote)


def test_what_is_asked_once_counts_when_all_else_lets_it_go_on() -> None:
    dearer = [*said(data="not_enough_data"), Verdict("matured", "fail", "it saves less")]
    assert isinstance(next_move(SHADOW, dearer, QUICK, START), Wait)
    dearer[0] = Verdict("data", "pass", "so it is")
    assert next_move(SHADOW, dearer, QUICK, START) == Withdraw("matured: it saves less")


def test_a_split_is_judged_at_its_end_and_stopped_before_when_it_hurts() -> None:
    trial = split(SHADOW, 2_000, START + HOUR, STEP)
    assert isinstance(next_move(trial, said(), QUICK, START + HOUR - 1), Wait)
    assert isinstance(next_move(trial, said(declines="fail"), QUICK, START + 1), Withdraw)
    assert isinstance(next_move(trial, said(), QUICK, START + HOUR), Promote)
    short = next_move(trial, said(data="not_enough_data"), QUICK, START + HOUR)
    assert short == Withdraw("the split ended without enough data: data: so it is")


@pytest.mark.parametrize(
    ("now", "seen", "result"),
    [
        (SHADOW, {0: Seen(1_999, 0)}, "not enough data"),
        (SHADOW, {0: Seen(2_000, 0)}, "pass"),
        (widened(SHADOW, 500, STEP), {0: Seen(9_000, 0), 500: Seen(9_000, 1_999)}, "not enough data"),
        (widened(SHADOW, 500, STEP), {500: Seen(9_000, 2_000)}, "pass"),
        (widened(SHADOW, 2_500, STEP), {500: Seen(90_000, 9_000)}, "not enough data"),
    ],
)
def test_each_stage_needs_decisions_of_its_own(now: Rollout, seen: dict[int, Seen], result: str) -> None:
    assert enough(now, seen, QUICK).result == result
