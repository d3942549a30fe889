"""Fairness: a planted bias is found, chance and small groups are not taken for one."""

from typing import Any

import numpy as np
import pytest

from fradect.policy import Limits
from fradect.types import Verdict
from training.fairness import FairnessTable, audit

LIMITS = Limits()


def _people(n: int = 8_000, seed: int = 0, rates: tuple[float, float] = (0.10, 0.10), **changes: Any) -> dict[str, Any]:
    """Half women, half men, 5 % fraud; honest women and men are flagged at the rates given, fraud at one in two."""
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.5
    label = rng.random(n) < 0.05
    flagged = rng.random(n) < np.where(label, 0.5, np.where(woman, rates[0], rates[1]))
    facts = {
        "flagged": flagged,
        "label": label,
        "customer": np.full(n, -1),
        "protected": {"sex": np.where(woman, "f", "m").astype(object)},
        "limits": LIMITS,
    }
    return {**facts, **changes}


def _audit(**facts: Any) -> tuple[FairnessTable, Verdict]:
    return audit(**facts)


def test_equal_treatment_passes() -> None:
    table, verdict = _audit(**_people())
    assert verdict.result == "pass"
    assert {group.name for group in table.groups} == {"f", "m"}


def test_a_planted_bias_fails_and_is_named() -> None:
    table, verdict = _audit(**_people(rates=(0.25, 0.05)))
    assert verdict.result == "fail"
    assert "sex f" in verdict.reason
    assert verdict.evidence["broken"]
    spread = table.spreads[0].false_positive_ratio
    assert spread is not None
    assert spread < 0.3


def test_rates_are_those_a_person_would_count() -> None:
    facts = _people(rates=(0.2, 0.1))
    table, _ = _audit(**facts)
    woman = facts["protected"]["sex"] == "f"
    honest = woman & ~facts["label"]
    found = next(group for group in table.groups if group.name == "f")
    assert found.events == woman.sum()
    assert found.honest == honest.sum()
    assert found.selection_rate == pytest.approx(facts["flagged"][woman].mean())
    assert found.false_positive_rate == pytest.approx(facts["flagged"][honest].mean())
    assert found.true_positive_rate == pytest.approx(facts["flagged"][woman & facts["label"]].mean())


@pytest.mark.parametrize("rates", [(0.25, 0.14), (0.04, 0.01)])
def test_a_gap_counts_only_when_it_is_both_large_and_unequal(rates: tuple[float, float]) -> None:
    assert _audit(**_people(n=40_000, rates=rates))[1].result == "pass"


def test_a_gap_that_chance_explains_is_no_bias() -> None:
    facts = _people(n=700, rates=(0.17, 0.08), seed=4)
    table, verdict = _audit(**facts)
    rates = [group.false_positive_rate or 0.0 for group in table.groups]
    assert max(rates) - min(rates) > LIMITS.fairness_fpr_gap
    assert verdict.result == "pass"


def test_one_customer_flagged_again_and_again_is_one_piece_of_evidence() -> None:
    """Flags come by customer: six regular customers make all the difference, which is not certain any more."""
    n = 4_000
    woman = np.arange(n) % 2 == 0
    customer = np.where(woman, np.arange(n) % 20, 100 + np.arange(n) % 400)
    flagged = np.where(woman, customer < 6, np.arange(n) % 25 == 1)
    facts = {"flagged": flagged, "label": np.zeros(n, np.bool_), "limits": LIMITS}
    protected = {"sex": np.where(woman, "f", "m").astype(object)}
    assert _audit(**facts, protected=protected, customer=np.full(n, -1))[1].result == "fail"
    table, verdict = _audit(**facts, protected=protected, customer=customer)
    assert verdict.result == "pass"
    assert next(g for g in table.groups if g.name == "f").independent < 30


def test_a_small_group_gives_no_verdict() -> None:
    facts = _people(n=1_000, rates=(0.5, 0.02))
    facts["protected"] = {"sex": np.where(np.arange(1_000) < 100, "f", "m").astype(object)}
    facts["flagged"] = np.arange(1_000) < 100
    table, verdict = _audit(**facts)
    assert verdict.result == "not enough data"
    assert verdict.passed
    assert len(table.groups) == 2


def test_without_protected_attributes_nothing_can_be_said() -> None:
    table, verdict = _audit(**_people(protected={}))
    assert verdict.result == "not enough data"
    assert table.groups == ()


def test_an_attribute_that_nobody_answered_is_left_out() -> None:
    facts = _people()
    facts["protected"]["age"] = np.full(8_000, None, object)
    assert {group.attribute for group in _audit(**facts)[0].groups} == {"sex"}


def test_who_gave_no_answer_is_shown_and_not_compared() -> None:
    facts = _people()
    silent = np.arange(8_000) % 4 == 0
    facts["flagged"] = facts["flagged"] | silent
    facts["protected"]["sex"][silent] = None
    table, verdict = _audit(**facts)
    assert {group.name for group in table.groups} == {"f", "m", "unknown"}
    assert verdict.result == "pass"


def test_ages_are_put_in_bands() -> None:
    ages = np.array([17, 24.0, 25, 34, 35, 64, 65, 80, None, float("nan")] * 300, object)
    n = ages.size
    facts = {"flagged": np.arange(n) % 9 == 0, "label": np.arange(n) % 20 == 0, "customer": np.full(n, -1)}
    table, _ = _audit(**facts, protected={"age": ages}, limits=LIMITS)
    counted = {group.name: group.events for group in table.groups}
    assert counted == {
        "under 25": 600,
        "25 to 34": 600,
        "35 to 44": 300,
        "55 to 64": 300,
        "65 up": 600,
        "unknown": 600,
    }


def test_a_group_without_fraud_or_without_honest_events_has_no_such_rate() -> None:
    facts = _people(n=2_000)
    facts["protected"] = {"sex": np.where(facts["label"], "f", "m").astype(object)}
    table, verdict = _audit(**facts)
    by_name = {group.name: group for group in table.groups}
    assert by_name["f"].false_positive_rate is None
    assert by_name["m"].true_positive_rate is None
    assert verdict.result == "not enough data"


def test_looking_at_many_groups_does_not_find_bias_where_there_is_none() -> None:
    failed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        group = rng.integers(0, 8, 3_000).astype(str).astype(object)
        facts = {"flagged": rng.random(3_000) < 0.06, "label": rng.random(3_000) < 0.03, "limits": Limits(200, 0.9, 0)}
        failed += _audit(**facts, customer=np.full(3_000, -1), protected={"group": group})[1].result == "fail"
    assert failed <= 4
