"""Every fraud leaves the trace that windows can see, and every trace has honest people who leave it too."""

import pandas as pd
import pyarrow as pa
import pytest

from fradect.simulate import Scenario, simulate


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    table = pa.concat_tables(simulate(Scenario(seed=4, events=60_000, customers=3_000, fraud_rate=0.02)))
    frame: pd.DataFrame = table.to_pandas()
    frame["amount"] = frame["amount"].astype(float)
    frame["account_days"] = (frame["purchased_at"] - frame["signup_at"]).dt.total_seconds() / 86_400
    return frame


@pytest.fixture(scope="module")
def honest(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["fraud_pattern"] == "none"]


def of(rows: pd.DataFrame, pattern: str) -> pd.DataFrame:
    return rows[rows["fraud_pattern"] == pattern]


def usual_amount(rows: pd.DataFrame, honest: pd.DataFrame) -> pd.Series:
    return (rows["amount"] / rows["customer_id"].map(honest.groupby("customer_id")["amount"].mean())).dropna()


def met_before(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby(["customer_id", column]).cumcount() > 0


def abroad(rows: pd.DataFrame) -> float:
    return float((rows["ip_country"] != rows["billing_country"]).mean())


def test_card_testing_is_a_burst_of_small_payments_with_many_cards(rows: pd.DataFrame, honest: pd.DataFrame) -> None:
    tests = of(rows, "card_testing")
    burst = tests.groupby("device_id").agg(
        cards=("card_token", "nunique"),
        shops=("merchant_id", "nunique"),
        n=("amount", "size"),
        at=("purchased_at", "max"),
    )
    length = (burst["at"] - tests.groupby("device_id")["purchased_at"].min()).dt.total_seconds()
    assert burst["n"].median() >= 6
    assert (burst["cards"] == burst["n"]).all()
    assert burst["shops"].max() <= 2
    assert length.median() < 3_600
    assert tests["amount"].median() < 0.3 * honest["amount"].median()


def test_a_taken_over_account_is_old_its_device_new_its_purchases_dear(
    rows: pd.DataFrame, honest: pd.DataFrame
) -> None:
    taken = of(rows, "account_takeover")
    episode = taken.groupby("device_id").agg(n=("amount", "size"), who=("customer_id", "nunique"))
    assert (taken["account_days"] > 90).all()
    assert set(taken["device_id"]).isdisjoint(honest["device_id"])
    assert episode["n"].mean() > 2
    assert (episode["who"] == 1).all()
    assert usual_amount(taken, honest).median() > 1.2
    assert abroad(taken) > 0.4


def test_a_ring_is_many_young_accounts_on_one_device_for_weeks(rows: pd.DataFrame, honest: pd.DataFrame) -> None:
    ring = of(rows, "shared_device_ring")
    device = ring.groupby("device_id").agg(
        who=("customer_id", "nunique"), first=("purchased_at", "min"), last=("purchased_at", "max")
    )
    assert device["who"].quantile(0.75) >= 4
    assert (device["last"] - device["first"]).dt.days.quantile(0.75) > 10
    assert (ring["account_days"] < 70).all()
    assert abroad(ring) < 0.4
    assert ring["amount"].median() < 1.5 * honest["amount"].median()


def test_a_stolen_card_orders_to_an_address_that_its_owner_never_used(rows: pd.DataFrame, honest: pd.DataFrame) -> None:
    stolen = of(rows, "stolen_card")
    known = set(zip(honest["customer_id"], honest["shipping_address"], strict=True))
    sent = set(zip(stolen["customer_id"], stolen["shipping_address"], strict=True))
    assert sent.isdisjoint(known)
    assert stolen.groupby("shipping_address")["card_token"].nunique().max() >= 3
    assert usual_amount(stolen, honest).median() > 1.2
    assert abroad(stolen) > 0.3


def test_refund_abusers_send_most_of_it_back_again_and_again(rows: pd.DataFrame, honest: pd.DataFrame) -> None:
    abuse = of(rows, "refund_abuse")
    assert abuse["returned"].mean() > 0.7
    assert honest["returned"].mean() < 0.2
    assert abuse.groupby("customer_id").size().median() >= 5


def test_friendly_fraud_cannot_be_told_from_honest_trade(rows: pd.DataFrame, honest: pd.DataFrame) -> None:
    friendly = of(rows, "friendly_fraud")
    assert 0.5 < friendly["amount"].median() / honest["amount"].median() < 2
    assert abroad(friendly) < 0.25


def test_fraud_gathers_where_merchants_leak(rows: pd.DataFrame) -> None:
    share = rows.groupby("merchant_id")["is_fraud"].agg(["mean", "size"])
    risky = share[share["size"] > 50]["mean"].nlargest(40)
    assert risky.mean() > 3 * rows["is_fraud"].mean()


def test_honest_people_share_devices(honest: pd.DataFrame) -> None:
    sharers = honest.groupby("device_id")["customer_id"].nunique()
    assert (sharers >= 3).sum() > 50


def test_honest_people_come_from_new_devices_and_abroad_and_order_to_new_places(honest: pd.DataFrame) -> None:
    settled = honest[honest.groupby("customer_id").cumcount() >= 10]
    later = honest.loc[settled.index]
    assert 0.03 < 1 - met_before(honest, "device_id").loc[later.index].mean() < 0.3
    assert 0.03 < 1 - met_before(honest, "shipping_address").loc[later.index].mean() < 0.2
    assert 0.03 < abroad(honest) < 0.15


def test_honest_people_buy_in_bursts_small_and_dear(honest: pd.DataFrame) -> None:
    hour = honest.groupby(["customer_id", honest["purchased_at"].dt.floor("h")]).agg(
        n=("amount", "size"), cards=("card_token", "nunique"), amount=("amount", "median")
    )
    assert (hour["n"] >= 3).sum() > 200
    assert ((hour["n"] >= 4) & (hour["cards"] >= 3) & (hour["amount"] < 1_000)).sum() > 20
    dear = honest["amount"] / honest.groupby("customer_id")["amount"].transform("mean")
    assert (dear > 3).mean() > 0.02


def test_honest_people_are_new_and_some_return_a_lot(honest: pd.DataFrame) -> None:
    assert (honest["account_days"] < 30).mean() > 0.04
    returns = honest.groupby("customer_id")["returned"].agg(["mean", "size"])
    assert ((returns["size"] >= 10) & (returns["mean"] > 0.35)).sum() >= 10


def test_a_customer_keeps_name_mail_and_country(rows: pd.DataFrame) -> None:
    constant = ["email", "phone", "full_name", "sex", "age", "signup_at", "billing_country"]
    assert (rows.groupby("customer_id")[constant].nunique() == 1).all(axis=None)
