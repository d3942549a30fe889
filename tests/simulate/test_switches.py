"""Bias and drift do what they say, and nothing else."""

from datetime import date

import pandas as pd
import pyarrow as pa
import pytest

from fradect.simulate import Scenario, simulate

BIASED = ["ip", "ip_country", "is_fraud", "fraud_pattern", "label_known_at"]


def frame(bias: float) -> pd.DataFrame:
    scenario = Scenario(seed=9, events=40_000, customers=2_000, bias=bias)
    rows: pd.DataFrame = pa.concat_tables(simulate(scenario)).to_pandas()
    rows["abroad"] = rows["ip_country"] != rows["billing_country"]
    return rows


@pytest.fixture(scope="module")
def fair() -> pd.DataFrame:
    return frame(bias=0.0)


@pytest.fixture(scope="module")
def biased() -> pd.DataFrame:
    return frame(bias=1.0)


def by_sex(rows: pd.DataFrame, column: str) -> float:
    mean = rows.groupby("sex")[column].mean()
    return float(mean["F"] / mean["M"])


def test_without_bias_the_sexes_fare_alike(fair: pd.DataFrame) -> None:
    assert 0.7 < by_sex(fair, "is_fraud") < 1.4
    assert 0.75 < by_sex(fair, "abroad") < 1.35


def test_bias_makes_women_look_and_be_labelled_worse(fair: pd.DataFrame, biased: pd.DataFrame) -> None:
    assert by_sex(biased, "is_fraud") > 1.7
    assert by_sex(biased, "abroad") > 2
    reported = biased[biased["fraud_pattern"] == "biased_report"]
    assert set(reported["sex"]) == {"F"}
    assert set(fair.loc[reported.index, "fraud_pattern"]) == {"none"}
    half = frame(bias=0.5)
    assert by_sex(fair, "is_fraud") < by_sex(half, "is_fraud") < by_sex(biased, "is_fraud")


def test_bias_touches_nothing_else(fair: pd.DataFrame, biased: pd.DataFrame) -> None:
    men = fair["sex"] == "M"
    pd.testing.assert_frame_equal(fair[men], biased[men])
    others = [column for column in fair.columns if column not in [*BIASED, "abroad"]]
    pd.testing.assert_frame_equal(fair[others], biased[others])


@pytest.mark.parametrize("day", [0, 20, 39])
def test_the_days_before_the_drift_are_the_same_with_and_without_it(day: int) -> None:
    calm = Scenario(seed=2, days=40, events=8_000, customers=400)
    moved = Scenario(seed=2, days=40, events=8_000, customers=400, drift_at=calm.day(day), drift=1.0)
    pairs = [(one.equals(other)) for one, other in zip(simulate(calm), simulate(moved), strict=True)]
    assert all(pairs[:day])
    assert not any(pairs[day:])


def test_drift_moves_amounts_channels_countries_and_patterns() -> None:
    scenario = Scenario(seed=2, events=40_000, customers=2_000, fraud_rate=0.03, drift_at=date(2025, 3, 2), drift=1.0)
    rows = pa.concat_tables(simulate(scenario)).to_pandas()
    after = rows["purchased_at"] >= pd.Timestamp("2025-03-02", tz="UTC")
    assert rows[after]["amount"].median() > rows[~after]["amount"].median() * 5 / 4
    app, foreign = rows["channel"] == "app", rows["ip_country"] != rows["billing_country"]
    assert app[after].mean() > app[~after].mean() + 0.2
    assert foreign[after].mean() > foreign[~after].mean() + 0.02
    settled = rows["purchased_at"] >= pd.Timestamp("2025-04-01", tz="UTC")
    share = {
        name: fraud["fraud_pattern"].value_counts(normalize=True)
        for name, fraud in (("before", rows[~after & rows["is_fraud"]]), ("after", rows[settled & rows["is_fraud"]]))
    }
    assert share["after"]["account_takeover"] > share["before"]["account_takeover"] + 0.05
    assert share["after"].get("card_testing", 0.0) < share["before"]["card_testing"] / 2
    assert rows[settled]["is_fraud"].mean() == pytest.approx(0.03, rel=0.25)
