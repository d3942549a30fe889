"""The kernel: time windows over entries sorted by key, time and sequence number.

History calls it over millions of entries, the live path over one entity's recent ones; the same integers go
through the same operations, so both give the same bits. Sums are int64 and exact in any order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Aggregate, Window
from fradect.types import SECOND

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Entries:
    """What windows look at: n entries sorted by (key, time, seq); keys are codes from 0, times microseconds.

    `values` holds an int64 column per field: minor units for money, codes for what is counted distinct (`codes`
    makes them; a negative one stands for an absent value and is not counted), 0 or 1 for an outcome.
    """

    key: Ints
    time: Ints
    seq: Ints
    values: Mapping[str, Ints]


@dataclass(frozen=True, slots=True)
class Queries:
    """From where windows look back, sorted by (key, time, seq). `position` is the query's own entry, if it is one."""

    key: Ints
    time: Ints
    seq: Ints
    position: Ints | None = None


def codes(texts: Sequence[str | None]) -> Ints:
    """Texts as numbers that tell them apart within this sequence; -1 for None, which no window counts."""
    known: dict[str, int] = {}
    return np.array([-1 if t is None else known.setdefault(t, len(known)) for t in texts], np.int64)


@dataclass(frozen=True, slots=True)
class _Line:
    """Entries and queries laid on one integer axis, key after key, so that one binary search serves all keys."""

    entries: Ints
    queries: Ints

    def from_(self, length: int) -> Ints:
        """Index of the first entry later than `length` before each query."""
        return np.searchsorted(self.entries, self.queries - length, side="right")

    def to(self) -> Ints:
        """Index after the last entry not later than each query."""
        return np.searchsorted(self.entries, self.queries, side="right")


def look_back(windows: Sequence[Window], entries: Entries, queries: Queries) -> list[Floats]:
    """Each window's aggregate at each query, one float64 array per window; NaN where a window holds nothing.

    Exact also where sequence order and time order disagree: queries that would see an entry which arrived
    after them are answered again from the entries they were allowed to see.
    """
    answers = _in_order(windows, entries, queries)
    for i in np.flatnonzero(_sees_later_arrivals(entries, queries)):
        for answer, corrected in zip(answers, _one_by_one(windows, entries, queries, int(i)), strict=True):
            answer[i] = corrected
    return answers


def _in_order(windows: Sequence[Window], entries: Entries, queries: Queries) -> list[Floats]:
    line = _lay_out(entries, queries, max((w.length for w in windows), default=1))
    end = line.to() if queries.position is None else queries.position + 1
    starts = {length: line.from_(length) for length in {w.length for w in windows}}
    sums: dict[str, Ints] = {}
    return [_aggregate(w, entries, queries, (starts[w.length], end), sums) for w in windows]


def _lay_out(entries: Entries, queries: Queries, longest: int) -> _Line:
    times = [t for t in (entries.time, queries.time) if t.size]
    first = min((int(t.min()) for t in times), default=0)
    last = max((int(t.max()) for t in times), default=0)
    stride = last - first + longest + 2  # a window may start before its key's first entry, never in the key before
    keys = 1 + max((int(k[-1]) for k in (entries.key, queries.key) if k.size), default=0)
    if keys * stride > np.iinfo(np.int64).max:
        raise OverflowError(f"{keys} keys over {stride} microseconds exceed 64 bits: partition by key first")
    return _Line(entries.key * stride + (entries.time - first), queries.key * stride + (queries.time - first))


def _aggregate(
    window: Window, entries: Entries, queries: Queries, span: tuple[Ints, Ints], sums: dict[str, Ints]
) -> Floats:
    start, end = span
    alone = window.aggregate is Aggregate.SINCE_LAST or not window.include_self
    if alone and queries.position is not None:
        end = end - 1
    count = end - start
    match window.aggregate:
        case Aggregate.COUNT:
            return count.astype(np.float64)
        case Aggregate.SINCE_LAST:
            last = entries.time[np.maximum(end - 1, 0)] if entries.time.size else np.zeros_like(end)
            since: Floats = np.where(count > 0, (queries.time - last) / SECOND, np.nan)
            return since
        case Aggregate.SUM | Aggregate.MEAN | Aggregate.SHARE:
            field = window.of or str(window.outcome)
            if field not in sums:
                sums[field] = np.concatenate([np.zeros(1, np.int64), np.cumsum(entries.values[field])])
            total = (sums[field][end] - sums[field][start]).astype(np.float64)
            return total if window.aggregate is Aggregate.SUM else _divide(total, count)
        case Aggregate.DISTINCT:
            return _distinct(entries, str(window.of), start, end)
        case Aggregate.MAX:
            return _highest(entries.values[str(window.of)], start, end)
        case Aggregate.MIN:
            return -_highest(-entries.values[str(window.of)], start, end)


