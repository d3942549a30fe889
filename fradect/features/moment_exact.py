"""One event's exact windows over the events of a key."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from fradect.features.contract import Aggregate, Feature, Window
from fradect.features.globe import kilometres
from fradect.features.held import ABSENT, Held, numbers_of, rows_of
from fradect.features.layout import EntityLayout
from fradect.features.moment_first import FirstWindows
from fradect.types import SECOND

NAN = math.nan


def _sum(values: Sequence[int]) -> float:
    return float(sum(values))


def _mean(values: Sequence[int]) -> float:
    return float(sum(values)) / len(values) if values else NAN


def _max(values: Sequence[int]) -> float:
    return float(max(values)) if values else NAN


def _min(values: Sequence[int]) -> float:
    return float(min(values)) if values else NAN


def _distinct(values: Sequence[int]) -> float:
    different = set(values)
    return float(len(different) - (ABSENT in different))


_OF_VALUES: dict[Aggregate, Callable[[Sequence[int]], float]] = {
    Aggregate.SUM: _sum,
    Aggregate.MEAN: _mean,
    Aggregate.MAX: _max,
    Aggregate.MIN: _min,
    Aggregate.DISTINCT: _distinct,
}


class ExactWindows:
    """Windows are sorted by what they ask, so that each kind is one loop; windows of one length share their start."""

    def __init__(self, layout: EntityLayout, windows: Sequence[tuple[Feature, Window]]) -> None:
        self._width, self._row_bytes = layout.width, 8 * layout.width
        self._first = FirstWindows(layout, windows)
        self._lengths = tuple(sorted({w.length for _, w in windows}))
        self._shortest, self._at_first = self._lengths[0], (0,) * len(self._lengths)
        asked = [(f.name, self._lengths.index(w.length), w) for f, w in windows]
        self._counts = tuple((n, at, int(not w.include_self)) for n, at, w in asked if w.aggregate is Aggregate.COUNT)
        self._values = tuple(
            (n, at, 2 + layout.names.index(w.of), 0 if w.include_self else layout.width, _OF_VALUES[w.aggregate])
            for n, at, w in asked
            if w.of is not None and w.aggregate in _OF_VALUES
        )
        self._since = tuple((n, at) for n, at, w in asked if w.aggregate is Aggregate.SINCE_LAST)
        self._apart = tuple(
            (n, at, 2 + layout.names.index(w.of))
            for n, at, w in asked
            if w.of is not None and w.aggregate is Aggregate.KM_SINCE_LAST
        )

    def read(self, held: Held, time: int, seq: int, out: dict[str, float]) -> bool:
        """See EntityReader.read."""
        width = self._width
        cells = numbers_of(held.rows)
        if len(held.rows) == self._row_bytes and cells[0] == time and cells[1] == seq:
            self._first.fill(cells, out)
            return True
        times = cells[::width]
        if times and (cells[1 - width] > seq or times != sorted(times)):
            cells = [cell for row in sorted(row for row in rows_of(held.rows, width) if row[1] <= seq) for cell in row]
            times = cells[::width]
        rows = bisect_right(times, time)
        end = rows * width
        if not rows or cells[end - width + 1] != seq:
            return False
        starts: Sequence[int] = self._at_first
        if times[0] <= time - self._shortest:
            starts = [bisect_right(times, time - length) for length in self._lengths]
        for name, at, alone in self._counts:
            out[name] = float(rows - alone - starts[at])
        for name, at, place, alone, answer in self._values:
            out[name] = answer(cells[starts[at] * width + place : end - alone : width])
        for name, at in self._since:
            out[name] = (times[rows - 1] - times[rows - 2]) / SECOND if starts[at] < rows - 1 else NAN
        for name, at, place in self._apart:
            here = end - width + place
            out[name] = kilometres(cells[here - width], cells[here]) if starts[at] < rows - 1 else NAN
        return True
