"""The kernel: time windows over entries sorted by key, time and sequence number.

History calls it over millions of entries, the live path over one entity's recent ones; the same integers go
through the same operations, so both give the same bits. Sums are int64 and exact in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fradect.features.contract import MOST_DISTINCT, Aggregate, Window
from fradect.features.globe import kilometres_of
from fradect.features.spans import Floats, Gapped, Ints, Spans
from fradect.types import SECOND

__all__ = ["Entries", "Floats", "Ints", "Queries", "codes", "look_back", "tile_after", "tile_of"]


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


def look_back(windows: Sequence[Window], entries: Entries, queries: Queries) -> list[Floats]:
    """Each window's aggregate at each query, one float64 array per window; NaN where a window holds nothing.

    Exact also where sequence order and time order disagree: what had not arrived at a query is left out. For tiled
    windows the times given are those of the tiles (`tile_of`, `tile_after`).
    """
    try:
        view = _View(entries, queries, max((window.length for window in windows), default=1))
        answers = [_aggregate(window, view, view.spans(window)) for window in windows]
        if not _all_arrived(entries, queries):
            _leave_out_later_arrivals(windows, view, answers)
    except OverflowError:
        return _by_halves(windows, entries, queries)
    return [
        np.minimum(answer, MOST_DISTINCT) if window.resolution and window.aggregate is Aggregate.DISTINCT else answer
        for window, answer in zip(windows, answers, strict=True)
    ]


def tile_of(time: Ints, resolution: int) -> Ints:
    """The beginning of the tile that each time lies in; the time itself at resolution 0."""
    return time // resolution * resolution if resolution else time


def tile_after(time: Ints, resolution: int) -> Ints:
    """The first tile that begins when the time has come, or later."""
    return -(-time // resolution) * resolution if resolution else time


class _View:
    """Entries and queries laid on one integer axis, key after key, so that one binary search serves all keys."""

    def __init__(self, entries: Entries, queries: Queries, longest: int) -> None:
        times = [t for t in (entries.time, queries.time) if t.size]
        first = min((int(t.min()) for t in times), default=0)
        last = max((int(t.max()) for t in times), default=0)
        stride = last - first + longest + 2  # a window may start before its key's first entry, not in the key before
        _fit(entries, queries, stride)
        self.entries, self.queries = entries, queries
        self.entry_line = entries.key * stride + (entries.time - first)
        self.query_line = queries.key * stride + (queries.time - first)
        self._starts: dict[int, Ints] = {}
        self._running: dict[str, Ints] = {}

    @cached_property
    def end(self) -> Ints:
        """Index after the last entry that a query may see, by time and, at its own time, by number."""
        if self.queries.position is not None:
            return self.queries.position + 1
        return np.searchsorted(self.entry_line, self.query_line, side="right")

    def spans(self, window: Window) -> Spans:
        if window.length not in self._starts:
            line = self.query_line - window.length
            self._starts[window.length] = np.searchsorted(self.entry_line, line, side="right")
        alone = not window.include_self or window.aggregate in (Aggregate.SINCE_LAST, Aggregate.KM_SINCE_LAST)
        alone = alone and self.queries.position is not None
        return Spans(self._starts[window.length], self.end - 1 if alone else self.end)

    def running(self, field: str) -> Ints:
        if field not in self._running:
            self._running[field] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.entries.values[field])])
        return self._running[field]


def _fit(entries: Entries, queries: Queries, stride: int) -> None:
    keys = 1 + max((int(k[-1]) for k in (entries.key, queries.key) if k.size), default=0)
    if keys * stride > np.iinfo(np.int64).max:
        raise OverflowError(f"{keys} keys, each {stride} long, exceed 64 bits")


def _aggregate(window: Window, view: _View, spans: Spans) -> Floats:
    if window.aggregate is Aggregate.DISTINCT:
        found = spans.distinct(view.entries.key, view.entries.values[str(window.of)])
        return found.astype(np.float64)
    return _plain_aggregate(window, view, spans, view.queries)


def _plain_aggregate(window: Window, view: _View, spans: Spans | Gapped, queries: Queries) -> Floats:
    match window.aggregate:
        case Aggregate.SINCE_LAST | Aggregate.KM_SINCE_LAST:
            return _from_last(window, view.entries, spans.last(), queries)
        case Aggregate.SUM:
            return spans.total(view.running(str(window.of))).astype(np.float64)
        case Aggregate.MEAN | Aggregate.SHARE:
            total = spans.total(view.running(window.of or str(window.outcome))).astype(np.float64)
            return _divide(total, spans.count())
        case Aggregate.MAX:
            return spans.highest(view.entries.values[str(window.of)])
        case Aggregate.MIN:
            return 0.0 - spans.highest(-view.entries.values[str(window.of)])
        case _:
            return spans.count().astype(np.float64)


def _from_last(window: Window, entries: Entries, last: Ints, queries: Queries) -> Floats:
    if window.aggregate is Aggregate.SINCE_LAST:
        return _since(entries.time, last, queries.time)
    return _distance(entries.values[str(window.of)], last, queries)


def _since(times: Ints, last: Ints, now: Ints) -> Floats:
    if not times.size:
        return np.full(now.shape, np.nan)
    since: Floats = np.where(last >= 0, (now - times[np.maximum(last, 0)]) / SECOND, np.nan)
    return since


def _distance(places: Ints, last: Ints, queries: Queries) -> Floats:
    """From the last event's place to the query's own."""
    if queries.position is None:
        raise ValueError("a distance is measured from an event, which the query is not")
    held = np.concatenate([places, np.full(1, -1)])  # index -1: there is no last event, so no place
    return kilometres_of(held[last], places[queries.position])


def _divide(total: Floats, count: Ints) -> Floats:
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _leave_out_later_arrivals(windows: Sequence[Window], view: _View, answers: Sequence[Floats]) -> None:
    """Answer again, without what arrived after them, the queries before which such entries lie in time."""
    asked, late = _disordered(view)
    for window, answer in zip(windows, answers, strict=True):
        whole = view.spans(window)
        for some in _portions(asked, late, whole):
            gapped = _without_later(view, whole[some], late, view.queries.seq[some])
            if window.aggregate is Aggregate.DISTINCT:
                answer[some] -= gapped.distinct_lost(view.entries.values[str(window.of)])
            else:
                answer[some] = _plain_aggregate(window, view, gapped, _chosen(view.queries, some))


def _all_arrived(entries: Entries, queries: Queries) -> bool:
    """Whether no query can see an entry that arrived after it."""
    if not entries.seq.size or not queries.seq.size or entries.seq.max() <= queries.seq.min():
        return True
    ascends = (entries.seq[1:] > entries.seq[:-1]) | (entries.key[1:] != entries.key[:-1])
    return queries.position is not None and bool(ascends.all())


def _disordered(view: _View) -> tuple[Ints, Ints]:
    """Queries before which an entry lies in time that arrived after them, and the entries of which that is true."""
    stride = 2 + max(int(view.entries.seq.max()), int(view.queries.seq.max()))
    _fit(view.entries, view.queries, stride)
    arrived = view.entries.key * stride + view.entries.seq
    asking = view.queries.key * stride + view.queries.seq
    before = np.searchsorted(view.entry_line, view.query_line, side="right")
    newest = np.maximum.accumulate(np.concatenate([np.full(1, -1), arrived]))  # of the entries before each index
    after = np.searchsorted(view.query_line, view.entry_line, side="left")
    oldest = np.minimum.accumulate(np.concatenate([asking, np.full(1, np.iinfo(np.int64).max)])[::-1])[::-1]
    return np.flatnonzero(newest[before] > asking), np.flatnonzero(oldest[after] < arrived)


_PAIRS = 1_000_000


def _portions(asked: Ints, late: Ints, whole: Spans) -> Iterator[Ints]:
    """The queries asked, few enough at a time for the pairs of query and late entry in its window."""
    pairs = np.searchsorted(late, whole.end[asked]) - np.searchsorted(late, whole.start[asked])
    portion = np.cumsum(pairs + 1) // _PAIRS
    cuts = np.flatnonzero(np.diff(portion)) + 1
    return (some for some in np.split(asked, cuts) if some.size)


def _without_later(view: _View, whole: Spans, late: Ints, seq: Ints) -> Gapped:
    first = np.searchsorted(late, whole.start)
    many = np.searchsorted(late, whole.end) - first
    of = np.repeat(np.arange(many.size), many)
    absent = late[np.arange(of.size) - np.repeat(np.cumsum(many) - many, many) + first[of]]
    later = view.entries.seq[absent] > seq[of]
    return Gapped(whole, of[later], absent[later])


def _chosen(queries: Queries, some: Ints) -> Queries:
    position = None if queries.position is None else queries.position[some]
    return Queries(queries.key[some], queries.time[some], queries.seq[some], position)


def _by_halves(windows: Sequence[Window], entries: Entries, queries: Queries) -> list[Floats]:
    """Where all keys do not fit on one axis: the lower and the upper half of them, each from key 0 on."""
    ends = [int(k[at]) for k in (entries.key, queries.key) if k.size for at in (0, -1)]
    middle = (min(ends) + max(ends) + 1) // 2
    e, q = (int(np.searchsorted(k, middle)) for k in (entries.key, queries.key))
    lower = _entries(entries, slice(None, e), min(ends)), _queries(queries, slice(None, q), min(ends), 0)
    upper = _entries(entries, slice(e, None), middle), _queries(queries, slice(q, None), middle, e)
    halves = look_back(windows, *lower), look_back(windows, *upper)
    return [np.concatenate(both) for both in zip(*halves, strict=True)]


def _entries(entries: Entries, part: slice, key: int) -> Entries:
    values = {name: column[part] for name, column in entries.values.items()}
    return Entries(entries.key[part] - key, entries.time[part], entries.seq[part], values)


def _queries(queries: Queries, part: slice, key: int, entry: int) -> Queries:
    position = None if queries.position is None else queries.position[part] - entry
    return Queries(queries.key[part] - key, queries.time[part], queries.seq[part], position)
