"""Where purchases come from: the table knows it, people live somewhere, and nobody is where he is by chance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fradect.features.globe import NOWHERE, kilometres, kilometres_of
from fradect.intake import IpRanges
from fradect.simulate import Scenario, simulate
from fradect.simulate.geography import CITIES, CODES, range_table


@pytest.fixture(scope="module")
def ranges(tmp_path_factory: pytest.TempPathFactory) -> IpRanges:
    path: Path = tmp_path_factory.mktemp("ranges") / "table.csv"
    path.write_text(range_table())
    return IpRanges.read(path)


@pytest.fixture(scope="module")
def rows(ranges: IpRanges) -> pd.DataFrame:
    table = pa.concat_tables(simulate(Scenario(seed=4, events=40_000, customers=2_000, fraud_rate=0.02)))
    ips = table["ip"].combine_chunks()
    frame: pd.DataFrame = table.to_pandas()
    frame["place"] = ranges.places(ips).fill_null(NOWHERE).to_numpy()
    frame["listed_country"] = ranges.countries(ips).to_pandas()
    return frame


@pytest.fixture(scope="module")
def moves(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each purchase but a customer's first: how far and how fast from the one before."""
    before = rows.groupby("customer_id")[["place", "purchased_at"]].shift()
    later = rows[before["place"].notna()].copy()
    before = before.loc[later.index]
    later["km"] = kilometres_of(later["place"].to_numpy(np.int64), before["place"].to_numpy(np.int64))
    hours = (later["purchased_at"] - before["purchased_at"]).dt.total_seconds() / 3_600
    later["speed"] = later["km"] / hours.clip(lower=1e-6)
    return later


def test_the_table_lies_in_cities_of_its_countries(ranges: IpRanges) -> None:
    places = np.unique(ranges.table.place)
    assert len(places) == 5 * len(CODES)
    moscow, perm, berlin = (ranges.of(ip).place for ip in ("10.0.0.1", "10.4.0.1", "10.56.255.255"))
    assert ranges.of("10.56.255.255").country == "DE"
    assert kilometres(moscow, perm) == pytest.approx(1_155, abs=15)
    assert kilometres(moscow, berlin) == pytest.approx(1_610, abs=10)


def test_the_table_and_the_rows_agree_and_some_addresses_are_in_no_range(rows: pd.DataFrame) -> None:
    listed = rows["listed_country"].notna()
    assert (rows["ip_country"] == rows["listed_country"])[listed].all()
    assert (listed == (rows["place"] != NOWHERE)).all()
    assert 0.005 < 1 - listed.mean() < 0.06


def test_people_buy_from_where_they_live(rows: pd.DataFrame) -> None:
    """The commonest place of a customer is the city of the postal address, and most purchases come from there."""
    honest = rows[~rows["is_fraud"] & (rows["place"] != NOWHERE)]
    often = honest.groupby("customer_id")["place"].agg(lambda places: places.mode().iloc[0])
    home = honest["customer_id"].map(often)
    assert 0.75 < (honest["place"] == home).mean() < 0.95
    own = honest.groupby("customer_id")["shipping_address"].agg(lambda texts: texts.mode().iloc[0])
    town = own.str.split().str[-2]
    settled = often[honest.groupby("customer_id").size() >= 8]
    of_town = settled.groupby(town[settled.index]).transform(lambda places: places.mode().iloc[0])
    assert (settled == of_town).mean() > 0.95
    assert set(town) <= set(" ".join(CITIES).split())


def test_a_journey_goes_to_one_city(rows: pd.DataFrame) -> None:
    """Of two purchases of a day abroad, by no gateway, most come from one place."""
    abroad = rows[~rows["is_fraud"] & (rows["ip_country"] != rows["billing_country"]) & (rows["place"] != NOWHERE)]
    day = abroad.groupby(["customer_id", abroad["purchased_at"].dt.date])["place"].agg(["size", "nunique"])
    assert (day[day["size"] >= 2]["nunique"] == 1).mean() > 0.7


def test_impossible_speed_says_something_and_not_all(moves: pd.DataFrame) -> None:
    impossible = moves["speed"] > 1_000
    honest, fraud = impossible[~moves["is_fraud"]].mean(), impossible[moves["is_fraud"]].mean()
    assert 0.001 < honest < 0.01
    assert 5 * honest < fraud < 0.2
    assert moves[impossible]["is_fraud"].mean() < 0.5


def test_distance_says_something_and_not_all(moves: pd.DataFrame) -> None:
    far = moves["km"] > 500
    assert 0.05 < far[~moves["is_fraud"]].mean() < 0.3
    taken = moves["fraud_pattern"].isin(["account_takeover", "stolen_card"])
    first = taken & ~moves.duplicated(["customer_id", "ip"])
    assert 0.5 < far[first].mean() < 0.95
