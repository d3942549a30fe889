"""What the live state holds of one entity's key: bytes that every adapter stores alike, and how they are kept short.

Everything is int64, little-endian. An arrival appends; `settle` folds confirmed events into tiles and drops what no
window can reach. When all is confirmed and settled, the bytes depend only on which events and outcomes there were
and on their numbers, however they came: a state can be compared with the one that the log gives.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from fradect.errors import InvalidInput
from fradect.features.contract import MAX_LATE, MOST_DISTINCT
from fradect.features.globe import NOWHERE
from fradect.features.layout import EntityLayout, Layout, Tiles
from fradect.modules.declaration import FieldType
from fradect.types import Event, Value

ABSENT = -1
"""The code of a text that is not known; every other code is not negative."""

SETTLE_FROM = 64
"""So many rows that need not be kept are worth rewriting a key for."""

_SHORT = SETTLE_FROM * 16  # no row has fewer bytes

_OUTCOME = struct.Struct("<4q").pack
_MONEY, _PLACE = FieldType.MONEY, FieldType.PLACE  # looked up for each value of an event

_TOO_LARGE = "a number of the event exceeds 64 bits"

if sys.byteorder != "little":
    raise ImportError("the live state's bytes are little-endian, and this machine is not")


class Held(NamedTuple):
    """One key's share of the state; each part is empty where the layout needs none.

    `rows`: (time, seq, *values) of events for exact windows, in order of numbers. `fresh`: the same for tiled
    windows, of events that are not folded yet. `tiles`: what was folded (`unpack_tiles`). `outcomes`: (at, number,
    source, value), in order of numbers then sources. `matured`: of tiled sources (at, source, count, sum), sorted.
    """

    rows: bytes = b""
    fresh: bytes = b""
    tiles: bytes = b""
    outcomes: bytes = b""
    matured: bytes = b""

    def __bool__(self) -> bool:
        return any(self)


@dataclass(frozen=True, slots=True)
class Learnt:
    """An outcome as the state takes it in. `number`: its own, None where the state is to give it one; `known_at` in
    microseconds."""

    event: Event
    kind: str
    value: bool
    known_at: int
    number: int | None = None


class Tile(msgspec.Struct, frozen=True, gc=False):
    """What is folded of a tile's events. `distinct`: codes by position of the value, the smallest ones."""

    count: int
    sums: tuple[int, ...]
    highest: tuple[int, ...]
    lowest: tuple[int, ...]


Folded = tuple[dict[int, Tile], dict[tuple[int, int], list[int]]]
"""Tiles by time, and distinct codes by (time, position of the value), ascending."""


def key_of(layout: EntityLayout, event: Event) -> str | None:
    """Whose event it is; None when it names no such entity."""
    key = event.fields.get(layout.field)
    return None if key is None else str(key)


def records(layout: Layout, event: Event, seq: int) -> list[tuple[EntityLayout, str, bytes]]:
    """Layout, key and row of every entity that the event names."""
    get, time = event.fields.get, event.event_time
    codes = {name: code_of(get(name), kind) for name, kind in layout.values}
    try:
        return [
            (entity, str(key), entity.pack(time, seq, *entity.pick(codes)))
            for entity in layout.entities
            if (key := get(entity.field)) is not None
        ]
    except struct.error as error:
        raise InvalidInput(_TOO_LARGE) from error


def code_of(value: Value, kind: FieldType) -> int:
    """Money and places as they are, texts as 63 bits of their hash."""
    if kind is _MONEY:
        return int(value or 0)
    if kind is _PLACE:
        return NOWHERE if value is None else int(value)
    return ABSENT if value is None else text_code(str(value))


