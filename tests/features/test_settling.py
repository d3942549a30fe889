"""What is folded is the same bytes in however many steps, and as a count by hand says."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.features.contract import MOST_DISTINCT
from fradect.features.held import ABSENT, Held, numbers, numbers_of, settle, unpack_tiles
from fradect.features.layout import EntityLayout, layout_of
from fradect.modules import contract_of, module_of
from fradect.types import HOUR, MINUTE

LAYOUT = layout_of(module_of("ecommerce"), contract_of("ecommerce/standard"))
TILED = [entity for entity in LAYOUT.entities if entity.tiles]
START = 480_000 * HOUR

Row = tuple[int, ...]


def _rows(entity: EntityLayout, most: int) -> st.SearchStrategy[list[Row]]:
    """Times to the minute, and values so few that they repeat."""
    values = st.tuples(*[st.integers(ABSENT, 5) for _ in entity.names])
    one = st.tuples(st.integers(0, 180), values)
    return st.lists(one, max_size=most).map(
        lambda drawn: [(START + minute * MINUTE, seq, *held) for seq, (minute, held) in enumerate(drawn, 1)]
    )


def _raw(rows: list[Row]) -> bytes:
    return numbers([cell for row in rows for cell in row])


@pytest.mark.parametrize("entity", TILED, ids=lambda entity: entity.entity)
@given(data=st.data())
def test_in_one_step_or_in_many(entity: EntityLayout, data: st.DataObject) -> None:
    rows = data.draw(_rows(entity, 20))
    whole = Held(fresh=_raw(rows))
    at_once = settle(entity, whole, START + 3 * HOUR, len(rows))
    held = whole
    for confirmed in data.draw(st.lists(st.integers(0, 20)).map(sorted)):
        held = settle(entity, held, START + 3 * HOUR, confirmed)
    assert settle(entity, held, START + 3 * HOUR, len(rows)) == at_once
    for tiles, (folded, distinct) in zip(entity.tiles, unpack_tiles(entity, at_once.tiles), strict=True):
        by_time = defaultdict(list)
        for time, _, *values in rows:
            by_time[time // tiles.resolution * tiles.resolution].append(values)
        assert {time: tile.count for time, tile in folded.items()} == {time: len(v) for time, v in by_time.items()}
        for time, some in by_time.items():
            assert folded[time].sums == tuple(sum(v[place] for v in some) for place in tiles.sums)
            assert folded[time].highest == tuple(max(v[place] for v in some) for place in tiles.highest)
            for place in tiles.distinct:
                assert distinct.get((time, place), []) == sorted({v[place] for v in some} - {ABSENT})


def test_of_very_many_codes_the_smallest_are_kept() -> None:
    entity = next(entity for entity in TILED if any(tiles.distinct for tiles in entity.tiles))
    many = 2 * MOST_DISTINCT
    rows = [(START, seq, *[(seq * 7919) % many] * len(entity.names)) for seq in range(1, many + 1)]
    held = Held(fresh=_raw(rows))
    for confirmed in (many // 3, many // 2, many):
        held = settle(entity, held, START, confirmed)
    for tiles, (_, distinct) in zip(entity.tiles, unpack_tiles(entity, held.tiles), strict=True):
        for place in tiles.distinct:
            assert distinct[START // tiles.resolution * tiles.resolution, place] == list(range(MOST_DISTINCT))
    assert not numbers_of(held.fresh)
