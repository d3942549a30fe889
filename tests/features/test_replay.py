"""The replay gate: equal where the two paths agree, and it finds a planted difference."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.state_rebuild import Part, rebuild
from fradect.adapters.state_sqlite import SqliteState
from fradect.features.contract import Contract, Kind
from fradect.features.replay import HistoryRows, ReplayReport, Sampled, replay
from fradect.modules import contract_of, module_of
from fradect.types import Event
from tests.features.factories_log import events_of, random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
STANDARD, HANDBOOK = contract_of("ecommerce/standard"), contract_of("ecommerce/handbook")
N = 700


class Log:
    """A log on disk, its events, and a live state made of the part that a sample could see."""

    def __init__(self, folder: Path, late: float) -> None:
        columns = random_columns(11, N, late=late)
        self.events = events_of(columns)
        self.places: Places = write_log(folder, columns, random_outcomes(11, columns), files=3)
        self.state = SqliteState("", [MODULE])

    def sample(self, contract: Contract, size: int) -> list[Sampled]:
        chosen = sorted(int(i) for i in np.random.default_rng(1).choice(N, size, replace=False))
        sample = [Sampled(i + 1, self.events[i]) for i in chosen]
        since = min(s.event.event_time for s in sample) - contract.horizon
        keys = {
            e: [str(key) for s in sample if (key := s.event.fields.get(MODULE.entities[e])) is not None]
            for e in contract.entities
        }
        rebuild(self.state, "default", MODULE, self.places.log, Part(since, keys))
        return sample

    def history(self, contract: Contract, sample: list[Sampled]) -> HistoryRows:
        build_features(self.places, MODULE, contract)
        names = tuple(f.name for f in contract if f.kind is not Kind.BATCH)
        table = pq.read_table(self.places.features(contract))
        matrix = np.column_stack([table[name].to_numpy() for name in names])
        wanted = {s.event.event_id for s in sample}
        ids = table["event_id"].to_pylist()
        return HistoryRows(names, {i: row for i, row in zip(ids, matrix, strict=True) if i in wanted})

    def replay(self, contract: Contract, sample: list[Sampled], history: HistoryRows) -> ReplayReport:
        def view(event: Event, seq: int) -> object:
            return self.state.read(event, contract, seq)

        return replay(MODULE, contract, sample, view, history)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Log]:
    log = Log(tmp_path, getattr(request, "param", 0.0))
    yield log
    log.state.close()


@pytest.mark.parametrize("contract", [STANDARD, HANDBOOK], ids=lambda c: c.name)
@pytest.mark.parametrize("log", [0.0, 0.15], indirect=True, ids=["in order", "some late"])
def test_live_equals_history_to_the_last_bit(log: Log, contract: Contract) -> None:
    sample = log.sample(contract, 200)
    report = log.replay(contract, sample, log.history(contract, sample))
    assert report.equal, report.examples
    assert report.events == 200
    assert report.features > 25


def test_one_changed_bit_in_history_is_found(log: Log) -> None:
    sample = log.sample(STANDARD, 100)
    history = log.history(STANDARD, sample)
    event = sample[5].event.event_id
    row, at = history.rows[event], history.names.index("amount")
    row[at] = np.nextafter(row[at], np.inf)
    report = log.replay(STANDARD, sample, history)
    assert not report.equal
    assert [(m.event_id, m.feature) for m in report.examples] == [(event, "amount")]
    assert event in str(report.examples[0])


def test_a_missing_value_equals_a_missing_value_only(log: Log) -> None:
    sample = log.sample(STANDARD, 100)
    history = log.history(STANDARD, sample)
    row = history.rows[sample[0].event.event_id]
    row[history.names.index("amount")] = np.nan
    assert log.replay(STANDARD, sample, history).mismatches == 1


def test_rows_that_either_side_lacks_are_counted(log: Log) -> None:
    sample = log.sample(STANDARD, 100)
    history = log.history(STANDARD, sample)
    fewer = HistoryRows(history.names, {i: r for i, r in history.rows.items() if i != sample[3].event.event_id})
    report = log.replay(STANDARD, sample, fewer)
    assert (report.missing, report.extra, report.mismatches, report.equal) == (1, 0, 0, False)
    report = log.replay(STANDARD, sample[1:], history)
    assert (report.missing, report.extra, report.equal) == (0, 1, False)


def test_nothing_replayed_proves_nothing(log: Log) -> None:
    assert not log.replay(STANDARD, [], HistoryRows(STANDARD.names, {})).equal