def _divide(total: Floats, count: Ints) -> Floats:
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _distinct(entries: Entries, field: str, start: Ints, end: Ints) -> Floats:
    """Distinct values (negative ones apart) in each [start, end), both non-decreasing.

    An entry counts for the queries whose window holds it as the last of its value, and those queries are a
    contiguous run: two binary searches an entry, then one cumulative sum over the queries.
    """
    n = entries.time.size
    order = np.lexsort((np.arange(n), entries.values[field], entries.key))
    following = np.full(n, n, np.int64)
    same = (entries.values[field][order[1:]] == entries.values[field][order[:-1]]) & (
        entries.key[order[1:]] == entries.key[order[:-1]]
    )
    following[order[:-1][same]] = order[1:][same]
    enters = np.searchsorted(end, np.arange(n), side="right")
    leaves = np.minimum(
        np.searchsorted(start, np.arange(n), side="right"), np.searchsorted(end, following, side="right")
    )
    counted = (leaves > enters) & (entries.values[field] >= 0)
    change = np.bincount(enters[counted], minlength=start.size + 1)
    change = change - np.bincount(leaves[counted], minlength=start.size + 1)
    return np.cumsum(change)[: start.size].astype(np.float64)


def _highest(values: Ints, start: Ints, end: Ints) -> Floats:
    """Range maximum: level k holds the maximum of 2^k entries; a window is covered by two overlapping ones."""
    out = np.full(start.shape, np.nan)
    length = end - start
    level, width = values, 1
    while width <= int(length.max(initial=0)):
        here = (length >= width) & (length < 2 * width)
        out[here] = np.maximum(level[start[here]], level[end[here] - width])
        level = np.maximum(level[:-width], level[width:])
        width *= 2
    return out


def _sees_later_arrivals(entries: Entries, queries: Queries) -> npt.NDArray[np.bool_]:
    """Queries of whose key an entry lies before them in time but arrived after them."""
    if not entries.seq.size or not queries.seq.size or (queries.position is not None and _ascends(entries)):
        return np.zeros(queries.seq.size, np.bool_)
    first = np.searchsorted(entries.key, queries.key, side="left")
    end = _lay_out(entries, queries, 1).to()
    stride = int(entries.seq.max()) + 2
    newest = np.maximum.accumulate(entries.key * stride + entries.seq) - entries.key * stride
    return (end > first) & (newest[np.maximum(end - 1, 0)] > queries.seq)


def _ascends(entries: Entries) -> bool:
    """Whether sequence order agrees with time order within every key."""
    return bool(np.all((entries.seq[1:] > entries.seq[:-1]) | (entries.key[1:] != entries.key[:-1])))


def _one_by_one(windows: Sequence[Window], entries: Entries, queries: Queries, i: int) -> list[float]:
    key = queries.key[i]
    low, high = np.searchsorted(entries.key, [key, key + 1])
    seen = np.flatnonzero(entries.seq[low:high] <= queries.seq[i]) + low
    seen = seen[entries.time[seen] <= queries.time[i]]
    position = None
    if queries.position is not None:
        position = np.searchsorted(seen, queries.position[i : i + 1])
    alone = Entries(
        np.zeros(seen.size, np.int64),
        entries.time[seen],
        entries.seq[seen],
        {name: column[seen] for name, column in entries.values.items()},
    )
    query = Queries(np.zeros(1, np.int64), queries.time[i : i + 1], queries.seq[i : i + 1], position)
    return [float(answer[0]) for answer in _in_order(windows, alone, query)]