def text_code(text: str) -> int:
    """Tells texts apart everywhere and always; two of a million texts share a code once in 10 million states."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little") >> 1


def outcome_rows(layout: EntityLayout, learnt: Learnt, number: int = 0) -> bytes:
    """The outcome's rows, one for each source of its kind, under `number` if it brings none; empty when no window looks
    at it."""
    rows, time, known_at = b"", learnt.event.event_time, learnt.known_at
    number = number if learnt.number is None else learnt.number
    try:
        for place, delay, tile in layout.sources_by_kind.get(learnt.kind, ()):
            rows += _OUTCOME(_up(max(time + delay, known_at), tile), number, place, learnt.value)
    except struct.error as error:
        raise InvalidInput(_TOO_LARGE) from error
    return rows


def append(layout: EntityLayout, held: Held, row: bytes) -> Held:
    """The state of a key after one more event."""
    return Held(
        held.rows + row if layout.exact else b"",
        held.fresh + row if layout.tiles else b"",
        held.tiles,
        held.outcomes,
        held.matured,
    )


def withdrawn(layout: EntityLayout, held: Held, seq: int) -> Held:
    """The state of a key without what has this number, event or outcome, and is not folded; the same state when there
    is nothing."""
    return Held(
        _without(held.rows, layout.width, seq),
        _without(held.fresh, layout.width, seq),
        held.tiles,
        _without(held.outcomes, 4, seq),
        held.matured,
    )


def inserted(layout: EntityLayout, held: Held, row: bytes, seq: int) -> Held:
    """The state of a key with an event that arrived before some that are there already; once, however often."""
    return Held(
        _with(held.rows, row, layout.width, seq) if layout.exact else b"",
        _with(held.fresh, row, layout.width, seq) if layout.tiles else b"",
        held.tiles,
        held.outcomes,
        held.matured,
    )


def is_due(layout: EntityLayout, held: Held, newest: int, confirmed: int) -> bool:
    """Whether settling would shorten the key by enough to be worth it. Cheap: looks at one row of each part."""
    if len(held.rows) <= _SHORT and len(held.fresh) <= _SHORT and len(held.outcomes) <= _SHORT:
        return False
    wide = 8 * layout.width
    at = SETTLE_FROM * wide
    if len(held.fresh) > at and numbers_of(held.fresh[at - wide : at])[1] <= confirmed:
        return True
    if len(held.rows) > at and numbers_of(held.rows[at - wide : at])[0] <= newest - layout.exact - MAX_LATE:
        return True
    at = SETTLE_FROM * 32
    return len(held.outcomes) > at and _may_go(layout, numbers_of(held.outcomes[at - 32 : at]), newest, confirmed)


def _may_go(layout: EntityLayout, outcome: Sequence[int], newest: int, confirmed: int) -> bool:
    at, number, place, _ = outcome
    (_, _, tile), length = layout.sources[place]
    return at <= newest - MAX_LATE - tile - length or (tile > 0 and number <= confirmed)


def settle(layout: EntityLayout, held: Held, newest: int, confirmed: int) -> Held:
    """Fold what is confirmed and drop what no window of an event that may still come can reach."""
    folded = list(unpack_tiles(layout, held.tiles))
    fresh, waiting = _parted(held.fresh, layout.width, confirmed)
    for tiles, so_far in zip(layout.tiles, folded, strict=True):
        _fold(tiles, so_far, fresh)
        _forget(tiles, so_far, newest)
    oldest = newest - layout.exact - MAX_LATE
    raw, matured = _mature(layout, held, newest, confirmed)
    return Held(
        rows=_join(row for row in rows_of(held.rows, layout.width) if row[0] > oldest),
        fresh=_join(waiting),
        tiles=pack_tiles(folded),
        outcomes=raw,
        matured=matured,
    )


def unpack_tiles(layout: EntityLayout, raw: bytes) -> Iterator[Folded]:
    """For each of the layout's resolutions what is folded of it."""
    cells = numbers_of(raw) if raw else [0] * (2 * len(layout.tiles))
    at = 0
    for tiles in layout.tiles:
        width, s, h = tiles.width, len(tiles.sums), len(tiles.highest)
        rows, at = _block(cells, at, width)
        held = {
            row[0]: Tile(row[1], tuple(row[2 : 2 + s]), tuple(row[2 + s : 2 + s + h]), tuple(row[2 + s + h :]))
            for row in rows
        }
        groups, at = listed(cells, at)
        yield held, {(time, value): cells[start:end] for time, value, start, end in groups}


def listed(cells: Sequence[int], at: int) -> tuple[list[tuple[int, int, int, int]], int]:
    """Groups of distinct codes: a tile's time, the position of the value, and where its codes begin and end; and what
    comes after them all."""
    groups, after = [], at + 1 + cells[at]
    at += 1
    while at < after:
        end = at + 3 + cells[at + 2]
        groups.append((cells[at], cells[at + 1], at + 3, end))
        at = end
    return groups, after


def pack_tiles(folded: Sequence[Folded]) -> bytes:
    """Empty when there is nothing in any."""
    if not any(held for held, _ in folded):
        return b""
    cells: list[int] = []
    for held, distinct in folded:
        cells.append(len(held))
        for time, tile in sorted(held.items()):
            cells += (time, tile.count, *tile.sums, *tile.highest, *tile.lowest)
        cells.append(sum(map(len, distinct.values())) + 3 * len(distinct))
        for (time, value), codes in sorted(distinct.items()):
            cells += (time, value, len(codes), *codes)
    return numbers(cells)


