"""One event's windows over the outcomes that had become known of a key."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from fradect.features.contract import Aggregate, Feature, Window
from fradect.features.held import Held, numbers_of, rows_of
from fradect.features.layout import EntityLayout

NAN = math.nan
Windows = Sequence[tuple[Feature, Window]]


@dataclass(frozen=True, slots=True)
class _Source:
    """Windows over one source, the shortest first: so a longer one adds only what lies before the one before it."""

    place: int
    tile: int
    windows: tuple[tuple[str, int, bool], ...]  # name, length, whether the share is asked for


class OutcomeWindows:
    """See EntityReader."""

    def __init__(self, layout: EntityLayout, windows: Windows) -> None:
        self._alone = len(layout.sources) == 1
        self._sources = tuple(
            _Source(place, tile, _by_length([(f, w) for f, w in windows if _of(w) == (kind, delay, tile)]))
            for place, ((kind, delay, tile), _) in enumerate(layout.sources)
        )

    def read(self, held: Held, time: int, seq: int, out: dict[str, float]) -> bool:
        """See EntityReader.read; outcomes are always told apart."""
        for source in self._sources:
            raw = self._raw(held.outcomes, source.place, seq) if held.outcomes else ()
            matured = self._matured(held.matured, source.place) if held.matured else ()
            _answer(source, time // source.tile * source.tile if source.tile else time, raw, matured, out)
        return True

    def _raw(self, held: bytes, place: int, seq: int) -> tuple[list[int], list[int]]:
        """Times in order, and values, of outcomes that became known before the number `seq`."""
        cells = numbers_of(held)
        times, values = cells[0::4], cells[3::4]
        if not self._alone or max(cells[1::4]) >= seq or times != sorted(times):
            rows = sorted((at, value) for at, n, source, value in rows_of(held, 4) if source == place and n < seq)
            times, values = [at for at, _ in rows], [value for _, value in rows]
        return times, values

    def _matured(self, held: bytes, place: int) -> tuple[list[int], list[int], list[int]]:
        """Times in order, and how many outcomes each has and how many of them are true."""
        cells = numbers_of(held)
        if not self._alone:
            cells = [cell for row in rows_of(held, 4) if row[1] == place for cell in row]
        return cells[0::4], cells[2::4], cells[3::4]


def _answer(
    source: _Source,
    now: int,
    raw: tuple[()] | tuple[list[int], list[int]],
    matured: tuple[()] | tuple[list[int], list[int], list[int]],
    out: dict[str, float],
) -> None:
    count = total = 0
    before = bisect_right(raw[0], now) if raw else 0
    folded = bisect_right(matured[0], now) if matured else 0
    for name, length, share in source.windows:
        if raw:
            start = bisect_right(raw[0], now - length)
            count, total, before = count + before - start, total + sum(raw[1][start:before]), start
        if matured:
            start = bisect_right(matured[0], now - length)
            count += sum(matured[1][start:folded])
            total, folded = total + sum(matured[2][start:folded]), start
        if share:
            out[name] = float(total) / count if count else NAN
        else:
            out[name] = float(count)


def _of(window: Window) -> tuple[str, int, int] | None:
    return None if window.outcome is None else (window.outcome.value, window.delay, window.resolution)


def _by_length(windows: Windows) -> tuple[tuple[str, int, bool], ...]:
    asked = [(f.name, w.length, w.aggregate is Aggregate.SHARE) for f, w in windows]
    return tuple(sorted(asked, key=lambda one: one[1]))
