"""What the live state keeps of each entity for a contract, and nothing that no window of it looks at."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from operator import itemgetter
from struct import Struct

import msgspec

from fradect.features.contract import Aggregate, Contract, Window
from fradect.features.history import looked_at
from fradect.modules.declaration import FieldType, Module

Source = tuple[str, int, int]
"""An outcome's kind, its delay and its resolution, in microseconds."""


@dataclass(frozen=True)
class Tiles:
    """What is kept per tile of `resolution`, for windows of up to `length`: positions in the entity's values."""

    resolution: int
    length: int
    sums: tuple[int, ...]
    highest: tuple[int, ...]
    lowest: tuple[int, ...]
    distinct: tuple[int, ...]

    @cached_property
    def width(self) -> int:
        """Numbers in a tile's row: time, count, then sums, highest and lowest."""
        return 2 + len(self.sums) + len(self.highest) + len(self.lowest)


@dataclass(frozen=True)
class EntityLayout:
    """`field` identifies the entity. A row of an event is its time, its number and `values`.

    `exact`: the longest exact window over events, 0 when there is none. `sources`: outcomes looked at, each with the
    longest window over it.
    """

    entity: str
    field: str
    values: tuple[tuple[str, FieldType], ...]
    exact: int
    tiles: tuple[Tiles, ...]
    sources: tuple[tuple[Source, int], ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.values)

    @cached_property
    def width(self) -> int:
        """Whole numbers in an event's row."""
        return 2 + len(self.values)

    @cached_property
    def sources_by_kind(self) -> dict[str, tuple[tuple[int, int, int], ...]]:
        """Place among the sources, delay and resolution."""
        placed = [(kind, (place, delay, tile)) for place, ((kind, delay, tile), _) in enumerate(self.sources)]
        return {kind: tuple(one for other, one in placed if other == kind) for kind, _ in placed}

    @cached_property
    def pick(self) -> Callable[[Mapping[str, int]], tuple[int, ...]]:
        """The row's values out of all by name."""
        if len(self.names) > 1:
            return itemgetter(*self.names)
        return lambda codes: tuple(codes[name] for name in self.names)

    @cached_property
    def pack(self) -> Callable[..., bytes]:
        """An event's row from so many whole numbers; struct.error for one that 64 bits do not hold."""
        return Struct(f"<{self.width}q").pack


@dataclass(frozen=True)
class Layout:
    """A module's entities as windows see them. Two states of one `digest` can stand in for each other."""

    module: str
    entities: tuple[EntityLayout, ...]

    @cached_property
    def digest(self) -> str:
        raw = msgspec.json.encode(asdict(self), order="deterministic")
        return hashlib.sha256(raw).hexdigest()[:16]

    @cached_property
    def sourced(self) -> tuple[EntityLayout, ...]:
        """Entities whose windows look at outcomes."""
        return tuple(entity for entity in self.entities if entity.sources)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Event fields that the state reads, keys of entities among them."""
        return tuple(sorted({name for e in self.entities for name in (e.field, *e.names)}))

    @cached_property
    def values(self) -> tuple[tuple[str, FieldType], ...]:
        """What rows hold of an event, of all entities together."""
        return tuple(sorted({value for entity in self.entities for value in entity.values}))

    @cached_property
    def horizon(self) -> int:
        """How far before an event any window of its may reach, label delays included."""
        spans = [e.exact for e in self.entities]
        spans += [t.length + t.resolution for e in self.entities for t in e.tiles]
        spans += [length + delay + tile for e in self.entities for (_, delay, tile), length in e.sources]
        return max(spans, default=0)


def layout_of(module: Module, *contracts: Contract) -> Layout:
    """For the contracts that are to be served from one state. InvalidInput as `looked_at`."""
    entities = sorted({entity for contract in contracts for entity in contract.entities})
    return Layout(module.name, tuple(_entity(module, contracts, entity) for entity in entities))


def _entity(module: Module, contracts: Sequence[Contract], entity: str) -> EntityLayout:
    windows = [w for contract in contracts for _, w in contract.windows if w.entity == entity]
    fields: dict[str, FieldType] = {}
    for contract in contracts:
        fields |= looked_at(module, contract, entity)
    values = tuple(sorted(fields.items()))
    places = {name: i for i, (name, _) in enumerate(values)}
    of_events = [w for w in windows if w.outcome is None]
    sources: dict[Source, int] = {}
    for w in windows:
        if w.outcome is not None:
            source = (w.outcome.value, w.delay, w.resolution)
            sources[source] = max(w.length, sources.get(source, 0))
    return EntityLayout(
        entity=entity,
        field=module.entities[entity],
        values=values,
        exact=max((w.length for w in of_events if not w.resolution), default=0),
        tiles=tuple(_tiles(r, of_events, places) for r in sorted({w.resolution for w in of_events} - {0})),
        sources=tuple(sorted(sources.items())),
    )


def _tiles(resolution: int, windows: Sequence[Window], places: dict[str, int]) -> Tiles:
    mine = [w for w in windows if w.resolution == resolution]

    def of(*aggregates: Aggregate) -> tuple[int, ...]:
        return tuple(sorted({places[w.of] for w in mine if w.of is not None and w.aggregate in aggregates}))

    return Tiles(
        resolution,
        max(w.length for w in mine),
        sums=of(Aggregate.SUM, Aggregate.MEAN),
        highest=of(Aggregate.MAX),
        lowest=of(Aggregate.MIN),
        distinct=of(Aggregate.DISTINCT),
    )