def numbers(cells: Sequence[int]) -> bytes:
    """InvalidInput for what 64 bits do not hold."""
    try:
        return array("q", cells).tobytes()
    except OverflowError as error:
        raise InvalidInput(_TOO_LARGE) from error


def numbers_of(raw: bytes) -> list[int]:
    return memoryview(raw).cast("q").tolist()


def rows_of(raw: bytes, width: int) -> Iterator[tuple[int, ...]]:
    """Rows of so many numbers each."""
    return zip(*[iter(numbers_of(raw))] * width, strict=True)


def _without(raw: bytes, width: int, seq: int) -> bytes:
    return _join(row for row in rows_of(raw, width) if row[1] != seq) if raw else raw


def _with(raw: bytes, row: bytes, width: int, seq: int) -> bytes:
    held = {other[1]: other for other in rows_of(raw, width)}
    held[seq] = tuple(numbers_of(row))
    return _join(held[number] for number in sorted(held))


def _join(rows: Iterable[Sequence[int]]) -> bytes:
    return numbers([cell for row in rows for cell in row])


def _parted(raw: bytes, width: int, confirmed: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    rows = list(rows_of(raw, width))
    return [row for row in rows if row[1] <= confirmed], [row for row in rows if row[1] > confirmed]


def _block(cells: list[int], at: int, width: int) -> tuple[Iterator[list[int]], int]:
    start, end = at + 1, at + 1 + cells[at] * width
    return (cells[i : i + width] for i in range(start, end, width)), end


def _fold(tiles: Tiles, so_far: Folded, rows: Iterable[tuple[int, ...]]) -> None:
    held, distinct = so_far
    by_time: dict[int, list[tuple[int, ...]]] = {}
    for row in rows:
        by_time.setdefault(row[0] // tiles.resolution * tiles.resolution, []).append(row)
    for time, some in by_time.items():
        _, _, *columns = zip(*some, strict=True)
        held[time] = _added(tiles, held.get(time), len(some), columns)
        for place in tiles.distinct:
            if codes := {code for code in columns[place] if code >= 0}:
                distinct[time, place] = sorted(codes.union(distinct.get((time, place), ())))[:MOST_DISTINCT]


def _added(tiles: Tiles, old: Tile | None, count: int, columns: Sequence[Sequence[int]]) -> Tile:
    sums, highest, lowest = (
        tuple([of(columns[place]) for place in places])
        for of, places in ((sum, tiles.sums), (max, tiles.highest), (min, tiles.lowest))
    )
    if old is None:
        return Tile(count, sums, highest, lowest)
    return Tile(
        old.count + count,
        tuple(map(int.__add__, old.sums, sums)),
        tuple(map(max, old.highest, highest)),
        tuple(map(min, old.lowest, lowest)),
    )


def _forget(tiles: Tiles, so_far: Folded, newest: int) -> None:
    held, distinct = so_far
    oldest = newest - MAX_LATE - tiles.resolution - tiles.length
    for time in [time for time in held if time <= oldest]:
        del held[time]
    for place in [place for place in distinct if place[0] <= oldest]:
        del distinct[place]


def _mature(layout: EntityLayout, held: Held, newest: int, confirmed: int) -> tuple[bytes, bytes]:
    """Outcomes that stay as they are, and the folded ones of tiled sources."""
    oldest = [newest - MAX_LATE - tile - length for (_, _, tile), length in layout.sources]
    sums: dict[tuple[int, int], tuple[int, int]] = {
        (at, source): (count, total) for at, source, count, total in rows_of(held.matured, 4) if at > oldest[source]
    }
    raw: list[tuple[int, ...]] = []
    for row in rows_of(held.outcomes, 4):
        at, number, source, value = row
        if at <= oldest[source]:
            continue
        if layout.sources[source][0][2] and number <= confirmed:
            count, total = sums.get((at, source), (0, 0))
            sums[at, source] = (count + 1, total + value)
        else:
            raw.append(row)
    raw.sort(key=lambda row: (row[1], row[2]))
    return _join(raw), _join((*place, *both) for place, both in sorted(sums.items()))


def _up(time: int, resolution: int) -> int:
    return -(-time // resolution) * resolution if resolution else time


Seen = Mapping[str, Held | None]
"""What an event's entities held when it had arrived, by entity; None for one that the event does not name."""
