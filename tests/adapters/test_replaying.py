"""The replay gate over a log: equal where the two paths agree, and it finds a planted difference."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.replaying import Replay, replay_log
from fradect.errors import NotFound
from fradect.features.contract import Contract
from fradect.modules import contract_of, module_of
from tests.features.factories_log import random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = contract_of("ecommerce/standard"), contract_of("ecommerce/handbook")


def _replay(tmp_path: Path, contract: Contract, *, late: float = 0.0) -> tuple[Places, Replay]:
    columns = random_columns(11, 800, late=late)
    places = write_log(tmp_path, columns, random_outcomes(11, columns), files=3)
    build_features(places, MODULE, contract)
    return places, Replay(places.log, places.features(contract), MODULE, contract)


@pytest.mark.parametrize("contract", [STANDARD, HANDBOOK])
@pytest.mark.parametrize("late", [0.0, 0.15])
def test_live_equals_history_to_the_last_bit(tmp_path: Path, contract: Contract, late: float) -> None:
    _, what = _replay(tmp_path, contract, late=late)
    report = replay_log(what, 200, seed=1)
    assert report.equal, report.examples
    assert report.events == 200
    assert report.features > 25


def test_one_changed_bit_in_history_is_found(tmp_path: Path) -> None:
    places, what = _replay(tmp_path, STANDARD)
    path = places.features(STANDARD)
    table = pq.read_table(path)
    at = table.schema.names.index("customer_amount_sum_1d")
    column = table.column(at).to_numpy().copy()
    column[5] = np.nextafter(column[5], np.inf)
    pq.write_table(table.set_column(at, "customer_amount_sum_1d", pa.array(column)), path)
    report = replay_log(what, 800, seed=1)
    assert not report.equal
    assert [(m.event_id, m.feature) for m in report.examples] == [("e6", "customer_amount_sum_1d")]
    assert "e6" in str(report.examples[0])


def test_an_event_that_history_lost_is_found(tmp_path: Path) -> None:
    places, what = _replay(tmp_path, STANDARD)
    path = places.features(STANDARD)
    pq.write_table(pq.read_table(path).slice(1), path)
    report = replay_log(what, 800, seed=1)
    assert (report.missing, report.mismatches, report.equal) == (1, 0, False)


def test_the_same_seed_draws_the_same_events_and_an_empty_log_is_an_error(tmp_path: Path) -> None:
    _, what = _replay(tmp_path, HANDBOOK)
    assert replay_log(what, 50, seed=4) == replay_log(what, 50, seed=4)
    with pytest.raises(NotFound, match="no events"):
        replay_log(Replay(tmp_path / "nothing", what.features, MODULE, HANDBOOK), 50, seed=4)
