"""Features of the event alone: one row and a thousand get the same values."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.features.contract import Contract, Feature, Kind
from fradect.features.request import NO_TIME, Formula, derived_features, fields_read, formula, request_features
from fradect.modules import MODULES, contract_of
from fradect.modules.declaration import FieldType
from fradect.types import DAY

STANDARD = contract_of("ecommerce/standard")


def _moment(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def _frame(times: list[int], **columns: list[Any]) -> dict[str, Any]:
    n = len(times)
    texts = {name: [None] * n for name in ("payment_method", "channel", *(f"{w}_country" for w in WHERE))}
    frame = {name: np.array(values, object) for name, values in {**texts, **columns}.items()}
    frame |= {"event_time": np.array(times, np.int64), "amount_base": np.arange(n)}
    return {"signup_at": np.full(n, NO_TIME), **frame}


WHERE = ("ip", "billing", "shipping")


def _one(feature: str, times: list[int], **columns: list[Any]) -> list[float]:
    contract = STANDARD if feature in STANDARD.names else contract_of("ecommerce/handbook")
    return list(request_features(contract, _frame(times, **columns))[feature])


def test_weekend_begins_and_ends_at_midnight_utc() -> None:
    friday = _moment(2024, 3, 1, 23, 59, 59)
    assert _one("weekend", [friday, friday + 1_000_000, friday + 2 * DAY, friday + 2 * DAY + 1_000_000]) == [0, 1, 1, 0]


def test_night_ends_before_seven() -> None:
    assert _one("night", [_moment(2024, 3, 1, 0), _moment(2024, 3, 1, 6, 59), _moment(2024, 3, 1, 7)]) == [1, 1, 0]


def test_the_hour_is_right_before_1970_too() -> None:
    assert _one("hour", [_moment(1969, 12, 31, 23), _moment(1970, 1, 1)]) == [23, 0]


def test_a_category_becomes_its_place_in_the_contract_and_any_other_text_is_unknown() -> None:
    codes = _one("payment_method", [0] * 4, payment_method=["card", "cod", "barter", None])
    assert np.array_equal(codes, [0, 3, np.nan, np.nan], equal_nan=True)


def test_countries_differ_or_agree_or_one_is_unknown() -> None:
    differ = _one("ip_differs_billing", [0] * 3, ip_country=["RU", "RU", None], billing_country=["RU", "DE", "DE"])
    assert np.array_equal(differ, [0, 1, np.nan], equal_nan=True)


def test_an_account_of_unknown_age_has_none() -> None:
    frame = _frame([10 * DAY, 10 * DAY])
    frame["signup_at"] = np.array([4 * DAY, NO_TIME])
    assert np.array_equal(request_features(STANDARD, frame)["account_age"], [6.0, np.nan], equal_nan=True)


def test_a_ratio_to_nothing_is_no_number() -> None:
    live = {
        name: np.array([6.0, 6.0]) for name in ("merchant_amount_mean_1d", "customer_count_1h", "customer_count_7d")
    }
    unknown = {f.name: np.full(2, np.nan) for f in STANDARD.of_kind(Kind.REQUEST, Kind.LIVE)}
    live |= {"amount": np.array([3.0, 3.0]), "customer_amount_mean_30d_before": np.array([0.0, np.nan])}
    frame = unknown | live
    columns = derived_features(STANDARD, frame)
    assert np.isnan(columns["amount_to_customer_mean"]).all()
    assert columns["amount_to_merchant_mean"].tolist() == [0.5, 0.5]
    assert columns["velocity_jump"].tolist() == [1.0, 1.0]


def test_what_history_loads_is_what_the_functions_read() -> None:
    """A field missing from `reads` would be a KeyError in history only; one too many is read for nothing."""
    for contract in (c for module in MODULES.values() for c in module.contracts):
        full = _frame([0])
        needed = {name: full[name] for name in ("event_time", *fields_read(contract))}
        assert set(request_features(contract, needed)) == {f.name for f in contract.of_kind(Kind.REQUEST)}
        for name in fields_read(contract):
            with pytest.raises(KeyError, match=name):
                request_features(contract, {key: value for key, value in needed.items() if key != name})


def test_every_field_that_formulas_read_exists() -> None:
    for contract in (c for module in MODULES.values() for c in module.contracts):
        assert set(fields_read(contract)) <= set(MODULES[contract.module].columns)


_COUNTRY = st.sampled_from([None, "RU", "DE"])
_FLOAT = st.one_of(st.just(math.nan), st.just(0.0), st.integers(-(10**15), 10**15).map(lambda n: n / 8))


@given(st.data())
def test_a_row_gets_the_bits_that_a_frame_gets(data: st.DataObject) -> None:
    """Every formula of every contract, on any fields and any features that it may be given."""
    for contract in (c for module in MODULES.values() for c in module.contracts):
        row = {name: data.draw(_field(kind)) for name, kind in MODULES[contract.module].columns.items()}
        row |= {f.name: data.draw(_FLOAT) for f in contract.of_kind(Kind.LIVE)}
        row["event_time"] = data.draw(st.integers(-(2**45), 2**52))
        frame = {name: _cell(value, name) for name, value in row.items()}
        columns = request_features(contract, frame)
        for feature in contract.of_kind(Kind.REQUEST):
            _same(formula(feature), row, frame)
        row |= {name: float(column[0]) for name, column in columns.items()}
        frame |= columns
        for feature in contract.of_kind(Kind.DERIVED):
            _same(formula(feature), row, frame)


def _field(kind: FieldType) -> st.SearchStrategy[Any]:
    if kind is FieldType.MONEY:
        return st.integers(0, 2**53)
    if kind is FieldType.TIME:
        return st.one_of(st.none(), st.integers(0, 2**52))
    if kind is FieldType.NUMBER:
        return st.one_of(st.none(), st.floats(0, 150))
    return st.integers(-1, 10_000) if kind is FieldType.PLACE else _COUNTRY


def _cell(value: Any, name: str) -> Any:
    if name == "signup_at":
        return np.array([NO_TIME if value is None else value], np.int64)
    if isinstance(value, int | float):
        return np.array([value])
    return np.array([value], object)


def _same(formula: Formula, row: dict[str, Any], frame: dict[str, Any]) -> None:
    one, many = np.array([formula.row(row)]), formula.frame(frame)
    assert one.tobytes() == many.tobytes() or (np.isnan(one) and np.isnan(many))


def test_an_unknown_request_feature_says_where_to_add_it() -> None:
    contract = Contract("x", "ecommerce", (Feature("shoe_size", Kind.REQUEST, "", ""),), ())
    with pytest.raises(InvalidInput, match=r"shoe_size.*request\.py"):
        request_features(contract, _frame([0]))
