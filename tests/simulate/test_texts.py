"""Nothing the simulator writes can be taken for a card number, and tokens never meet."""

import ipaddress
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.cards import holds_card_number
from fradect.simulate import Scenario, simulate
from fradect.simulate.chance import Purpose, pick, since_start, unit
from fradect.simulate.texts import tokens


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.concat_tables(simulate(Scenario(seed=11, events=6_000, customers=1_000, days=30, fraud_rate=0.1)))


def test_no_text_can_be_a_card_number(table: pa.Table) -> None:
    texts = [field.name for field in table.schema if field.type == pa.string()]
    assert len(texts) > 15
    for name in texts:
        for value in table[name].unique().to_pylist():
            assert len(re.sub(r"\D", "", value)) < 13, (name, value)
            assert not holds_card_number(value), (name, value)


def test_values_have_their_forms(table: pa.Table) -> None:
    forms = {
        "transaction_id": r"tx_[0-9a-f]{6}[g-z]{4}[0-9a-f]{6}",
        "customer_id": r"cust_[0-9a-f]{10}",
        "device_id": r"dev_[0-9a-f]{10}",
        "card_token": r"card_[0-9a-f]{10}",
        "merchant_id": r"m_\d{4}",
        "email": r"[a-z]+\.[a-z]+\d{1,4}@([a-z]+\.)?example(\.(com|org|net))?",
        "phone": r"\+79\d{9}",
        "currency": "RUB",
        "ip_country": "[A-Z]{2}",
        "sex": "[FM]",
        "shipping_address": r"[A-Za-z]+ \d{1,3}, flat \d{1,3}, [A-Za-z]+ \d{6}",
    }
    for name, form in forms.items():
        odd = [value for value in table[name].unique().to_pylist() if not re.fullmatch(form, value)]
        assert not odd, name


def test_addresses_of_the_net_are_private_and_keep_their_country(table: pa.Table) -> None:
    pairs = set(zip(table["ip"].to_pylist(), table["ip_country"].to_pylist(), strict=True))
    assert all(ipaddress.ip_address(ip) in ipaddress.ip_network("10.0.0.0/8") for ip, _ in pairs)
    assert len({ip for ip, _ in pairs}) == len(pairs)


def test_women_have_womens_names(table: pa.Table) -> None:
    rows = table.select(["sex", "full_name"]).to_pandas().drop_duplicates()
    assert (rows["full_name"].str.endswith("a") == (rows["sex"] == "F")).all()


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40 - 1), unique=True, min_size=1, max_size=200))
def test_different_keys_have_different_tokens(seed: int, keys: list[int]) -> None:
    made = tokens("dev_", seed, Purpose.DEVICE_TOKEN, np.array(keys)).to_pylist()
    assert len(set(made)) == len(keys)
    assert made == tokens("dev_", seed, Purpose.DEVICE_TOKEN, np.array(keys)).to_pylist()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1_000)), max_size=50))
def test_time_since_the_start_begins_anew_with_each_owner(pairs: list[tuple[int, int]]) -> None:
    pairs.sort(key=lambda pair: pair[0])
    owner, gap = np.array([o for o, _ in pairs], int), np.array([g for _, g in pairs], float)
    expected: list[int] = []
    last: dict[int, int] = {}
    for who, wait in pairs:
        last[who] = last[who] + wait if who in last else 0
        expected.append(last[who])
    assert since_start(owner, gap).tolist() == expected


def test_hashes_spread_evenly_and_draws_follow_their_weights() -> None:
    values = unit(3, Purpose.TRIP, np.arange(20_000))
    assert np.histogram(values, bins=10, range=(0, 1))[0].min() > 1_800
    drawn = pick(np.random.default_rng(0), np.array([1.0, 0.0, 3.0]), 40_000)
    assert set(drawn.tolist()) == {0, 2}
    assert (drawn == 2).mean() == pytest.approx(0.75, abs=0.02)
