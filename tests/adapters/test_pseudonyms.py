"""Names of customers for analysts: one a customer, to the letter; nobody else's in another tenant or home."""

from pathlib import Path

import pyarrow as pa
import pytest

from fradect.adapters.feast_online import Filled, open_online
from fradect.adapters.online_snapshots import ELSEWHERE, OnlineSnapshots
from fradect.adapters.places import Places
from fradect.adapters.pseudonyms import Pseudonyms
from fradect.adapters.vault import HomeVault
from tests.adapters.factories_snapshots import BATCH, END, MODULE, STANDARD
from tests.features.factories_log import events_of


def _places(home: Path, tenant: str = "default") -> Places:
    return Places(home, "ecommerce", tenant)


def test_a_customer_has_one_to_the_letter_and_another_in_each_tenant_and_home(tmp_path: Path) -> None:
    ids = ["c1", "C1", "c1 ", "", "ünï", "\x00", "x" * 256]
    named = Pseudonyms(_places(tmp_path))
    found = [named.of(one) for one in ids]
    assert found == [Pseudonyms(_places(tmp_path)).of(one) for one in ids]
    for other in (_places(tmp_path, "rival"), _places(tmp_path / "elsewhere")):
        found += [Pseudonyms(other).of(one) for one in ids]
    found += [HomeVault(tmp_path).owner("default", one) for one in ids]
    assert len(set(found)) == 4 * len(ids)
    assert not any(one and len(one) > 2 and one in name for one in ids for name in found)


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_keeps_its_order_and_its_nulls(tmp_path: Path, kind: pa.DataType) -> None:
    named, ids = Pseudonyms(_places(tmp_path)), ["b", None, "a", "b", None]
    expected = [None if one is None else named.of(one) for one in ids]
    assert named.column(pa.array(ids, pa.string()).cast(kind)).to_pylist() == expected
    assert named.column(pa.chunked_array([ids[:2], ids[2:]], pa.string()).cast(kind)).to_pylist() == expected
    assert named.column(pa.chunked_array([], pa.string())).to_pylist() == []


def test_ids_that_differ_in_a_capital_are_two_customers_with_keys_of_their_own(tmp_path: Path) -> None:
    vault = HomeVault(tmp_path)
    assert vault.owner("default", "Cust1") != vault.owner("default", "cust1")


@pytest.mark.parametrize("key_id", ["", "0011223344556677"])
def test_a_store_that_was_filled_under_another_key_says_so(tmp_path: Path, redis_db: str, key_id: str) -> None:
    """Its customers have other names there: none would be found, and everybody would look new."""
    places = _places(tmp_path)
    online = open_online(redis_db, places, BATCH)
    online.leave(Filled(tuple(BATCH), END, "", key_id))
    (event,) = events_of({"event_time": [END], "customer_id": ["a"]})
    reader = OnlineSnapshots(redis_db, places, MODULE, STANDARD)
    assert reader.read(event).missing == dict.fromkeys(BATCH, ELSEWHERE)
    online.leave(Filled(tuple(BATCH), END, "", Pseudonyms(places).key_id))
    assert not reader.read(event).missing
    reader.close()
    online.close()
