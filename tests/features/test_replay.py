"""A replay finds nothing where the two paths agree, and every planted fault."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from fradect.adapters.history_store import build_features
from fradect.adapters.places import Places
from fradect.adapters.replay_source import Between, ReplaySource
from fradect.adapters.snapshot_store import build_snapshots
from fradect.adapters.training_store import training_set
from fradect.errors import Conflict
from fradect.features import moment, moment_exact
from fradect.features.contract import Aggregate, Feature, Kind, Window
from fradect.features.held import Learnt
from fradect.features.layout import EntityLayout
from fradect.features.live import Reader, Snapshot
from fradect.features.moment_exact import ExactWindows
from fradect.features.replay import LivePath, ReplayReport, ReplayState, Stretch, replay
from fradect.features.replay_inputs import Inputs, inputs_of
from fradect.features.replay_inputs import moment as told
from fradect.modules import contract_of, module_of
from fradect.ports import BatchFeatures
from fradect.types import DAY, HOUR, Event
from tests.features.factories_log import START, random_columns, random_outcomes, write_log
from tests.features.factories_replay import ReplayMemory

MODULE = module_of("ecommerce")
STANDARD = contract_of("ecommerce/standard")
N = 700


@dataclass(frozen=True)
class Case:
    """A log with its history, and what is played of it."""

    places: Places
    source: ReplaySource
    reader: Reader
    between: Between

    def stretch(self) -> Stretch:
        return self.source.stretch(self.between)

    def play(
        self, stretch: Stretch | None = None, state: ReplayState | None = None, batch: BatchFeatures | None = None
    ) -> ReplayReport:
        memory = state or ReplayMemory(self.reader.layout)
        path = LivePath(memory, self.reader, batch or self.source.snapshots(), self.between.first - 1)
        return replay(path, stretch or self.stretch())


def _case(home: Path, name: str = "ecommerce/standard", columns: dict[str, Any] | None = None) -> Case:
    contract = contract_of(name)
    columns = columns or random_columns(11, N)
    places = write_log(home, columns, random_outcomes(11, columns), files=3)
    build_features(places, MODULE, contract)
    build_snapshots(places, MODULE, contract)
    training_set(places, MODULE, contract)
    reader = Reader(MODULE, contract)
    source = ReplaySource(places, MODULE, contract, reader.layout, "default")
    low, high = source.bounds()
    return Case(places, source, reader, source.between(low, high + 1))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return _case(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("name", ["ecommerce/standard", "ecommerce/handbook"])
@pytest.mark.parametrize("late", [0.0, 0.15], ids=["in order", "some late"])
def test_live_equals_history_to_the_last_bit(tmp_path: Path, name: str, late: float) -> None:
    case = _case(tmp_path, name, random_columns(11, N, late=late))
    report = case.play()
    assert report.equal, (report.by_feature, report.unmatched)
    assert report.figures == {"events": N, "features": len(contract_of(name).names), "mismatches": 0} | dict.fromkeys(
        ("missing", "extra"), 0
    )
    assert sum(events for events, _ in report.by_day.values()) == N


def test_only_what_was_asked_for_is_compared_and_all_before_it_is_played(case: Case) -> None:
    low, _ = case.source.bounds()
    between = case.source.between(low + 20 * DAY, low + 30 * DAY)
    whole = replace(
        case.stretch(), since=between.since, until=between.until, history=case.source.stretch(between).history
    )
    report = case.play(whole)
    assert report.equal, report.by_feature
    assert report.events == between.events < N


def _first_of(report: ReplayReport, feature: str) -> str:
    return next(str(example) for example in report.examples if example.feature == feature)


def test_one_changed_bit_in_history_is_found(case: Case) -> None:
    rows = list(case.stretch().history)
    seq, row = rows[5]
    values = np.frombuffer(row).copy()
    values[case.reader.contract.names.index("amount")] = np.nextafter(values[0], np.inf)
    rows[5] = seq, values.tobytes()
    report = case.play(replace(case.stretch(), history=rows))
    assert (report.mismatches, report.differing, report.equal) == (1, 1, False)
    assert "event e6: amount is" in _first_of(report, "amount")


def test_a_missing_value_equals_a_missing_value_only(case: Case) -> None:
    rows = list(case.stretch().history)
    values = np.frombuffer(rows[0][1]).copy()
    values[0] = math.nan
    rows[0] = rows[0][0], values.tobytes()
    assert case.play(replace(case.stretch(), history=rows)).mismatches == 1


def test_rows_that_either_side_lacks_are_counted_and_named(case: Case) -> None:
    rows = list(case.stretch().history)
    fewer = case.play(replace(case.stretch(), history=rows[:3] + rows[4:]))
    assert (fewer.missing, fewer.extra, fewer.mismatches, fewer.events) == (1, 0, 0, N - 1)
    assert fewer.unmatched == ("event e4 (number 4) has no row in history",)
    more = case.play(replace(case.stretch(), history=[*rows, (N + 1, rows[0][1])]))
    assert (more.missing, more.extra, more.mismatches, more.equal) == (0, 1, 0, False)


def test_nothing_replayed_proves_nothing(case: Case) -> None:
    assert not case.play(replace(case.stretch(), events=(), history=())).equal


def test_a_state_that_is_not_what_came_before_is_refused(case: Case) -> None:
    state = ReplayMemory(case.reader.layout)
    state.last_seq = 5
    with pytest.raises(Conflict, match="number 1 in the log and number 6"):
        case.play(state=state)


def test_an_event_of_the_log_twice_is_refused_by_its_number(case: Case) -> None:
    events = list(case.stretch().events)
    with pytest.raises(Conflict, match="twice"):
        case.play(replace(case.stretch(), events=[events[0], events[0], *events[1:]]))


# Planted faults: one of each kind, and a replay that finds it.


@pytest.mark.parametrize("off", [-1, 1])
def test_a_window_that_is_a_microsecond_off_is_found(tmp_path: Path, off: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One customer's purchases, each an hour after the last, or a microsecond less."""
    times = np.cumsum([HOUR - (i % 2) for i in range(20)]) + START
    case = _case(tmp_path, columns={**random_columns(3, 20), "event_time": times.tolist(), "customer_id": ["c"] * 20})
    assert case.play().equal

    def longer(layout: EntityLayout, windows: Sequence[tuple[Feature, Window]]) -> ExactWindows:
        return ExactWindows(layout, [(f, replace(w, length=w.length + off)) for f, w in windows])

    monkeypatch.setattr(moment, "ExactWindows", longer)
    report = replace(case, reader=Reader(MODULE, STANDARD)).play()
    assert report.by_feature["customer_count_1h"] > 5


