"""The simulated trade is as hard as a real one: raw fields say little, the contract's features much, nothing all."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import xgboost as xgb
from sklearn.metrics import average_precision_score, roc_auc_score

from fradect.features.contract import Contract
from fradect.features.globe import NOWHERE
from fradect.features.history import Outcomes, Partition, complete, sort_order, window_features
from fradect.features.snapshots import Sums, batch_features
from fradect.features.windows import Entries
from fradect.intake import IpRanges
from fradect.modules.ecommerce import STANDARD
from fradect.simulate import Scenario, simulate
from fradect.simulate.geography import range_table
from fradect.types import DAY, HOUR

Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float64]]

SEEDS = (1, 2, 3)
ENTITIES = {
    "customer": "customer_id",
    "merchant": "merchant_id",
    "device": "device_id",
    "card": "card_token",
    "address": "shipping_address",
    "ip": "ip",
}
CATEGORIES = "payment_method channel browser ip_country billing_country shipping_country merchant_id sex"
BOOSTER = {
    "objective": "binary:logistic",
    "max_depth": 5,
    "eta": 0.1,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 5,
    "nthread": 2,
    "seed": 1,
}


@dataclass(frozen=True)
class Trade:
    table: pa.Table
    ranges: IpRanges

    def micros(self, name: str) -> Ints:
        return np.asarray(self.table[name].cast(pa.int64()))

    def codes(self, name: str) -> Ints:
        return np.asarray(self.table[name].combine_chunks().dictionary_encode().indices, dtype=np.int64)

    @property
    def amount(self) -> Ints:
        return np.asarray(np.rint(np.asarray(self.table["amount"].cast(pa.float64())) * 100), dtype=np.int64)

    @property
    def places(self) -> Ints:
        places = self.ranges.places(self.table["ip"].combine_chunks())
        return np.asarray(places.fill_null(NOWHERE), dtype=np.int64)

    @property
    def fraud(self) -> Ints:
        return np.asarray(self.table["is_fraud"], dtype=np.int64)


def raw_fields(trade: Trade) -> Columns:
    time = trade.micros("purchased_at")
    columns: Columns = {name: trade.codes(name).astype(float) for name in CATEGORIES.split()}
    return columns | {
        "amount": trade.amount.astype(float),
        "age": trade.table["age"].to_numpy().astype(float),
        "hour": (time % DAY // HOUR).astype(float),
        "weekday": (time // DAY % 7).astype(float),
        "signed_up": (time - trade.micros("signup_at")) / DAY,
    }


def contract_features(trade: Trade, contract: Contract = STANDARD) -> Columns:
    time, seq = trade.micros("purchased_at"), np.arange(trade.table.num_rows)
    seen = {field: trade.codes(field) for field in ("customer_id", "device_id", "card_token")}
    seen |= {"amount_base": trade.amount, "shipping_address_token": trade.codes("shipping_address")}
    seen |= {"ip_place": trade.places}
    windows: Columns = {}
    for entity, field in ENTITIES.items():
        key = trade.codes(field)
        known = Outcomes(key, seq, time, trade.micros("label_known_at"), trade.fraud)
        windows |= window_features(contract, entity, Partition(Entries(key, time, seq, seen), {"fraud": known}))
    names = ("payment_method", "channel", "ip_country", "billing_country", "shipping_country")
    frame = {name: trade.table[name].to_numpy() for name in names}
    frame |= {"amount_base": trade.amount, "event_time": time, "signup_at": trade.micros("signup_at")}
    return complete(contract, frame, windows, np.zeros(len(time), np.bool_)) | batch_features(
        contract, sums_at_midnight(trade)
    )


def sums_at_midnight(trade: Trade) -> Sums:
    customer, time = trade.codes("customer_id"), trade.micros("purchased_at")
    returned = np.asarray(trade.table["returned"])
    back = trade.micros("return_known_at")[returned].astype(np.int64)
    fraud = trade.fraud == 1
    before = total_before(customer, time // DAY * DAY)
    ones = np.ones(len(time), dtype=np.int64)
    return Sums(
        orders=before(customer, time, ones),
        amount=before(customer, time, trade.amount),
        returned=before(customer[returned], back, ones[returned]),
        frauds=before(customer[fraud], trade.micros("label_known_at")[fraud], ones[fraud]),
    )


def total_before(at_key: Ints, at_time: Ints) -> Callable[[Ints, Ints, Ints], Ints]:
    """A sum of values, per query (key, time), over the entries of that key which lie before it."""

    def total(key: Ints, time: Ints, value: Ints) -> Ints:
        order = sort_order(key, time, np.arange(len(key)))
        line = key[order] * 4_000_000 + time[order] // HOUR
        upto = np.concatenate(([0], np.cumsum(value[order])))
        first, end = (np.searchsorted(line, at_key * 4_000_000 + at) for at in (0, at_time // HOUR))
        return upto[end] - upto[first]

    return total


@dataclass(frozen=True)
class Skill:
    auc: float
    precision: float


def skill(trade: Trade, columns: Columns) -> Skill:
    """Train on the first 60 %, leave 14 days out, test on the last 20 %."""
    time, fraud = trade.micros("purchased_at"), trade.fraud
    rows = np.stack(list(columns.values()), axis=1).astype(np.float32)
    train = slice(0, int(0.6 * len(time)))
    test = slice(max(int(0.8 * len(time)), int(np.searchsorted(time, time[train.stop] + 14 * DAY))), None)
    matrix = xgb.QuantileDMatrix(rows[train], fraud[train])
    score = xgb.train(BOOSTER, matrix, num_boost_round=120).inplace_predict(rows[test])
    return Skill(roc_auc_score(fraud[test], score), average_precision_score(fraud[test], score))


@pytest.fixture(scope="module", params=SEEDS)
def skills(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Skill, Skill]:
    table = tmp_path_factory.mktemp("ranges") / "table.csv"
    table.write_text(range_table())
    scenario = Scenario(seed=request.param, events=40_000, customers=2_500, fraud_rate=0.02)
    trade = Trade(pa.concat_tables(simulate(scenario)), IpRanges.read(table))
    return skill(trade, raw_fields(trade)), skill(trade, contract_features(trade))


def test_raw_fields_alone_stay_well_below_the_contracts_features(skills: tuple[Skill, Skill]) -> None:
    raw, contract = skills
    assert contract.auc - raw.auc > 0.06
    assert contract.precision > 0.3
    assert contract.precision > 2 * raw.precision


def test_neither_is_told_the_answer(skills: tuple[Skill, Skill]) -> None:
    raw, contract = skills
    assert 0.55 < raw.auc < 0.90
    assert 0.82 < contract.auc < 0.985
    assert contract.precision < 0.9
