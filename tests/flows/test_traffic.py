"""Held-back purchases become the requests a shop would have sent."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.traffic import Answers, hold_back
from flows.wiring import mapping_file
from fradect.errors import InvalidInput
from fradect.mapping import load_mapping
from fradect.simulate import Scenario, write


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write(Scenario(seed=1, start=date(2025, 3, 1), days=10, events=2_000, customers=200, merchants=20), folder)
    return folder


def test_the_newest_purchases_are_held_back_in_order_of_time(raw: Path) -> None:
    held = hold_back(raw, load_mapping(mapping_file("simulator")), 50)
    moments = [body["transaction"]["event_time"] for body in held.bodies]
    assert len(moments) == 50
    assert moments == sorted(moments)
    assert moments[-1].startswith("2025-03-10")
    since = datetime.fromtimestamp(held.since / 1e6, UTC)
    assert datetime.fromisoformat(moments[0]) == since


def test_no_label_no_cause_and_no_protected_attribute_is_sent(raw: Path) -> None:
    held = hold_back(raw, load_mapping(mapping_file("simulator")), 5)
    sent = str(held.bodies)
    for name in ("is_fraud", "fraud_pattern", "sex", "age", "returned"):
        assert f"'{name}'" not in sent
    assert held.bodies[0]["transaction"]["currency"] == "RUB"
    assert set(held.bodies[0]) == {"transaction", "context"}


def test_more_than_there_is_holds_everything_back(raw: Path) -> None:
    held = hold_back(raw, load_mapping(mapping_file("simulator")), 10**6)
    assert len(held.bodies) > 1_500


def test_a_source_without_times_says_which_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("transaction_id,purchased_at\n1,yesterday\n")
    with pytest.raises(InvalidInput, match="purchased_at"):
        hold_back(tmp_path / "a.csv", load_mapping(mapping_file("simulator")), 1)


def test_percentiles_are_of_what_the_caller_waited() -> None:
    answers = Answers({}, tuple(float(i) for i in range(101)), {})
    assert (answers.percentile(50), answers.percentile(99)) == (50.0, 99.0)
