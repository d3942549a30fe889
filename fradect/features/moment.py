"""The kernel for one event: the same windows as fradect/features/windows.py, over what the live state holds.

Plain Python on whole numbers, since numpy's overhead for a handful of rows is many times the work. The two forms are
held together bit for bit by tests/features/test_moment.py and by every replay.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from fradect.features.contract import MOST_DISTINCT, Aggregate, Contract, Feature, Window
from fradect.features.globe import kilometres
from fradect.features.held import ABSENT, Held, numbers_of, rows_of
from fradect.features.layout import EntityLayout, Tiles
from fradect.types import SECOND

NAN = math.nan
_FROM_LAST = (Aggregate.SINCE_LAST, Aggregate.KM_SINCE_LAST)


class Asked(NamedTuple):
    """From where windows look back: the event's time (microseconds) and its number."""

    time: int
    seq: int


@dataclass(frozen=True, slots=True)
class _Asking:
    """A feature and its window, with the position of what it looks at among the entity's values."""

    name: str
    aggregate: Aggregate
    length: int
    value: int
    alone: bool
    empty: float | None


_Exact = Callable[["_Asking", "Columns", int, int], float]
_Tiled = Callable[["_Asking", "_Inside"], float]


class EntityReader:
    """Answers a contract's windows over one entity."""

    def __init__(self, layout: EntityLayout, contract: Contract) -> None:
        windows = [(f, w) for f, w in contract.windows if w.entity == layout.entity]
        self.layout = layout
        self._width = layout.width
        of_events = [(f, w) for f, w in windows if w.outcome is None]
        exact = [_asking(layout, f, w) for f, w in of_events if not w.resolution]
        # Answers stand beside what they are asked for: looking them up by aggregate for every window costs more.
        self._exact = tuple((one.name, one.length, one.alone, one.empty, _EXACT[one.aggregate], one) for one in exact)
        self._tiled = tuple(
            (tiles, _tiled(_asking(layout, f, w) for f, w in of_events if w.resolution == tiles.resolution))
            for tiles in layout.tiles
        )
        self._matured = tuple(
            (place, tile, tuple(_asking(layout, f, w) for f, w in windows if _source(w) == (kind, delay, tile)))
            for place, ((kind, delay, tile), _) in enumerate(layout.sources)
        )
        self.names = tuple(f.name for f, _ in windows)

    def read(self, held: Held, asked: Asked, out: dict[str, float]) -> bool:
        """Put every window's value into `out`; False, and nothing, when the event is no longer told apart there."""
        if self._exact and not self._read_exact(held, asked, out):
            return False
        if self.layout.tiles and not self._read_tiled(held, asked, out):
            return False
        if self._matured:
            self._read_outcomes(held, asked, out)
        return True

    def _read_exact(self, held: Held, asked: Asked, out: dict[str, float]) -> bool:
        columns = _columns(held.rows, self._width, asked.seq)
        times = columns[0]
        end = bisect_right(times, asked.time)
        if not end or columns[1][end - 1] != asked.seq:
            return False
        starts: dict[int, int] = {}
        for name, length, alone, empty, answer, one in self._exact:
            start = starts.get(length)
            if start is None:
                start = starts[length] = bisect_right(times, asked.time - length)
            value = answer(one, columns, start, end - alone)
            out[name] = empty if value != value and empty is not None else value  # noqa: PLR0124
        return True

    def _read_tiled(self, held: Held, asked: Asked, out: dict[str, float]) -> bool:
        width = self._width
        fresh = numbers_of(held.fresh)
        if fresh and fresh[1 - width] > asked.seq:
            fresh = [cell for row in rows_of(held.fresh, width) if row[1] <= asked.seq for cell in row]
        if not fresh or fresh[1 - width] != asked.seq:
            return False
        columns = [fresh[i::width] for i in range(width)]
        in_time = len(columns[0]) == 1 or columns[0] == sorted(columns[0])
        cells = numbers_of(held.tiles) if held.tiles else None
        at = 0
        for tiles, asking in self._tiled:
            block = _NO_BLOCK
            if cells is not None:
                block = _Block(tiles, cells, at)
                at = block.end
            now = asked.time // tiles.resolution * tiles.resolution
            spans: dict[int, _Inside] = {}
            for name, length, empty, answer, one in asking:
                inside = spans.get(length)
                if inside is None:
                    inside = spans[length] = _Inside(tiles, block, (now - length, now), columns, in_time)
                value = answer(one, inside)
                out[name] = empty if value != value and empty is not None else value  # noqa: PLR0124
        return True

    def _read_outcomes(self, held: Held, asked: Asked, out: dict[str, float]) -> None:
        raw = [row for row in rows_of(held.outcomes, 4) if row[1] < asked.seq] if held.outcomes else []
        matured = numbers_of(held.matured)
        for place, tile, asking in self._matured:
            now = asked.time // tile * tile if tile else asked.time
            seen, trues = [], _NOTHING_YET
            if raw:
                seen = sorted([(at, value) for at, _, source, value in raw if source == place and at <= now])
                trues = list(accumulate([value for _, value in seen], initial=0))
            of_source = matured
            if len(self._matured) > 1:
                of_source = [cell for row in rows_of(held.matured, 4) if row[1] == place for cell in row]
            times, counts, totals = of_source[0::4], of_source[2::4], of_source[3::4]
            end = bisect_right(times, now)
            for one in asking:
                since = now - one.length
                start, first = bisect_right(times, since), bisect_left(seen, (since + 1,)) if seen else 0
                count = sum(counts[start:end]) + len(seen) - first
                value = float(count)
                if one.aggregate is Aggregate.SHARE:
                    value = _divided(sum(totals[start:end]) + trues[-1] - trues[first], count)
                out[one.name] = one.empty if value != value and one.empty is not None else value  # noqa: PLR0124


