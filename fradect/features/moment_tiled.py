"""One event's tiled windows over the events of a key: folded tiles, and fresh rows that are not folded yet."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fradect.features.contract import MOST_DISTINCT, Aggregate, Feature, Window
from fradect.features.held import ABSENT, Held, numbers, numbers_of, rows_of
from fradect.features.layout import EntityLayout, Tiles
from fradect.features.moment_first import FirstWindows
from fradect.types import SECOND

NAN = math.nan
Windows = Sequence[tuple[Feature, Window]]


def _sum(folded: list[int], fresh: list[int], _count: int) -> float:
    return float(sum(folded) + sum(fresh))


def _mean(folded: list[int], fresh: list[int], count: int) -> float:
    return float(sum(folded) + sum(fresh)) / count if count else NAN


def _max(folded: list[int], fresh: list[int], _count: int) -> float:
    return float(max(folded + fresh, default=NAN))


def _min(folded: list[int], fresh: list[int], _count: int) -> float:
    return float(min(folded + fresh, default=NAN))


_Answer = Callable[[list[int], list[int], int], float]
_OF_VALUES: dict[Aggregate, _Answer] = {
    Aggregate.SUM: _sum,
    Aggregate.MEAN: _mean,
    Aggregate.MAX: _max,
    Aggregate.MIN: _min,
}
_COUNTED = (Aggregate.COUNT, Aggregate.MEAN)


class _Span(NamedTuple):
    """Windows of one length and resolution, by what they ask. `values`: name, the value's place in a fresh row and in a
    tile, whether the event itself is left out (1 or 0), and the answer. `distinct`: the same without tile and answer.
    """

    length: int
    counted: bool
    counts: tuple[tuple[str, int], ...]
    values: tuple[tuple[str, int, int, int, _Answer], ...]
    distinct: tuple[tuple[str, int, int], ...]
    since: tuple[str, ...]


class TiledWindows:
    """See EntityReader."""

    def __init__(self, layout: EntityLayout, windows: Windows) -> None:
        self._width, self._row_bytes = layout.width, 8 * layout.width
        self._first = FirstWindows(layout, windows)
        self._resolutions = tuple(
            _Resolution(layout, tiles, [(f, w) for f, w in windows if w.resolution == tiles.resolution])
            for tiles in layout.tiles
        )
        self._no_tiles = numbers([0] * (2 * len(layout.tiles)))

    def read(self, held: Held, time: int, seq: int, out: dict[str, float]) -> bool:
        """See EntityReader."""
        width = self._width
        cells = numbers_of(held.fresh)
        if not held.tiles and len(held.fresh) == self._row_bytes and cells[0] == time and cells[1] == seq:
            self._first.fill(cells, out)
            return True
        if cells and cells[1 - width] > seq:
            cells = [cell for row in rows_of(held.fresh, width) if row[1] <= seq for cell in row]
        if not cells or cells[1 - width] != seq:
            return False
        times = cells[::width]
        in_order = times == sorted(times)
        # What lies outside the windows costs nothing: of a busy key's tiles it is most.
        tiles, at = memoryview(held.tiles or self._no_tiles).cast("q"), 0
        for resolution in self._resolutions:
            rows = cells if in_order else _in_order(cells, width, time, resolution.size)
            at = resolution.read(tiles, at, rows, time, out)
        return True


class _Resolution:
    """Windows of one resolution. Its tiles lie among a key's numbers in order of time, and their distinct codes after
    them: so many tiles, the tiles; so many numbers, the groups of codes."""

    def __init__(self, layout: EntityLayout, tiles: Tiles, windows: Windows) -> None:
        self.size = tiles.resolution
        lengths = sorted({w.length for _, w in windows})
        spans = tuple(_span(layout, tiles, [(f, w) for f, w in windows if w.length == n]) for n in lengths)
        self._plan = tiles.resolution, tiles.width, layout.width, spans

    def read(self, tiles: memoryview, at: int, cells: list[int], time: int, out: dict[str, float]) -> int:
        """Returns where the next resolution's tiles begin. `cells`: fresh rows, of which those that a window may see
        end with the event's own."""
        size, wide, width, spans = self._plan
        now = time // size * size
        begin = at + 1
        after = begin + tiles[at] * wide
        end = after + 1 + tiles[after]
        folded = tiles[begin:after:wide]
        last = begin + bisect_right(folded, now) * wide
        times = cells[::width]
        rows = len(times)
        sought: list[tuple[str, int, int, set[int]]] = []
        for length, counted, counts, values, distinct, since_last in spans:
            since = now - length
            start = bisect_left(times, since + size)
            first = begin + bisect_right(folded, since) * wide
            count = sum(tiles[first + 1 : last : wide].tolist()) + rows - start if counted else 0
            for name, alone in counts:
                out[name] = float(count - alone)
            for name, place, column, alone, answer in values:
                fresh = cells[start * width + place : (rows - alone) * width : width]
                out[name] = answer(tiles[first + column : last : wide].tolist(), fresh, count - alone)
            for name, place, alone in distinct:
                codes = set(cells[start * width + place : (rows - alone) * width : width])
                codes.discard(ABSENT)
                sought.append((name, place - 2, since, codes))
            for name in since_last:
                earlier = tiles[first:last:wide].tolist()[-1:] + [t // size * size for t in times[start : rows - 1]]
                out[name] = (now - max(earlier)) / SECOND if earlier else NAN
        if sought:
            _add_folded(tiles[after + 1 : end].tolist(), now, sought)
            for name, _, _, codes in sought:
                out[name] = float(min(len(codes), MOST_DISTINCT))
        return end


def _span(layout: EntityLayout, tiles: Tiles, windows: Windows) -> _Span:
    asked = [
        (f.name, w, 0 if w.of is None else 2 + layout.names.index(w.of), int(not w.include_self)) for f, w in windows
    ]
    return _Span(
        length=windows[0][1].length,
        counted=any(w.aggregate in _COUNTED for _, w in windows),
        counts=tuple((name, alone) for name, w, _, alone in asked if w.aggregate is Aggregate.COUNT),
        values=tuple(
            (name, place, _column(tiles, w.aggregate, place - 2), alone, _OF_VALUES[w.aggregate])
            for name, w, place, alone in asked
            if w.aggregate in _OF_VALUES
        ),
        distinct=tuple((name, place, alone) for name, w, place, alone in asked if w.aggregate is Aggregate.DISTINCT),
        since=tuple(name for name, w, _, _ in asked if w.aggregate is Aggregate.SINCE_LAST),
    )


def _column(tiles: Tiles, aggregate: Aggregate, value: int) -> int:
    """Where a tile's row holds what the aggregate needs of a value."""
    if aggregate is Aggregate.MAX:
        return 2 + len(tiles.sums) + tiles.highest.index(value)
    if aggregate is Aggregate.MIN:
        return 2 + len(tiles.sums) + len(tiles.highest) + tiles.lowest.index(value)
    return 2 + tiles.sums.index(value)


def _in_order(cells: list[int], width: int, time: int, size: int) -> list[int]:
    """The rows of tiles up to the event's in order of time, but the event's own as the last: it is in every window."""
    *others, own = zip(*[iter(cells)] * width, strict=True)
    return [cell for row in (*sorted(row for row in others if row[0] // size <= time // size), own) for cell in row]


def _add_folded(groups: list[int], now: int, sought: Sequence[tuple[str, int, int, set[int]]]) -> None:
    """Add distinct codes of tiles to the sets of those who look for them. A group: its tile's time, the position of the
    value, how many codes, and these."""
    at, end = 0, len(groups)
    while at < end and groups[at] <= now:
        time, value, first = groups[at], groups[at + 1], at + 3
        at = first + groups[at + 2]
        for _, wanted, since, codes in sought:
            if wanted == value and since < time and len(codes) < MOST_DISTINCT:
                codes.update(groups[first:at])