def test_a_kernel_that_adds_up_floats_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 2**53 a float no longer tells whole numbers apart."""
    columns = random_columns(5, 60)
    columns["amount_base"] = [2**53 + 1 + i for i in range(60)]
    columns["customer_id"] = ["c"] * 60
    columns["event_time"] = [START + i * HOUR for i in range(60)]
    case = _case(tmp_path, columns=columns)
    assert case.play().equal
    monkeypatch.setitem(moment_exact._OF_VALUES, Aggregate.SUM, lambda values: sum(map(float, values)))
    assert set(_found(_case(tmp_path / "planted", columns=columns).play())) == {"customer_amount_sum_1d"}


def test_a_float_in_an_event_where_an_integer_belongs_is_found(case: Case) -> None:
    def halves(event: Event) -> Event:
        amount = event.fields["amount_base"]
        return structs.replace(event, fields={**event.fields, "amount_base": amount + 0.5})  # type: ignore[operator]

    report = case.play(replace(case.stretch(), events=[(seq, halves(event)) for seq, event in case.stretch().events]))
    assert report.by_feature["amount"] == N


def test_a_dropped_event_is_found(case: Case) -> None:
    events = [(seq, event) for seq, event in case.stretch().events if seq != 50]
    report = case.play(replace(case.stretch(), events=events))
    assert (report.events, report.missing, report.extra) == (N - 1, 0, 1)
    assert report.unmatched == ("history's row of number 50 has no event",)
    assert report.by_feature["merchant_count_1h"] + report.by_feature["merchant_amount_mean_1d"] > 0


def test_a_wrong_snapshot_is_found(case: Case) -> None:
    """The one of the midnight after the event."""
    snapshots = case.source.snapshots()

    class Tomorrow:
        def read(self, event: Event) -> Snapshot:
            return snapshots.at(event, event.event_time + DAY)

    found = _found(case.play(batch=Tomorrow()))
    assert "total_orders" in found
    assert set(found) <= {"total_orders", "avg_order_value", "return_rate", "fraud_history"}


def test_a_doubled_outcome_is_found(case: Case) -> None:
    class Doubling(ReplayMemory):
        def learn(self, outcomes: Iterable[Learnt]) -> None:
            told = list(outcomes)
            super().learn([*told, *(one for one in told if one.value)])

    found = _found(case.play(state=Doubling(case.reader.layout)))
    assert set(found) <= {"merchant_fraud_share_7d", "merchant_fraud_share_30d"}
    assert found["merchant_fraud_share_30d"] > 10


@pytest.mark.parametrize("lost", [0, 40])
def test_a_state_rebuilt_from_a_stale_log_is_found(case: Case, lost: int) -> None:
    """The log that it was made from had not the newest events yet; without that it is equal."""
    whole, (low, high) = case.stretch(), case.source.bounds()
    later = replace(case, between=case.source.between(low + 20 * DAY, high + 1))
    first = later.between.first
    state = ReplayMemory(case.reader.layout)
    for seq, event in whole.events:
        if seq < first - lost:
            state.arrive(event)
    state.learn(learnt for learnt in whole.outcomes if learnt.number < first - lost)
    state.last_seq = state.confirmed = first - 1
    report = later.play(state=state)
    assert report.equal == (lost == 0)
    assert report.events == later.between.events


def _found(report: ReplayReport) -> dict[str, int]:
    return {name: many for name, many in report.by_feature.items() if many}


# What a person is shown of a mismatch.


def _inputs(case: Case, report: ReplayReport, feature: str) -> Inputs:
    example = next(example for example in report.examples if example.feature == feature)
    return inputs_of(example, case.reader.contract, case.reader.layout, case.source, case.source.snapshots())


def test_both_sides_of_every_window_are_read_alike(case: Case) -> None:
    """With every row of history changed, each feature has an example, and no entry of it differs."""
    rows = [(seq, (np.frombuffer(row) + 1).tobytes()) for seq, row in case.stretch().history]
    plenty = [
        row if seq > 650 else original
        for row, original, seq in zip(rows, case.stretch().history, range(1, N + 1), strict=True)
    ]
    report = case.play(replace(case.stretch(), history=plenty))
    assert len(report.examples) > 40
    for example in report.examples:
        found = _inputs(case, report, example.feature)
        kind = case.reader.contract.feature(example.feature).kind
        assert found.entries, example.feature
        if kind in (Kind.LIVE, Kind.REQUEST):
            assert not [entry for entry in found.entries if entry.differs], (example.feature, found.entries)


def test_the_dropped_event_is_shown(case: Case) -> None:
    dropped = next(event for seq, event in case.stretch().events if seq == 50)
    events = [(seq, event) for seq, event in case.stretch().events if seq != 50]
    report = case.play(replace(case.stretch(), events=events))
    found = _inputs(case, report, "customer_count_30d")
    wrong = [entry for entry in found.entries if entry.differs]
    assert [(entry.what, entry.live, entry.history) for entry in wrong] == [
        (f"{told(dropped.event_time)}, number 50", None, "an event")
    ]
    assert str(dropped.fields["customer_id"]) in found.looked_at
    assert found.conclusion.startswith("1 of ")
