"""The cut in time: no event twice, no label before it was known, and short histories are refused in words."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.types import DAY
from training.dataset import PARTS, Dataset, SplitPlan, split

START = 19_000 * DAY


def _dataset(time: Any, known_at: Any, labelled: Any = True, label: Any = None) -> Dataset:
    time = np.asarray(time, np.int64)
    n = time.size
    return Dataset(
        names=("a", "b"),
        matrix=np.arange(2.0 * n).reshape(n, 2),
        label=np.arange(n) % 2 == 0 if label is None else np.asarray(label, np.bool_),
        labelled=np.broadcast_to(np.asarray(labelled, np.bool_), n),
        amount=np.arange(n),
        time=time,
        known_at=np.asarray(known_at, np.int64),
        customer=np.arange(n) % 7,
        event_id=np.array([f"e{i}" for i in range(n)], object),
        protected={"sex": np.array(["f"] * n, object)},
    )


LAX = SplitPlan(delay=2 * DAY, least_rows=0, least_frauds=0)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    days=st.integers(8, 200),
    delay=st.integers(0, 3 * DAY),
    grain=st.sampled_from([1, DAY // 24, DAY]),
)
def test_parts_are_apart_and_every_label_was_known_when_it_was_used(
    seed: int, days: int, delay: int, grain: int
) -> None:
    rng = np.random.default_rng(seed)
    time = START + rng.integers(0, days * DAY + 5 * DAY, 400)
    dataset = _dataset(time, time + rng.integers(0, 6 * DAY, 400), rng.random(400) < 0.9)
    found = split(dataset, SplitPlan(delay=delay, grain=grain, least_rows=0, least_frauds=0))
    at = found.boundaries
    moments = (at.start, at.train_end, at.fit_at, at.validation_end, at.calibration_end, at.chosen_at, at.end)
    assert list(moments) == sorted(moments)
    assert at.fit_at - at.train_end == at.chosen_at - at.calibration_end == delay
    parts = [getattr(found, name) for name in PARTS]
    for earlier, later in pairwise(parts):
        assert not earlier.size or not later.size or time[earlier].max() < time[later].min()
    for index, known_by in zip(parts, (at.fit_at, at.chosen_at, at.chosen_at, None), strict=True):
        assert dataset.labelled[index].all()
        assert (np.diff(time[index]) >= 0).all()
        assert known_by is None or (dataset.known_at[index] <= known_by).all()
    assert not parts[3].size or time[parts[3]].min() >= at.chosen_at


def test_no_label_that_was_known_in_time_is_wasted() -> None:
    time = START + np.arange(100) * DAY
    found = split(_dataset(time, time + 2 * DAY), LAX)
    at = found.boundaries
    assert np.array_equal(found.train, np.flatnonzero(time < at.train_end))
    assert np.array_equal(found.calibration, np.flatnonzero((time >= at.validation_end) & (time < at.calibration_end)))
    assert np.array_equal(found.test, np.flatnonzero(time >= at.chosen_at))


def test_parts_have_their_shares_of_the_time_between_the_delays() -> None:
    time = START + np.arange(10_000) * (104 * DAY // 10_000)
    found = split(_dataset(time, time), LAX)
    sizes = [getattr(found, name).size / 10_000 * 104 for name in PARTS]
    assert sizes == pytest.approx([60, 12, 10, 18], abs=0.1)


def test_boundaries_are_midnights() -> None:
    time = START + DAY // 3 + np.arange(2000) * (DAY // 20)
    at = split(_dataset(time, time), LAX).boundaries
    assert {moment % DAY for moment in (at.train_end, at.fit_at, at.validation_end, at.chosen_at)} == {0}


def test_a_history_shorter_than_its_label_delays_is_refused() -> None:
    time = START + np.arange(100) * (DAY // 10)
    with pytest.raises(InvalidInput, match=r"spans 9\.9 days, but two label delays of 7 days.*need at least 18"):
        split(_dataset(time, time), SplitPlan())


def test_a_part_with_too_few_frauds_is_refused_by_name() -> None:
    time = START + np.arange(4000) * (DAY // 40)
    label = (time < START + 70 * DAY) & (np.arange(4000) % 3 == 0)
    with pytest.raises(InvalidInput, match=r"the test part holds \d+ labelled events, 0 of them fraud"):
        split(_dataset(time, time, label=label), SplitPlan())


def test_events_too_young_for_a_label_do_not_push_the_test_part_out_of_history() -> None:
    time = START + np.arange(140) * (DAY // 2)
    dataset = _dataset(time, time, time < START + 50 * DAY)
    found = split(dataset, LAX)
    assert found.boundaries.end == time[99] + 1
    assert found.test.size > 10


@pytest.mark.parametrize("n", [0, 5])
def test_a_history_without_labels_is_refused(n: int) -> None:
    with pytest.raises(InvalidInput, match=f"none of {n} events has a label"):
        split(_dataset(range(n), range(n), False), SplitPlan())


@pytest.mark.parametrize("shares", [{"train": 0.7}, {"train": 0.0, "test": 0.78}])
def test_shares_that_do_not_add_up_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="add up to 1"):
        SplitPlan(**shares)  # type: ignore[arg-type]


def test_rows_take_every_column_along() -> None:
    dataset = _dataset(START + np.arange(10), START + np.arange(10))
    some = dataset.rows(np.array([7, 2]))
    assert some.matrix.tolist() == [[14.0, 15.0], [4.0, 5.0]]
    assert some.event_id.tolist() == ["e7", "e2"]
    assert some.protected["sex"].shape == (2,)
    assert len(some) == 2


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="columns of 3 rows"):
        _dataset(START + np.arange(3), START + np.arange(4))
