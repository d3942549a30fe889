"""What each window of an event is, said in the plainest way over what the live state holds: no care for speed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fradect.features.contract import MOST_DISTINCT, Aggregate, Contract, Feature, Window
from fradect.features.globe import kilometres
from fradect.features.held import ABSENT, Held, Tile, rows_of, unpack_tiles
from fradect.features.layout import EntityLayout, Tiles
from fradect.types import SECOND

Row = tuple[int, ...]


@dataclass(frozen=True)
class Key:
    """One key of an entity, looked at from the event of this time and number."""

    layout: EntityLayout
    held: Held
    time: int
    seq: int

    @property
    def exact(self) -> list[Row]:
        """Events up to the own one, which is the last when it is told apart."""
        rows = rows_of(self.held.rows, self.layout.width)
        return sorted(row for row in rows if row[1] <= self.seq and row[0] <= self.time)

    @property
    def fresh(self) -> list[Row]:
        return [row for row in rows_of(self.held.fresh, self.layout.width) if row[1] <= self.seq]


def plain_windows(contract: Contract, key: Key) -> dict[str, float] | None:
    """Every window over the key's entity; None when the event is no longer told apart there."""
    windows = [(f, w) for f, w in contract.windows if w.entity == key.layout.entity]
    seen = [key.fresh if w.resolution else key.exact for _, w in windows if w.outcome is None]
    if any(not rows or rows[-1][1] != key.seq for rows in seen):
        return None
    return {f.name: _or_empty(_plain(key, w), f) for f, w in windows}


def _or_empty(value: float, feature: Feature) -> float:
    return feature.empty if math.isnan(value) and feature.empty is not None else value


def _plain(key: Key, window: Window) -> float:
    if window.outcome is not None:
        return _of_outcomes(key, window)
    return _tiled(key, window) if window.resolution else _exact(key, window)


def _exact(key: Key, window: Window) -> float:
    inside = [row for row in key.exact if row[0] > key.time - window.length]
    if window.aggregate in (Aggregate.SINCE_LAST, Aggregate.KM_SINCE_LAST):
        if len(inside) < 2:
            return math.nan
        last, own = inside[-2:]
        if window.aggregate is Aggregate.SINCE_LAST:
            return (own[0] - last[0]) / SECOND
        return kilometres(last[_place(key, window)], own[_place(key, window)])
    if not window.include_self:
        inside = inside[:-1]
    if window.aggregate is Aggregate.COUNT:
        return float(len(inside))
    values = [row[_place(key, window)] for row in inside]
    if window.aggregate is Aggregate.DISTINCT:
        return float(len(set(values) - {ABSENT}))
    return _number(window.aggregate, values, len(values))


def _number(aggregate: Aggregate, values: Sequence[int], count: int) -> float:
    if aggregate is Aggregate.SUM:
        return float(sum(values))
    if aggregate is Aggregate.MEAN:
        return float(sum(values)) / count if count else math.nan
    if not values:
        return math.nan
    return float(max(values)) if aggregate is Aggregate.MAX else float(min(values))


def _tiled(key: Key, window: Window) -> float:
    size = window.resolution
    now = key.time // size * size
    before = key.fresh if window.include_self and window.aggregate is not Aggregate.SINCE_LAST else key.fresh[:-1]
    fresh = [row for row in before if now - window.length < row[0] // size * size <= now]
    tiles, (held, codes) = next(
        (tiles, folded)
        for tiles, folded in zip(key.layout.tiles, unpack_tiles(key.layout, key.held.tiles), strict=True)
        if tiles.resolution == size
    )
    folded = {at: tile for at, tile in held.items() if now - window.length < at <= now}
    if window.aggregate is Aggregate.SINCE_LAST:
        times = [*folded, *(row[0] // size * size for row in fresh)]
        return (now - max(times)) / SECOND if times else math.nan
    count = sum(tile.count for tile in folded.values()) + len(fresh)
    if window.aggregate is Aggregate.COUNT:
        return float(count)
    values = [row[_place(key, window)] for row in fresh]
    if window.aggregate is Aggregate.DISTINCT:
        value = _place(key, window) - 2
        known = {code for (at, of), some in codes.items() if at in folded and of == value for code in some}
        return float(min(len((known | set(values)) - {ABSENT}), MOST_DISTINCT))
    values += _folded_values(window.aggregate, tiles, _place(key, window) - 2, list(folded.values()))
    return _number(window.aggregate, values, count)


def _folded_values(aggregate: Aggregate, tiles: Tiles, value: int, folded: Sequence[Tile]) -> Iterator[int]:
    if aggregate is Aggregate.MAX:
        return (tile.highest[tiles.highest.index(value)] for tile in folded)
    if aggregate is Aggregate.MIN:
        return (tile.lowest[tiles.lowest.index(value)] for tile in folded)
    return (tile.sums[tiles.sums.index(value)] for tile in folded)


def _of_outcomes(key: Key, window: Window) -> float:
    now = key.time // window.resolution * window.resolution if window.resolution else key.time
    assert window.outcome is not None
    asked: Any = (window.outcome.value, window.delay, window.resolution)
    place = [source for source, _ in key.layout.sources].index(asked)
    told = [
        (at, 1, value) for at, seq, source, value in rows_of(key.held.outcomes, 4) if source == place and seq < key.seq
    ]
    told += [(at, count, true) for at, source, count, true in rows_of(key.held.matured, 4) if source == place]
    inside = [(count, true) for at, count, true in told if now - window.length < at <= now]
    count = sum(count for count, _ in inside)
    if window.aggregate is Aggregate.COUNT:
        return float(count)
    return float(sum(true for _, true in inside)) / count if count else math.nan


def _place(key: Key, window: Window) -> int:
    """Where a row holds what the window looks at."""
    assert window.of is not None
    return 2 + key.layout.names.index(window.of)