_NOTHING_YET = [0]  # how many outcomes were true, up to each


def _tiled(asking: Iterable[_Asking]) -> tuple[tuple[str, int, float | None, _Tiled, _Asking], ...]:
    return tuple((one.name, one.length, one.empty, _TILED[one.aggregate], one) for one in asking)


def _asking(layout: EntityLayout, feature: Feature, window: Window) -> _Asking:
    value = -1 if window.of is None else layout.names.index(window.of)
    alone = not window.include_self or window.aggregate in _FROM_LAST
    return _Asking(feature.name, window.aggregate, window.length, value, alone, feature.empty)


def _source(window: Window) -> tuple[str, int, int] | None:
    return None if window.outcome is None else (window.outcome.value, window.delay, window.resolution)


Columns = Sequence[Sequence[int]]


def _columns(raw: bytes, width: int, seq: int) -> Columns:
    """Times, numbers and values in order of (time, number), of rows up to a number."""
    cells = numbers_of(raw)
    columns: Columns = [cells[i::width] for i in range(width)]
    times, seqs = columns[0], columns[1]
    if seqs and seqs[-1] > seq:
        columns = _sorted(row for row in rows_of(raw, width) if row[1] <= seq) or [()] * width
    elif times != sorted(times):
        columns = _sorted(rows_of(raw, width))
    return columns


def _sorted(rows: Iterable[tuple[int, ...]]) -> Columns:
    return list(zip(*sorted(rows), strict=True))


def _count(_one: _Asking, _columns: Columns, start: int, end: int) -> float:
    return float(end - start)


def _sum(one: _Asking, columns: Columns, start: int, end: int) -> float:
    return float(sum(columns[2 + one.value][start:end]))


def _mean(one: _Asking, columns: Columns, start: int, end: int) -> float:
    return _divided(sum(columns[2 + one.value][start:end]), end - start)


def _max(one: _Asking, columns: Columns, start: int, end: int) -> float:
    return float(max(columns[2 + one.value][start:end])) if start < end else NAN


def _min(one: _Asking, columns: Columns, start: int, end: int) -> float:
    return float(min(columns[2 + one.value][start:end])) if start < end else NAN


def _distinct(one: _Asking, columns: Columns, start: int, end: int) -> float:
    different = set(columns[2 + one.value][start:end])
    return float(len(different) - (ABSENT in different))


def _since(_one: _Asking, columns: Columns, start: int, end: int) -> float:
    return (columns[0][end] - columns[0][end - 1]) / SECOND if start < end else NAN


def _kilometres(one: _Asking, columns: Columns, start: int, end: int) -> float:
    places = columns[2 + one.value]
    return kilometres(places[end - 1], places[end]) if start < end else NAN


def _divided(total: int, count: int) -> float:
    return float(total) / count if count else NAN


_EXACT: dict[Aggregate, _Exact] = {
    Aggregate.COUNT: _count,
    Aggregate.SUM: _sum,
    Aggregate.MEAN: _mean,
    Aggregate.MAX: _max,
    Aggregate.MIN: _min,
    Aggregate.DISTINCT: _distinct,
    Aggregate.SINCE_LAST: _since,
    Aggregate.KM_SINCE_LAST: _kilometres,
}


