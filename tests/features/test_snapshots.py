"""Customer snapshots against a job that would have run at each midnight, and what an event gets to see of them."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.snapshot_store import build_snapshots
from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.snapshots import Sums, batch_features, of_customers
from fradect.modules import contract_of, module_of
from fradect.types import DAY
from tests.features.factories_log import random_columns, random_outcomes, write_log

MODULE, CONTRACT = module_of("ecommerce"), contract_of("ecommerce/standard")
TOTAL = CONTRACT.feature("total_orders")


def _snapshot(columns: dict[str, Any], outcomes: dict[str, Any], customer: str, midnight: int) -> list[float]:
    """What a job at midnight knows: written down a second time, as plainly as can be."""
    time = [max(t, o) for t, o in zip(columns["event_time"], columns["observed_at"], strict=True)]
    seen = [i for i, c in enumerate(columns["customer_id"]) if c == customer and time[i] < midnight]
    known = [
        kind
        for seq, kind, value, at in zip(*(outcomes[n] for n in ("seq", "kind", "value", "known_at")), strict=True)
        if value and at < midnight and columns["customer_id"][seq - 1] == customer
    ]
    orders, amount = len(seen), sum(columns["amount_base"][i] for i in seen)
    divided = [amount / orders, known.count("return") / orders] if orders else [np.nan, np.nan]
    return [float(orders), *divided, float(known.count("fraud"))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any], Places]:
    columns = random_columns(3, 400, span=20 * DAY)
    columns["observed_at"] = [t + (3 * DAY if i % 50 == 0 else 0) for i, t in enumerate(columns["event_time"])]
    outcomes = random_outcomes(3, columns)
    return columns, outcomes, write_log(tmp_path_factory.mktemp("home"), columns, outcomes, files=3)


def test_every_row_holds_what_was_known_at_its_midnight_and_no_more(written: Any) -> None:
    columns, outcomes, places = written
    built = build_snapshots(places, MODULE, CONTRACT)
    assert built is not None
    rows = pq.read_table(built.path)
    assert rows.num_rows == built.rows > 200
    names = ["total_orders", "avg_order_value", "return_rate", "fraud_history"]
    ids = {Pseudonyms(places).of(customer): customer for customer in columns["customer_id"] if customer is not None}
    for row in rows.to_pylist():
        midnight = round(row["event_timestamp"].timestamp()) * 1_000_000
        assert midnight % DAY == 0
        assert row["created"] == row["event_timestamp"]
        expected = _snapshot(columns, outcomes, ids[row["customer_id"]], midnight)
        assert np.array_equal([row[name] for name in names], expected, equal_nan=True)


def test_only_customers_for_whom_something_changed_get_a_row(written: Any) -> None:
    columns, outcomes, places = written
    built = build_snapshots(places, MODULE, CONTRACT)
    assert built is not None
    rows = pq.read_table(built.path, columns=["customer_id", "event_timestamp"])
    at = {(c, t.timestamp() // 86_400) for c, t in zip(*(rows[n].to_pylist() for n in rows.column_names), strict=True)}
    moments = list(zip(columns["customer_id"], map(max, columns["event_time"], columns["observed_at"]), strict=True))
    moments += [
        (columns["customer_id"][seq - 1], at)
        for seq, value, at in zip(outcomes["seq"], outcomes["value"], outcomes["known_at"], strict=True)
        if value
    ]
    called = Pseudonyms(places).of
    assert at == {(called(customer), time // DAY + 1) for customer, time in moments if customer is not None}


def test_an_unchanged_log_is_not_read_again(written: Any) -> None:
    _, _, places = written
    first, second = (build_snapshots(places, MODULE, CONTRACT) for _ in range(2))
    assert second is not None
    assert second.reused
    assert first is not None
    assert first.rows == second.rows


def test_a_contract_without_batch_features_has_no_snapshots(written: Any) -> None:
    _, _, places = written
    assert build_snapshots(places, MODULE, contract_of("ecommerce/handbook")) is None
    assert not places.snapshots(contract_of("ecommerce/handbook")).exists()


def test_an_unknown_batch_feature_says_where_to_add_it() -> None:
    contract = Contract("x", "ecommerce", (Feature("shoe_size", Kind.BATCH, "", ""),), ())
    nothing = np.zeros(0, np.int64)
    with pytest.raises(InvalidInput, match=r"shoe_size.*snapshots\.py"):
        batch_features(contract, Sums(nothing, nothing, nothing, nothing))


def test_never_seen_is_the_contracts_empty_and_unnamed_is_missing() -> None:
    values = np.array([np.nan, np.nan, 4.0])
    assert np.array_equal(
        of_customers(TOTAL, values, np.array([True, False, True])), [0.0, np.nan, 4.0], equal_nan=True
    )
