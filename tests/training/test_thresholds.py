"""Thresholds by amount: chosen where there is enough to choose by, and worth more than one pair for all."""

from dataclasses import replace

import numpy as np
import pytest

from fradect.errors import InvalidInput
from fradect.modules import module_of
from fradect.policy import Policy, actions, choose_thresholds, money_saved
from training.thresholds import LEAST_EVENTS, Chosen, banded

COSTS = replace(module_of("ecommerce").costs, insult_fixed=500_000)
POLICY = Policy(1, 2, "RUB", COSTS)
EDGES = [100_000, 2_000_000]


def _chosen(n: int = 6_000, seed: int = 4) -> Chosen:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.5, 3, n)
    amounts = np.exp(rng.normal(12.5, 2, n)).astype(np.int64) + 1
    return Chosen(np.rint(1000 * probability).astype(np.int64), amounts, rng.random(n) < probability, probability)


def test_bands_save_at_least_what_one_pair_saves_on_the_events_they_were_chosen_by() -> None:
    chosen = _chosen()
    policy = banded(POLICY, chosen, EDGES)
    assert (policy.review, policy.decline) == choose_thresholds(
        COSTS, chosen.scores, chosen.amounts, chosen.probability
    )
    assert [(band.amount_from, band.amount_to) for band in policy.bands] == [
        (0, 100_000),
        (100_000, 2_000_000),
        (2_000_000, None),
    ]
    by_band = policy.cuts([{"amount_base": int(amount)} for amount in chosen.amounts])
    saved = [
        float(money_saved(COSTS, chosen.amounts, chosen.probability, actions(chosen.scores, cut)).sum())
        for cut in (policy, by_band)
    ]
    assert saved[1] > saved[0]
    assert policy.bands[0].decline > policy.bands[-1].decline  # an insult weighs more where little is at stake


def test_bands_are_named_in_major_units() -> None:
    names = [band.name for band in banded(POLICY, _chosen(), EDGES).bands]
    assert names == [
        "amounts below 1,000 RUB",
        "amounts from 1,000 below 20,000 RUB",
        "amounts from 20,000 RUB",
    ]


def test_a_band_with_too_little_keeps_the_policys_own_thresholds() -> None:
    few = _chosen(LEAST_EVENTS - 1)
    assert banded(POLICY, few, [1]).bands == ()
    chosen = _chosen()
    honest = Chosen(chosen.scores, chosen.amounts, np.zeros_like(chosen.fraud), chosen.probability)
    assert banded(POLICY, honest, EDGES).bands == ()
    assert banded(POLICY, chosen, []).bands == ()


@pytest.mark.parametrize("edges", [[0], [-5], [5, 5], [7, 3]])
def test_edges_that_make_no_bands_are_refused(edges: list[int]) -> None:
    with pytest.raises(InvalidInput, match="amount bands"):
        banded(POLICY, _chosen(), edges)
