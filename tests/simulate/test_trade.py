"""Tables and files: complete, ordered, unique, and the same for the same seed."""

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import Conflict
from fradect.simulate import Scenario, simulate, write
from fradect.simulate.rows import SCHEMA
from fradect.simulate.trade import RANGES

SMALL = Scenario(seed=5, days=12, events=3_000, customers=300, merchants=40)
PATTERNS = {"card_testing", "account_takeover", "shared_device_ring", "stolen_card", "refund_abuse", "friendly_fraud"}


def frame(scenario: Scenario) -> pd.DataFrame:
    rows: pd.DataFrame = pa.concat_tables(simulate(scenario)).to_pandas()
    return rows


scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 2**63 - 1),
    start=st.dates(date(1990, 1, 1), date(2100, 1, 1)),
    days=st.integers(1, 40),
    events=st.integers(100, 2_000),
    customers=st.integers(100, 400),
    merchants=st.integers(20, 60),
    fraud_rate=st.floats(0.001, 0.2),
    bias=st.floats(0, 1),
)


@settings(max_examples=15, deadline=None)
@given(scenarios)
def test_whatever_is_asked_for_the_days_are_sound(scenario: Scenario) -> None:
    tables = list(simulate(scenario))
    assert len(tables) == scenario.days
    assert all(table.schema.equals(SCHEMA) for table in tables)
    rows = pa.concat_tables(tables).to_pandas()
    assert abs(len(rows) - scenario.events) <= 0.1 * scenario.events + 60
    assert rows["transaction_id"].is_unique
    assert (rows["signup_at"] < rows["purchased_at"]).all()
    assert (rows["label_known_at"] > rows["purchased_at"]).all()
    assert (rows["amount"] >= 10).all()
    assert (rows["return_known_at"].notna() == rows["returned"]).all()
    assert (rows["is_fraud"] == (rows["fraud_pattern"] != "none")).all()


@settings(max_examples=10, deadline=None)
@given(scenarios)
def test_each_table_holds_its_day_in_order(scenario: Scenario) -> None:
    for index, table in enumerate(simulate(scenario)):
        rows = table.to_pandas()[["purchased_at", "transaction_id"]]
        begin = datetime.combine(scenario.day(index), datetime.min.time(), UTC)
        assert ((rows["purchased_at"] >= begin) & (rows["purchased_at"] < begin + timedelta(days=1))).all()
        pd.testing.assert_frame_equal(rows, rows.sort_values(["purchased_at", "transaction_id"]))


def test_the_targets_are_met() -> None:
    for seed in (1, 2):
        scenario = Scenario(seed=seed, events=30_000, customers=1_500)
        rows = frame(scenario)
        assert len(rows) == pytest.approx(scenario.events, rel=0.01)
        assert rows["is_fraud"].mean() == pytest.approx(scenario.fraud_rate, rel=0.2)
        assert set(rows["fraud_pattern"]) == PATTERNS | {"none"}


def test_fraud_is_in_full_swing_on_the_first_days_and_the_last() -> None:
    rows = frame(Scenario(events=60_000, customers=3_000, fraud_rate=0.03))
    of_month = rows.groupby(rows["purchased_at"].dt.dayofyear // 31)["is_fraud"].mean()
    assert of_month.min() > 0.6 * of_month.max()


def test_most_labels_of_a_history_have_matured_by_its_end() -> None:
    rows = frame(Scenario(seed=5, events=20_000, customers=1_000, fraud_rate=0.05))
    delay = (rows["label_known_at"] - rows["purchased_at"]).dt.total_seconds() / 86_400
    assert (delay[~rows["is_fraud"]] == 14).all()
    assert delay[rows["is_fraud"]].between(1 / 24, 60).all()
    median = delay.groupby(rows["fraud_pattern"]).median()
    assert median["card_testing"] < median["account_takeover"] < median["refund_abuse"] < 21
    assert (rows["label_known_at"] <= rows["purchased_at"].max()).mean() > 0.85


def test_trade_has_its_hours_and_its_days() -> None:
    rows = frame(Scenario(seed=3, days=56, events=40_000, customers=2_000))
    of_hour = rows.groupby(rows["purchased_at"].dt.hour).size()
    of_weekday = rows.groupby(rows["purchased_at"].dt.weekday).size()
    assert of_hour.idxmin() in range(4)  # small hours of Moscow, in UTC
    assert of_hour.max() > 5 * of_hour.min()
    assert of_weekday.max() > 1.1 * of_weekday.min()


def test_same_scenario_same_bytes_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        write(Scenario(seed=seed, days=3, events=600, customers=150, merchants=30), tmp_path / name)
    one, two, other = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())}
        for name in ("one", "two", "other")
    )
    assert one == two
    assert all(one[name] != other[name] for name in one if name.endswith(".parquet"))


def test_other_seeds_share_no_identifiers() -> None:
    one, other = frame(SMALL), frame(Scenario(seed=6, days=12, events=3_000, customers=300, merchants=40))
    for column in ("transaction_id", "customer_id", "device_id", "card_token"):
        assert set(one[column]).isdisjoint(other[column])


@pytest.mark.parametrize("change", [{"events": 2_900}, {"days": 11}, {"customers": 301}, {"start": date(2025, 1, 2)}])
def test_another_trade_of_the_same_seed_shares_no_purchase(change: dict[str, Any]) -> None:
    other = frame(replace(SMALL, **change))
    assert set(frame(SMALL)["transaction_id"]).isdisjoint(other["transaction_id"])


def test_files_are_daily_and_counted(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    summary = write(SMALL, tmp_path, on_day=lambda done, of: told.append((done, of)))
    assert told == [(day, 12) for day in range(1, 13)]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [*(f"2025-01-{day:02}.parquet" for day in range(1, 13)), RANGES]
    rows = pq.read_table(tmp_path).to_pandas()
    assert summary.days == 12
    assert summary.events == len(rows)
    assert summary.fraud == rows["is_fraud"].sum()
    assert {name: n for name, n in summary.by_pattern.items() if n} == rows["fraud_pattern"].value_counts().to_dict()


def test_a_run_that_broke_off_leaves_whole_files_and_can_be_repeated(tmp_path: Path) -> None:
    def break_off(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(SMALL, tmp_path, on_day=break_off)
    assert sum(pq.read_metadata(path).num_rows for path in tmp_path.glob("*.parquet")) > 0
    assert len(list(tmp_path.glob("*.parquet"))) == 4
    assert write(SMALL, tmp_path).events == pq.read_table(tmp_path).num_rows


def test_two_simulations_are_not_mixed_in_one_folder(tmp_path: Path) -> None:
    write(SMALL, tmp_path)
    with pytest.raises(Conflict, match=r"already holds 2025-01-04\.parquet .* empty folder"):
        write(Scenario(days=3, events=600, customers=150), tmp_path)


def test_it_is_fast() -> None:
    scenario = Scenario(events=200_000, days=60, customers=5_000)
    begin = time.process_time()
    events = sum(table.num_rows for table in simulate(scenario))
    assert events / (time.process_time() - begin) > 100_000


def test_amounts_are_exact_decimals() -> None:
    table = next(iter(simulate(SMALL)))
    assert table.schema.field("amount").type == pa.decimal128(14, 2)
    cents = np.array([int(amount.scaleb(2)) for amount in table["amount"].to_pylist()])
    assert (cents >= 1_000).all()
    assert np.median(cents) < 1_000_000
