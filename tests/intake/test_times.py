"""Columns of times agree with the law of single ones, in any zone, format, unit and type."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.events import Clock, to_micros
from fradect.faults import Fault, Reason
from fradect.intake.columns import ORDINARY, REASONS, Column
from fradect.intake.times import MOMENT, as_micros, plausible, times

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"])
LOCAL = st.datetimes(datetime(1975, 1, 1), datetime(2060, 1, 1))  # noqa: DTZ001  local times


def said(column: Column) -> list[Any]:
    micros = as_micros(column.values).tolist()
    known = column.values.is_valid().to_pylist()
    return [
        REASONS[code - 1] if code else value if is_known else None
        for value, is_known, code in zip(micros, known, column.faults, strict=True)
    ]


def law(values: list[Any], clock: Clock) -> list[Any]:
    answers: list[Any] = []
    for value in values:
        try:
            answers.append(None if value is None or value == "" else to_micros(value, clock))
        except Fault as fault:
            answers.append(fault.reason)
    return answers


@given(st.lists(LOCAL | st.none()), ZONES)
def test_naive_timestamps_in_a_zone(values: list[datetime | None], zone: str) -> None:
    clock = Clock(ZoneInfo(zone))
    assert said(times(pa.array(values, pa.timestamp("us")), clock, ORDINARY)) == law(values, clock)


@given(st.lists(LOCAL.map(lambda moment: moment.isoformat(" ")) | st.sampled_from(["", "2021-02-29", "soon"])), ZONES)
def test_text_in_iso_8601(values: list[str], zone: str) -> None:
    clock = Clock(ZoneInfo(zone))
    assert said(times(pa.array(values, pa.string()), clock, ORDINARY)) == law(values, clock)


@given(st.lists(LOCAL.map(lambda moment: moment.isoformat()), min_size=1), st.sampled_from(["Z", "+05:45", "-03:00"]))
def test_text_with_an_offset_needs_no_zone(values: list[str], offset: str) -> None:
    clock = Clock(ZoneInfo("Europe/Berlin"))
    written = [value + offset for value in values]
    assert said(times(pa.array(written), clock, ORDINARY)) == law(written, clock)


@given(st.lists(st.tuples(st.integers(1, 13), st.integers(1, 31), st.integers(1990, 2030)), min_size=1))
def test_text_in_a_format(days: list[tuple[int, int, int]]) -> None:
    """Days that a month does not have among them, which C would take for days of the next."""
    clock = Clock(ZoneInfo("UTC"), "%m/%d/%Y %H:%M")
    written = [f"{month}/{day}/{year} 2:47" for month, day, year in days]
    assert said(times(pa.array(written), clock, ORDINARY)) == law(written, clock)


def test_a_format_with_a_zone() -> None:
    clock = Clock(ZoneInfo("UTC"), "%d.%m.%Y %H:%M %z")
    assert said(times(pa.array(["01.02.1970 03:00 +0300"]), clock, ORDINARY)) == [31 * 86_400_000_000]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2_000_000_000) | st.none()))
def test_integers_by_their_unit(unit: str, values: list[int | None]) -> None:
    clock = Clock(ZoneInfo("UTC"), None, unit)
    assert said(times(pa.array(values, pa.int64()), clock, ORDINARY)) == law(values, clock)


def test_floats_are_numbers_too_and_nan_is_missing() -> None:
    clock = Clock(ZoneInfo("UTC"), None, "s")
    assert said(times(pa.array([1.25, float("nan"), None]), clock, ORDINARY)) == [1_250_000, None, None]


def test_a_column_of_nothing_is_missing() -> None:
    assert said(times(pa.nulls(2), Clock(ZoneInfo("UTC")), ORDINARY)) == [None, None]


def test_numbers_without_a_unit_are_no_times() -> None:
    clock = Clock(ZoneInfo("UTC"))
    assert said(times(pa.array([5]), clock, ORDINARY)) == [Reason.TIME]
    assert said(times(pa.array([True]), clock, ORDINARY)) == [Reason.TIME]


def test_dates_and_finer_or_coarser_timestamps() -> None:
    clock = Clock(ZoneInfo("UTC"))
    assert said(times(pa.array([date(1970, 1, 2)]), clock, ORDINARY)) == [86_400_000_000]
    for unit in ("s", "ms", "ns"):
        raw = pa.array([datetime(1970, 1, 2)], pa.timestamp(unit))  # noqa: DTZ001
        assert said(times(raw, clock, ORDINARY)) == [86_400_000_000]
        assert said(times(raw.cast(pa.timestamp(unit, "Asia/Tokyo")), clock, ORDINARY)) == [86_400_000_000]


def test_a_column_is_utc_microseconds_whatever_it_was() -> None:
    column = times(pa.array(["2020-01-01"]), Clock(ZoneInfo("UTC")), ORDINARY)
    assert column.values.type == MOMENT
    assert column.values[0].as_py() == datetime(2020, 1, 1, tzinfo=UTC)


def test_the_future_and_the_years_before_1970_are_faults() -> None:
    column = times(pa.array(["1969-12-31", "1970-01-01", None, "2999-01-01"]), Clock(ZoneInfo("UTC")), ORDINARY)
    assert said(plausible(column, 10**15)) == [Reason.TOO_EARLY, 0, None, Reason.FUTURE]
