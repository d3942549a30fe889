"""Many keys' bytes at once, as fradect/features/held.py has them when everything is confirmed and settled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fradect.features.contract import MAX_LATE, MOST_DISTINCT
from fradect.features.held import ABSENT, Held, text_code
from fradect.features.layout import EntityLayout, Tiles
from fradect.features.windows import Ints
from fradect.modules.declaration import FieldType

_MOST_CODES = 1_000_000


class TextCodes:
    """`text_code` of a column, once for each text that it holds; remembered as far as memory should go."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, column: pa.ChunkedArray) -> Ints:
        """Absent ones are ABSENT."""
        encoded = pc.dictionary_encode(column).combine_chunks()
        if not isinstance(encoded, pa.DictionaryArray):
            return np.empty(0, np.int64)
        codes = [self._code(text) for text in encoded.dictionary.to_pylist()]
        table = np.array([*codes, ABSENT], np.int64)
        found: Ints = table[np.asarray(pc.fill_null(encoded.indices, len(codes)))]
        return found

    def _code(self, text: str) -> int:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_CODES:
                self._known.clear()
            known = self._known[text] = text_code(text)
        return known


@dataclass(frozen=True, slots=True)
class EntityTables:
    """One entity's part of the log. `events`: key, time, seq, then the values; `outcomes`: key, number, kind,
    event_time, known_at, value. Both in any order, keys never absent."""

    events: pa.Table
    outcomes: pa.Table


@dataclass(frozen=True, slots=True)
class _Slices:
    """Rows of whole numbers in order of keys: all their bytes, where each key's begin, and how many rows it has."""

    data: bytes
    ends: list[int]
    counts: bytes

    def cut(self) -> list[bytes]:
        """Each key's."""
        data = self.data
        return [data[start:end] for start, end in pairwise(self.ends)]

    def headed(self) -> list[bytes]:
        """Each key's, after how many there are."""
        counts = [self.counts[at : at + 8] for at in range(0, len(self.counts), 8)]
        return [count + cut for count, cut in zip(counts, self.cut(), strict=True)]


def pack(layout: EntityLayout, tables: EntityTables, newest: int, codes: TextCodes) -> Iterator[tuple[bytes, Held]]:
    """Every key that holds anything, in order."""
    keys, of_events, of_outcomes = _keyed(tables)
    if not keys:
        return
    matrix = _matrix(layout, tables.events, codes)
    order = _order(of_events, matrix[:, 1])
    of_events, matrix = of_events[order], matrix[order]
    rows = _rows(layout, of_events, matrix, newest, len(keys))
    tiles = [_tiles(one, of_events, matrix, newest, len(keys)) for one in layout.tiles]
    outcomes, matured = _outcomes(layout, of_outcomes, tables.outcomes, newest, len(keys))
    parts = zip(rows.cut(), _joined(tiles, len(keys)), outcomes.cut(), matured.cut(), strict=True)
    for key, (exact, packed, raw, added) in zip(keys, parts, strict=True):
        if exact or packed or raw or added:
            yield key, Held(exact, b"", packed, raw, added)


def _keyed(tables: EntityTables) -> tuple[list[bytes], Ints, Ints]:
    """The keys in order, and whose each event and outcome is."""
    columns = [tables.events["key"], tables.outcomes["key"]]
    every = pc.unique(pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()))
    ordered = every.take(pc.array_sort_indices(every.cast(pa.binary())))
    of = [np.asarray(pc.index_in(column, ordered).combine_chunks(), np.int64) for column in columns]
    return ordered.cast(pa.binary()).to_pylist(), of[0], of[1]


def _matrix(layout: EntityLayout, events: pa.Table, codes: TextCodes) -> npt.NDArray[np.int64]:
    """A row for each event: time, number, values."""
    matrix = np.empty((events.num_rows, layout.width), np.int64)
    matrix[:, 0] = _ints(events["time"])
    matrix[:, 1] = _ints(events["seq"])
    for i, (_, kind) in enumerate(layout.values):
        column = events[f"v{i}"]
        matrix[:, 2 + i] = _ints(column) if kind in (FieldType.MONEY, FieldType.PLACE) else codes.of(column)
    return matrix


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.int64)


def _order(key: Ints, seq: Ints) -> Ints:
    """The permutation that sorts by key, then number."""
    n = key.size
    if n and bool((seq[1:] > seq[:-1]).all()):  # as the log has them; one sort of whole numbers beats any argsort
        sorted_by_key: Ints = np.sort(key * n + np.arange(n)) % n
        return sorted_by_key
    return np.lexsort((seq, key))


def _sliced(key: Ints, rows: npt.NDArray[np.int64], keys: int) -> _Slices:
    counts = np.bincount(key, minlength=keys).astype("<i8")
    ends = np.concatenate([[0], np.cumsum(counts) * rows.shape[1] * 8]).tolist()
    return _Slices(np.ascontiguousarray(rows, "<i8").tobytes(), ends, counts.tobytes())


def _rows(layout: EntityLayout, key: Ints, matrix: npt.NDArray[np.int64], newest: int, keys: int) -> _Slices:
    oldest = newest - layout.exact - MAX_LATE
    kept = (matrix[:, 0] > oldest) & bool(layout.exact)
    return _sliced(key[kept], matrix[kept], keys)