class _Block:
    """The folded tiles of one resolution, in order of time, and their distinct codes after them, where they lie among
    the numbers of a key: `rows` to `codes`, and `codes` to `end`."""

    __slots__ = ("cells", "codes", "end", "rows", "times", "width")

    def __init__(self, tiles: Tiles, cells: Sequence[int], at: int) -> None:
        self.cells, self.width, self.rows = cells, tiles.width, at + 1
        after = self.rows + cells[at] * self.width
        self.times = cells[self.rows : after : self.width]
        self.codes = after + 1
        self.end = self.codes + cells[after]


_NO_BLOCK = _Block(Tiles(1, 1, (), (), (), ()), (0, 0), 0)


class _Inside:
    """What lies in a tiled window: folded tiles `first` to `last`, and of the fresh rows' columns `start` to the end.

    A tile is inside when all its times are: after `window`'s first time, up to its second. The event's own row is the
    last; a window without it ends one row earlier. `in_time`: whether the columns are in order of time.
    """

    __slots__ = ("block", "columns", "first", "last", "now", "since", "start", "tiles")

    def __init__(self, tiles: Tiles, block: _Block, window: tuple[int, int], columns: Columns, in_time: bool) -> None:
        self.tiles, self.block, self.columns = tiles, block, columns
        self.since, self.now = since, now = window
        self.first = self.last = 0
        if block.times:
            self.first, self.last = bisect_right(block.times, since), bisect_right(block.times, now)
        earliest, latest = since + tiles.resolution, now + tiles.resolution - 1
        if in_time:
            self.start = bisect_left(columns[0], earliest)
        else:
            kept = [i for i, time in enumerate(columns[0]) if earliest <= time <= latest]
            self.columns, self.start = [[column[i] for i in kept] for column in columns], 0

    def folded(self, place: int) -> Sequence[int]:
        """A column of the tiles inside."""
        if self.first == self.last:
            return ()
        block = self.block
        start, width = block.rows + place, block.width
        return block.cells[start + self.first * width : start + self.last * width : width]

    def fresh(self, one: _Asking) -> Sequence[int]:
        return self.columns[2 + one.value][self.start : len(self.columns[0]) - one.alone]

    def count(self, one: _Asking) -> int:
        return sum(self.folded(1)) + len(self.columns[0]) - one.alone - self.start


def _tiled_count(one: _Asking, inside: _Inside) -> float:
    return float(inside.count(one))


def _tiled_total(one: _Asking, inside: _Inside) -> int:
    return sum(inside.folded(2 + inside.tiles.sums.index(one.value))) + sum(inside.fresh(one))


def _tiled_sum(one: _Asking, inside: _Inside) -> float:
    return float(_tiled_total(one, inside))


def _tiled_mean(one: _Asking, inside: _Inside) -> float:
    return _divided(_tiled_total(one, inside), inside.count(one))


def _tiled_max(one: _Asking, inside: _Inside) -> float:
    tiles = inside.tiles
    place = 2 + len(tiles.sums) + tiles.highest.index(one.value)
    return float(max([*inside.folded(place), *inside.fresh(one)], default=NAN))


def _tiled_min(one: _Asking, inside: _Inside) -> float:
    tiles = inside.tiles
    place = 2 + len(tiles.sums) + len(tiles.highest) + tiles.lowest.index(one.value)
    return float(min([*inside.folded(place), *inside.fresh(one)], default=NAN))


def _tiled_distinct(one: _Asking, inside: _Inside) -> float:
    different = set(inside.fresh(one))
    different.discard(ABSENT)
    cells, at, end = inside.block.cells, inside.block.codes, inside.block.end
    while at < end and cells[at] <= inside.now and len(different) < MOST_DISTINCT:
        after = at + 3 + cells[at + 2]
        if cells[at] > inside.since and cells[at + 1] == one.value:
            different.update(cells[at + 3 : after])
        at = after
    return float(min(len(different), MOST_DISTINCT))


def _tiled_since(one: _Asking, inside: _Inside) -> float:
    times = inside.columns[0][inside.start : len(inside.columns[0]) - one.alone]
    size = inside.tiles.resolution
    last = max([*inside.folded(0)[-1:], *[time // size * size for time in times]], default=None)
    return NAN if last is None else (inside.now - last) / SECOND


_TILED: dict[Aggregate, _Tiled] = {
    Aggregate.COUNT: _tiled_count,
    Aggregate.SUM: _tiled_sum,
    Aggregate.MEAN: _tiled_mean,
    Aggregate.MAX: _tiled_max,
    Aggregate.MIN: _tiled_min,
    Aggregate.DISTINCT: _tiled_distinct,
    Aggregate.SINCE_LAST: _tiled_since,
}
