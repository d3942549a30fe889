"""Places on the globe as whole numbers, and how far apart they are: the same bits for a request and for a frame."""

import math

import numpy as np

from fradect.errors import InvalidInput
from fradect.features.spans import Floats, Ints

NOWHERE = -1
"""The place that is not known."""

_ACROSS = 36_000  # cells of 0.01 degree along a parallel
_UP = 18_000
PLACES = _ACROSS * _UP
_DIAMETER = 2 * 6371.0088  # of the sphere with the earth's mean radius (IUGG), km
_HALF_CELL = math.pi / _ACROSS  # half a cell's angle in radians


def place_at(latitude: float, longitude: float) -> int:
    """The cell of a 0.01 degree grid (at most 1.1 km wide) in which a point lies. InvalidInput off the globe."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidInput(f"({latitude}, {longitude}) is nowhere: latitudes end at 90 degrees, longitudes at 180")
    row = min(math.floor((latitude + 90) * 100), _UP - 1)
    return row * _ACROSS + math.floor((longitude + 180) * 100) % _ACROSS


def kilometres(here: int, there: int) -> float:
    """The great circle between two cells' centres, to the metre, whichever comes first; NaN where one is nowhere.

    The haversine over whole numbers of half cells. The rounding hides in which bit two machines' sines differ.
    """
    if here < 0 or there < 0:
        return math.nan
    if here == there:
        return 0.0
    row, column = divmod(here, _ACROSS)
    other_row, other_column = divmod(there, _ACROSS)
    up = math.sin(abs(row - other_row) * _HALF_CELL)
    across = math.sin(abs(column - other_column) * _HALF_CELL)
    shrunk = math.cos((2 * row + 1 - _UP) * _HALF_CELL) * math.cos((2 * other_row + 1 - _UP) * _HALF_CELL)
    return round(_DIAMETER * math.asin(min(1.0, math.sqrt(up * up + shrunk * (across * across)))), 3)


def kilometres_of(here: Ints, there: Ints) -> Floats:
    """`kilometres` of each pair, bit for bit: numpy's sine is another one, so every different pair is asked once."""
    known = (here >= 0) & (there >= 0)
    apart = np.full(here.shape, np.nan)
    pairs, at = np.unique(np.minimum(here, there)[known] * PLACES + np.maximum(here, there)[known], return_inverse=True)
    answers = [kilometres(*divmod(pair, PLACES)) for pair in pairs.tolist()]
    apart[known] = np.array(answers, np.float64)[at]
    return apart
