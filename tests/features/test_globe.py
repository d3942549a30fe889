"""Places and distances: what geometry demands, and that a frame answers as a single event does."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.features.globe import NOWHERE, kilometres, kilometres_of, place_at

LAST = 36_000 * 18_000 - 1
PLACES = st.integers(0, LAST)
ANYWHERE = st.one_of(st.just(NOWHERE), PLACES)
MOSCOW, BERLIN, ANADYR, NOME = (
    place_at(*at) for at in ((55.7558, 37.6173), (52.52, 13.405), (64.7337, 177.5089), (64.5011, -165.4064))
)


def centre_of(place: int) -> tuple[float, float]:
    row, column = divmod(place, 36_000)
    return (row + 0.5) / 100 - 90, (column + 0.5) / 100 - 180


def test_distances_are_those_of_the_globe() -> None:
    assert kilometres(MOSCOW, BERLIN) == pytest.approx(1609, abs=3)
    assert kilometres(ANADYR, NOME) == pytest.approx(810, abs=15)  # across the date line, not around the world
    assert kilometres(place_at(90, 0), place_at(-90, 0)) == pytest.approx(math.pi * 6371.0088, abs=2)
    assert kilometres(place_at(0, 0), place_at(0, 1)) == pytest.approx(111.2, abs=0.1)


@given(PLACES)
def test_a_place_is_where_its_centre_is(place: int) -> None:
    assert place_at(*centre_of(place)) == place
    assert kilometres(place, place) == 0


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_point_is_less_than_a_cell_from_its_place(latitude: float, longitude: float) -> None:
    up, across = centre_of(place_at(latitude, longitude))
    assert abs(up - latitude) <= 0.0051
    assert min(abs(across - longitude), 360 - abs(across - longitude)) <= 0.0051


@given(PLACES, PLACES)
def test_the_way_back_is_as_long(here: int, there: int) -> None:
    apart = kilometres(here, there)
    assert apart == kilometres(there, here)
    assert 0 <= apart <= 20_016


@given(PLACES, PLACES, PLACES)
def test_no_detour_is_shorter(here: int, by: int, there: int) -> None:
    assert kilometres(here, there) <= kilometres(here, by) + kilometres(by, there) + 0.01


@given(ANYWHERE)
def test_nowhere_is_no_distance_from_anywhere(place: int) -> None:
    assert math.isnan(kilometres(NOWHERE, place))
    assert math.isnan(kilometres(place, NOWHERE))


@given(st.lists(st.tuples(ANYWHERE, ANYWHERE), max_size=40))
def test_a_frame_gives_the_bits_of_single_events(pairs: list[tuple[int, int]]) -> None:
    both = np.array([*pairs, *pairs], np.int64).reshape(-1, 2)
    alone = np.array([kilometres(here, there) for here, there in both.tolist()], np.float64)
    assert kilometres_of(both[:, 0], both[:, 1]).tobytes() == alone.tobytes()


@pytest.mark.parametrize("point", [(90.1, 0), (-91, 0), (0, 180.5), (math.nan, 0), (0, math.inf)])
def test_a_point_off_the_globe_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        place_at(*point)