def _tiles(tiles: Tiles, key: Ints, matrix: npt.NDArray[np.int64], newest: int, keys: int) -> tuple[_Slices, _Slices]:
    """The tiles of each key, and the distinct codes of each tile."""
    time = matrix[:, 0] // tiles.resolution * tiles.resolution
    kept = time > newest - MAX_LATE - tiles.resolution - tiles.length
    key, time, values = key[kept], time[kept], matrix[kept, 2:]
    order = np.lexsort((time, key))
    key, time, values = key[order], time[order], values[order]
    starts = _starts(key, time)
    columns = [time[starts], np.diff(np.append(starts, key.size))]
    for places, add in ((tiles.sums, np.add), (tiles.highest, np.maximum), (tiles.lowest, np.minimum)):
        columns += [add.reduceat(values[:, place], starts) if starts.size else starts for place in places]
    return _sliced(key[starts], np.column_stack(columns), keys), _distinct(tiles, key, time, values, keys)


def _distinct(tiles: Tiles, key: Ints, time: Ints, values: npt.NDArray[np.int64], keys: int) -> _Slices:
    """Of each tile and value: time, position of the value, how many codes, and these, the smallest."""
    parts = [np.empty((0, 4), np.int64)]
    for place in tiles.distinct:
        code = values[:, place]
        there = np.flatnonzero(code >= 0)
        there = there[np.lexsort((code[there], time[there], key[there]))]
        there = there[_starts(key[there], time[there], code[there])]
        starts = _starts(key[there], time[there])
        rank = np.arange(there.size) - np.repeat(starts, np.diff(np.append(starts, there.size)))
        there = there[rank < MOST_DISTINCT]
        parts.append(np.column_stack([key[there], time[there], np.full(there.size, place), code[there]]))
    rows = np.concatenate(parts)
    if len(tiles.distinct) > 1:
        rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 1], rows[:, 0]))]
    return _listed(rows, keys)


def _listed(rows: npt.NDArray[np.int64], keys: int) -> _Slices:
    """Rows of key, time, position and code, in order, with what is alike in a group told once before its codes."""
    starts = _starts(rows[:, 0], rows[:, 1], rows[:, 2])
    counts = np.diff(np.append(starts, len(rows)))
    cells = np.empty(len(rows) + 3 * starts.size, np.int64)
    heads = starts + 3 * np.arange(starts.size)
    cells[heads], cells[heads + 1], cells[heads + 2] = rows[starts, 1], rows[starts, 2], counts
    cells[np.arange(len(rows)) + 3 * np.repeat(np.arange(1, starts.size + 1), counts)] = rows[:, 3]
    of = np.concatenate([rows[:, 0], np.repeat(rows[starts, 0], 3)])
    held = np.bincount(of, minlength=keys).astype("<i8")
    ends = np.concatenate([[0], np.cumsum(held) * 8]).tolist()
    return _Slices(cells.astype("<i8").tobytes(), ends, held.tobytes())


def _starts(*columns: Ints) -> Ints:
    """Where rows, which are in order, begin to differ from the row before."""
    if not columns[0].size:
        return np.empty(0, np.int64)
    differs = np.zeros(columns[0].size, np.bool_)
    differs[0] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(differs)


def _joined(tiles: Sequence[tuple[_Slices, _Slices]], keys: int) -> list[bytes]:
    """Each key's tiles of every resolution; empty where there is nothing in any."""
    if not tiles:
        return [b""] * keys
    headed = [part.headed() for both in tiles for part in both]
    nothing = bytes(8 * len(headed))
    joined = map(b"".join, zip(*headed, strict=True))
    return [b"" if one == nothing else one for one in joined]


def _outcomes(layout: EntityLayout, of: Ints, outcomes: pa.Table, newest: int, keys: int) -> tuple[_Slices, _Slices]:
    """Outcomes of exact sources, and what those of tiled ones add up to."""
    exact, tiled = [_NONE], [_NONE]
    if outcomes.num_rows:
        time, known = _ints(outcomes["event_time"]), _ints(outcomes["known_at"])
        number, value = _ints(outcomes["number"]), _ints(outcomes["value"])
        for place, ((kind, delay, tile), length) in enumerate(layout.sources):
            at = np.maximum(time + delay, known)
            at = -(-at // tile) * tile if tile else at
            kept = np.asarray(pc.equal(outcomes["kind"], kind).combine_chunks()) & (
                at > newest - MAX_LATE - tile - length
            )
            rows = np.column_stack([of, at, number, np.full(at.size, place), value])[kept]
            (tiled if tile else exact).append(rows)
    return _raw(np.concatenate(exact), keys), _matured(np.concatenate(tiled), keys)


_NONE = np.empty((0, 5), np.int64)


def _raw(rows: npt.NDArray[np.int64], keys: int) -> _Slices:
    rows = rows[np.lexsort((rows[:, 3], rows[:, 2], rows[:, 0]))]
    return _sliced(rows[:, 0], rows[:, 1:], keys)


def _matured(rows: npt.NDArray[np.int64], keys: int) -> _Slices:
    """(at, source, count, sum) of each key, in order."""
    rows = rows[np.lexsort((rows[:, 3], rows[:, 1], rows[:, 0]))]
    starts = _starts(rows[:, 0], rows[:, 1], rows[:, 3])
    counts = np.diff(np.append(starts, len(rows)))
    sums = np.add.reduceat(rows[:, 4], starts) if starts.size else starts
    return _sliced(rows[starts, 0], np.column_stack([rows[starts, 1], rows[starts, 3], counts, sums]), keys)
