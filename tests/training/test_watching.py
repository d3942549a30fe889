"""A trial watched: what two releases said of the same events becomes verdicts, and nothing else does."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fradect.modules.ecommerce import MODULE
from fradect.pairs import PairColumns, Said
from fradect.policy import Guardrails
from fradect.types import Verdict
from tests.factories_pairs import APPROVE, DECLINE, Trial, columns, made
from training.watching import Seen, Terms, Watch

RAILS = Guardrails(least_decisions=500, least_matured=500, cost_cap=200_000)
TERMS = Terms(RAILS, MODULE.costs, matured_before=10**12)
CANARY = Trial(share=5_000)


def watched(*pages: PairColumns, terms: Terms = TERMS, told: dict[str, bool] | None = None) -> Watch:
    watch = Watch(terms)
    for page in pages:
        watch.add(page, told or {})
    return watch


def of(verdicts: tuple[Verdict, ...], gate: str) -> Verdict:
    return next(verdict for verdict in verdicts if verdict.gate == gate)


def test_a_shadow_that_acts_as_the_champion_passes_every_gate() -> None:
    watch = watched(columns(made(3_000, Trial())))
    assert {verdict.result for verdict in watch.shadow_verdicts()} == {"pass"}
    assert watch.seen == {0: Seen(3_000, 0)}


def test_a_shadow_that_has_seen_little_waits() -> None:
    assert {v.result for v in watched(columns(made(300, Trial()))).shadow_verdicts()} == {"not enough data"}
    assert {v.result for v in watched().shadow_verdicts()} == {"not enough data"}


@pytest.mark.parametrize(
    ("trial", "gate"),
    [
        (Trial(declines=(0.5, 0.05)), "declines"),
        (Trial(declines=(0.5, 0.05)), "agreement"),
        (Trial(declines=(0.5, 0.05)), "scores_up"),
        (Trial(declines=(0.0, 0.05)), "declines_fewer"),
        (Trial(failing=0.05), "errors"),
    ],
)
def test_a_shadow_that_would_do_harm_is_seen(trial: Trial, gate: str) -> None:
    verdict = of(watched(columns(made(3_000, trial))).shadow_verdicts(), gate)
    assert verdict.result == "fail"
    assert verdict.evidence["log_evidence"] >= verdict.evidence["log_needed"]


def test_a_shadow_that_is_slow_more_often_than_not_is_seen() -> None:
    page = columns(made(2_000, Trial()))
    slow = replace_columns(page, ours_us=np.where(np.arange(2_000) % 10 < 8, 200_000, 300))
    assert of(watched(slow).shadow_verdicts(), "latency").result == "fail"
    starved = replace_columns(page, ours_us=np.where(np.arange(2_000) % 10 < 3, 200_000, 300))
    assert of(watched(starved).shadow_verdicts(), "latency").result == "pass"


def test_a_canary_that_fails_its_customers_is_seen_and_a_good_one_passes() -> None:
    good = made(4_000, CANARY)
    passed = watched(columns(good)).verdicts()
    assert {verdict.gate for verdict in passed if verdict.result != "pass"} == {"cost"}, "nobody told any outcome"
    failing = [
        msgspec.structs.replace(pair, ours=Said(failed="ValueError"), theirs=Said(), decision_id=None)
        if pair.by_challenger and n % 20 < 2
        else pair
        for n, pair in enumerate(good)
    ]
    assert of(watched(columns(failing)).verdicts(), "errors").result == "fail"


def test_one_customer_alone_is_no_evidence_however_often_they_come() -> None:
    page = columns(made(3_000, replace(CANARY, declines=(0.9, 0.05), customers=1)))
    declines = of(watched(page).verdicts(), "declines")
    assert declines.result == "pass"
    assert declines.evidence["canary"] > 0.8, "what is shown is of all events"
    many = columns(made(3_000, replace(CANARY, declines=(0.9, 0.05))))
    assert of(watched(many).verdicts(), "declines").result == "fail"


def test_pages_make_no_difference() -> None:
    pairs = [*made(800, Trial()), *made(1_200, replace(CANARY, at=5_000))]
    told = {pair.decision_id or "": n % 3 == 0 for n, pair in enumerate(pairs)}
    whole = watched(columns(pairs), told=told)
    cut = watched(*(columns(pairs[start : start + 333]) for start in range(0, len(pairs), 333)), told=told)
    assert cut.seen == whole.seen
    for one, other in zip(cut.verdicts(), whole.verdicts(), strict=True):
        assert (one.result, one.reason) == (other.result, other.reason)


def test_cost_is_known_when_labels_have_matured_and_somebody_tells_them() -> None:
    """It declines twenty times as many, all of them honest."""
    pairs = made(4_000, replace(CANARY, declines=(0.2, 0.01)))
    told = {"dec_elsewhere": True}
    tolerant = replace(TERMS, rails=replace(RAILS, declines_more=99.0))
    assert of(watched(columns(pairs), terms=tolerant, told=told).verdicts(), "cost").result == "fail"
    assert of(watched(columns(pairs), terms=tolerant).verdicts(), "cost").result == "not enough data"
    only_told = replace(tolerant, silence_is_honest=False)
    unsure = of(watched(columns(pairs), terms=only_told, told=told).verdicts(), "cost")
    assert unsure.evidence["log_evidence"] == 0, "what nobody knows is no evidence"


def test_what_has_not_matured_counts_as_it_would_suit_the_challenger_best() -> None:
    pairs = made(4_000, replace(CANARY, declines=(0.2, 0.01)))
    young = replace(TERMS, matured_before=0)
    hoping = of(watched(columns(pairs), terms=young, told={"dec_elsewhere": True}).verdicts(), "cost")
    assert hoping.result == "not enough data"
    assert hoping.evidence["waiting"] > 500
    honest = {pair.decision_id or "": False for pair in pairs}
    early = of(watched(columns(pairs), terms=young, told=honest).verdicts(), "cost")
    assert early.result == "fail"
    assert "still to come" in early.reason


def test_matured_events_of_the_shadow_are_compared_in_money() -> None:
    pairs = made(2_000, Trial(declines=(0.2, 0.0)))
    fraud = {pair.decision_id or "": pair.ours.action is DECLINE for pair in pairs}
    better = watched(columns(pairs), told=fraud).compared(seed=1)
    assert better is not None
    assert better.money_saved.low > 0
    assert better.events == 2_000
    assert watched(columns(pairs)).compared(seed=1) is None, "nobody told anything"
    assert watched(columns(pairs), terms=replace(TERMS, matured_before=0), told=fraud).compared(seed=1) is None
    alike = made(2_000, Trial(declines=(0.0, 0.0)))
    some = {pair.decision_id or "": n % 9 == 0 for n, pair in enumerate(alike)}
    assert watched(columns(alike), told=some).compared(seed=1) is None, "there is no difference to judge"


def replace_columns(page: PairColumns, **changed: np.ndarray) -> PairColumns:
    return msgspec.structs.replace(page, **changed)


def test_what_the_champion_declined_is_not_judged_in_the_shadow() -> None:
    pairs = made(2_000, Trial(declines=(0.0, 0.2)))
    fraud = {pair.decision_id or "": n % 9 == 0 for n, pair in enumerate(pairs)}
    assert {pair.theirs.action for pair in pairs} == {APPROVE, DECLINE}
    assert watched(columns(pairs), told=fraud).compared(seed=1) is None, "on all that is left both approve"
