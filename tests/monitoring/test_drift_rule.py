"""The rule: few false alarms on small samples, moderate shifts found, trifles on large samples left alone."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fradect.errors import InvalidInput
from fradect.features.contract import Contract
from fradect.modules import contract_of
from monitoring.bins import Binned
from monitoring.compare import Comparison, compare, judge, thin
from monitoring.verdict import Answer, DriftSettings, DriftVerdict

Traffic = Callable[[int, int], pd.DataFrame]
SETTINGS = DriftSettings()


@pytest.fixture
def verdict_of(reference: pd.DataFrame, contract: Contract) -> Callable[[pd.DataFrame], DriftVerdict]:
    return lambda current: judge(compare(reference, current, contract, SETTINGS), SETTINGS)


Judge = Callable[[pd.DataFrame], DriftVerdict]


@pytest.mark.parametrize("rows", [100, 200])
def test_traffic_like_the_reference_raises_an_alarm_in_at_most_one_run_of_twenty(
    verdict_of: Judge, traffic: Traffic, rows: int
) -> None:
    runs = 200
    alarms = sum(verdict_of(traffic(rows, 10_000 + seed)).answer is Answer.DRIFT for seed in range(runs))
    assert alarms <= 0.05 * runs


def test_a_moderate_shift_is_found_in_two_hundred_rows_and_named(verdict_of: Judge, traffic: Traffic) -> None:
    runs, found = 50, 0
    for seed in range(runs):
        current = traffic(200, 20_000 + seed)
        current["amount"] *= np.exp(0.6)  # 0.6 standard deviations of its logarithm
        found += "amount" in verdict_of(current).drifted
    assert found >= 0.9 * runs


def test_a_trifle_in_a_large_sample_is_no_drift_and_a_moderate_shift_is(verdict_of: Judge, traffic: Traffic) -> None:
    current = traffic(20_000, 3)
    assert verdict_of(current.assign(amount=current["amount"] * 1.05)).answer is Answer.NO_DRIFT
    assert verdict_of(current.assign(amount=current["amount"] * 1.6)).drifted == ("amount",)


def test_limits_fall_with_the_rows_towards_a_moderate_shift(verdict_of: Judge, traffic: Traffic) -> None:
    small, large = ({c.name: c.threshold for c in verdict_of(traffic(n, 4)).columns} for n in (100, 20_000))
    assert all(small[name] > large[name] > SETTINGS.moderate for name in small)
    assert max(large.values()) < SETTINGS.moderate + 0.01


def test_a_small_true_shift_is_no_drift_because_the_sample_is_small(verdict_of: Judge, traffic: Traffic) -> None:
    runs, alarms = 100, 0
    for seed in range(runs):
        current = traffic(200, 30_000 + seed)
        current["amount"] *= np.exp(0.2)  # an index of about 0.04, which no large sample would call drift
        alarms += verdict_of(current).answer is Answer.DRIFT
    assert alarms <= 0.05 * runs


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_feature_that_goes_missing_is_drift(verdict_of: Judge, traffic: Traffic, share: float) -> None:
    current = traffic(200, 5)
    current.loc[: int(200 * share) - 1, "customer_count_7d"] = np.nan
    verdict = verdict_of(current)
    (column,) = (c for c in verdict.columns if c.drifted)
    assert (column.name, column.missing_reference, column.missing_current) == ("customer_count_7d", 0.0, share)


def test_a_feature_without_a_column_in_the_traffic_is_missing_everywhere(verdict_of: Judge, traffic: Traffic) -> None:
    verdict = verdict_of(traffic(200, 5).drop(columns=["customer_count_7d"]))
    assert verdict.drifted == ("customer_count_7d",)


def test_a_reference_of_another_contract_is_refused(reference: pd.DataFrame, contract: Contract) -> None:
    with pytest.raises(InvalidInput, match="lacks amount"):
        compare(reference.drop(columns=["amount"]), reference, contract, SETTINGS)


def test_shifted_predictions_are_drift_of_their_own_kind(verdict_of: Judge, traffic: Traffic) -> None:
    verdict = verdict_of(traffic(200, 6).assign(probability=0.9, action="DECLINE"))
    assert set(verdict.drifted) == {"probability", "action"}
    assert {c.kind for c in verdict.columns if c.drifted} == {"prediction"}
    assert verdict.share_drifted == 0.0


def test_predictions_that_one_side_lacks_are_not_compared(verdict_of: Judge, traffic: Traffic) -> None:
    verdict = verdict_of(traffic(200, 6).drop(columns=["probability"]))
    assert verdict.not_compared["probability"] == "only the reference has it"
    assert "probability" not in {c.name for c in verdict.columns}


def test_the_clock_counts_only_over_whole_weeks(verdict_of: Judge, traffic: Traffic) -> None:
    current = traffic(200, 7).assign(night=1.0, weekend=1.0)
    assert verdict_of(current).answer is Answer.NO_DRIFT
    assert set(verdict_of(current).not_compared) == {"night", "weekend"}
    day = pd.date_range("2026-01-01", periods=200, freq="5min", tz="UTC", unit="us")
    assert verdict_of(current.assign(event_time=day)).answer is Answer.NO_DRIFT
    week = np.arange(200) * 4_000_000_000  # microseconds; a little over nine days
    assert set(verdict_of(current.assign(event_time=week)).drifted) == {"night", "weekend"}


def test_the_money_affected_is_what_lies_where_the_references_money_did_not(
    reference: pd.DataFrame, traffic: Traffic, contract: Contract
) -> None:
    current = traffic(1_000, 8)
    current.loc[:399, "customer_count_30d"] = 1_000.0
    then, now = (frame.assign(amount_base=1_000) for frame in (reference, current))
    verdict = judge(compare(then, now, contract, SETTINGS), SETTINGS)
    assert verdict.drifted == ("customer_count_30d",)
    assert verdict.money_affected == pytest.approx(0.4, abs=0.06)


def test_categories_are_compared_by_name() -> None:
    standard = contract_of("ecommerce/standard")
    then, now = (pd.DataFrame(dict.fromkeys(standard.names, np.arange(n) % 4.0)) for n in (1_000, 200))
    column = _method(compare(then, now, standard, SETTINGS))
    assert column.labels == ("card", "wallet", "transfer", "cod")
    now.loc[0, "payment_method"] = 9.0
    column = _method(compare(then, now, standard, SETTINGS))
    assert column.labels[-1] == "missing"
    assert column.missing == (0.0, 1 / 200)


def _method(comparison: Comparison) -> Binned:
    return next(binned for binned in comparison.features if binned.name == "payment_method")


def test_thinned_samples_span_all_rows() -> None:
    frame = pd.DataFrame({"row": range(1_003)})
    thinned = thin(frame, 100)
    assert len(thinned) <= 100
    assert thinned["row"].iloc[0] == 0
    assert thinned["row"].iloc[-1] > 990
