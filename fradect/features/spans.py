"""Aggregates over spans [start, end) of columns, many spans at once, and over spans with gaps.

Everything is int64 and exact; a span with nothing in it has no highest value (NaN).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spans:
    """m spans, as indexes into n entries."""

    start: Ints
    end: Ints

    def __getitem__(self, chosen: Ints) -> "Spans":
        return Spans(self.start[chosen], self.end[chosen])

    def count(self) -> Ints:
        return self.end - self.start

    def total(self, running: Ints) -> Ints:
        """`running`: n + 1 sums of the entries before each index."""
        return running[self.end] - running[self.start]

    def last(self) -> Ints:
        """Index of the last entry, -1 where there is none."""
        return np.where(self.end > self.start, self.end - 1, -1)

    def highest(self, values: Ints) -> Floats:
        """Range maximum: level k holds the maximum of 2^k entries; a span is covered by two overlapping ones."""
        out = np.full(self.start.shape, np.nan)
        length = self.end - self.start
        level, width = values, 1
        while width <= int(length.max(initial=0)):
            here = (length >= width) & (length < 2 * width)
            out[here] = np.maximum(level[self.start[here]], level[self.end[here] - width])
            level = np.maximum(level[:-width], level[width:])
            width *= 2
        return out

    def distinct(self, key: Ints, values: Ints) -> Ints:
        """Distinct values, negative ones apart; neither starts nor ends may decrease, and no span leaves its key.

        An entry counts for the spans that hold it as the last of its value, and those are a contiguous run: two
        binary searches an entry, then one cumulative sum over the spans.
        """
        n = values.size
        order = np.lexsort((np.arange(n), values, key))
        following = np.full(n, n, np.int64)
        same = (values[order[1:]] == values[order[:-1]]) & (key[order[1:]] == key[order[:-1]])
        following[order[:-1][same]] = order[1:][same]
        enters = np.searchsorted(self.end, np.arange(n), side="right")
        leaves = np.searchsorted(self.start, np.arange(n), side="right")
        leaves = np.minimum(leaves, np.searchsorted(self.end, following, side="right"))
        counted = (leaves > enters) & (values >= 0)
        change = np.bincount(enters[counted], minlength=self.start.size + 1)
        change = change - np.bincount(leaves[counted], minlength=self.start.size + 1)
        return np.cumsum(change)[: self.start.size]


@dataclass(frozen=True, slots=True)
class Gapped:
    """m spans without the entries `absent`, of which span `of` misses each; both sorted by (of, absent)."""

    whole: Spans
    of: Ints
    absent: Ints

    @property
    def _pieces(self) -> tuple[Spans, Ints]:
        """What is left of every span, piece by piece, and the first piece of each span."""
        gaps = np.bincount(self.of, minlength=self.whole.start.size)
        first = np.concatenate([np.zeros(1, np.int64), np.cumsum(gaps + 1)[:-1]])
        after = np.arange(self.absent.size) + self.of + 1  # the piece that follows a gap
        start = np.empty(self.absent.size + first.size, np.int64)
        end = np.empty_like(start)
        start[first], start[after] = self.whole.start, self.absent + 1
        end[after - 1], end[first + gaps] = self.absent, self.whole.end
        return Spans(start, end), first

    def count(self) -> Ints:
        return self.whole.count() - np.bincount(self.of, minlength=self.whole.start.size)

    def total(self, running: Ints) -> Ints:
        pieces, first = self._pieces
        return np.add.reduceat(pieces.total(running), first)

    def last(self) -> Ints:
        pieces, first = self._pieces
        return np.maximum.reduceat(pieces.last(), first)

    def highest(self, values: Ints) -> Floats:
        pieces, first = self._pieces
        return np.fmax.reduceat(pieces.highest(values), first)

    def distinct_lost(self, values: Ints) -> Ints:
        """How many values of each whole span, negative ones apart, occur in its gaps only."""
        kinds, codes = np.unique(values, return_inverse=True)
        n = values.size + 1
        places = np.sort(codes * n + np.arange(values.size))  # every value's places, in order
        gap, missing = np.unique(self.of * kinds.size + codes[self.absent], return_counts=True)
        of, code = gap // kinds.size, gap % kinds.size
        held = np.searchsorted(places, code * n + self.whole.end[of])
        held -= np.searchsorted(places, code * n + self.whole.start[of])
        lost = (held == missing) & (kinds[code] >= 0)
        return np.bincount(of[lost], minlength=self.whole.start.size)
