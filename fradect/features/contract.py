"""Feature contracts as data. A contract's hash is its identity; a release carries the one it was trained with."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

import msgspec

from fradect.errors import InvalidInput
from fradect.types import DAY, OutcomeKind

MAX_LATE = 2 * DAY
"""An event older than the newest known by more than this has no window features: nothing keeps what it would see."""

MOST_DISTINCT = 255
"""A tiled window counts different values up to here, and says this where there are more."""


class Kind(StrEnum):
    """Where a feature comes from: the event, live windows, both of these, or a scheduled snapshot."""

    REQUEST = "request"
    LIVE = "live"
    DERIVED = "derived"
    BATCH = "batch"


class Aggregate(StrEnum):
    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    DISTINCT = "distinct"
    SHARE = "share"
    SINCE_LAST = "since_last"
    KM_SINCE_LAST = "km_since_last"


@dataclass(frozen=True, slots=True)
class Window:
    """What a live feature looks back on.

    Event j is inside event i's window exactly when `time(j)` lies in `(time(i) - length, time(i)]` and
    `seq(j) <= seq(i)`, without i itself unless `include_self`. With an `outcome`, the entries are outcomes of
    that kind, each at `max(event time + delay, the time it became known)`; SHARE is the share that was true.
    `of` names the event field that is summed, averaged, counted distinct, or measured from (a place).
    `length`, `delay` and `resolution`: microseconds. A resolution other than 0 (exact) cuts time into tiles: the
    times of events count as the beginning of their tile, the times of outcomes as its end, so that nothing is seen
    early; what the live state keeps is then bounded by the number of tiles, however many events there are.
    """

    entity: str
    aggregate: Aggregate
    length: int
    of: str | None = None
    outcome: OutcomeKind | None = None
    delay: int = 0
    include_self: bool = True
    resolution: int = 0


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model. `empty` is its value over an empty window; unknown is always NaN."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    window: Window | None = None
    categories: tuple[str, ...] = ()
    empty: float | None = None  # None: the kernel's NaN (there is no mean of nothing)
    monotone: int = 0


@dataclass(frozen=True, slots=True)
class Contract:
    """A named selection of features, and the event fields a mapping must supply for them."""

    name: str
    module: str
    features: tuple[Feature, ...]
    requires: tuple[str, ...]

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    def of_kind(self, *kinds: Kind) -> tuple[Feature, ...]:
        return tuple(feature for feature in self.features if feature.kind in kinds)

    @property
    def windows(self) -> tuple[tuple[Feature, Window], ...]:
        return tuple((f, f.window) for f in self.features if f.window is not None)

    @property
    def entities(self) -> tuple[str, ...]:
        return tuple(sorted({window.entity for _, window in self.windows}))

    @property
    def horizon(self) -> int:
        """How far back any window looks, its delay included, in microseconds."""
        return max((w.length + w.delay + w.resolution for _, w in self.windows), default=0)

    def to_json(self) -> bytes:
        """Canonical bytes: sorted keys, no spaces. What the hash covers."""
        return msgspec.json.encode(asdict(self), order="deterministic")

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, raw: bytes) -> "Contract":
        return msgspec.convert(msgspec.json.decode(raw), cls)

    def feature(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise InvalidInput(f"feature {name!r} is not in contract {self.name}: choose from {', '.join(self.names)}")


def check(contract: Contract, fields: set[str], entities: set[str]) -> None:
    """Refuse a contract that names what its module does not have, or names a feature twice."""
    seen: set[str] = set()
    for feature in contract:
        if feature.name in seen:
            raise InvalidInput(f"{contract.name}: feature {feature.name!r} is declared twice; rename one")
        seen.add(feature.name)
        _check_feature(contract, feature, fields, entities)


def _check_feature(contract: Contract, feature: Feature, fields: set[str], entities: set[str]) -> None:
    where = f"{contract.name}: feature {feature.name!r}"
    if (feature.kind is Kind.LIVE) != (feature.window is not None):
        raise InvalidInput(f"{where}: live features, and only they, declare a window")
    window = feature.window
    if window is None:
        return
    if window.entity not in entities:
        raise InvalidInput(f"{where}: entity {window.entity!r} is unknown; choose from {sorted(entities)}")
    if window.of is not None and window.of not in fields:
        raise InvalidInput(f"{where}: field {window.of!r} is unknown; choose from {sorted(fields)}")
    if window.length <= 0 or window.delay < 0 or (window.delay and window.outcome is None):
        raise InvalidInput(f"{where}: length must be positive, and only outcomes can be delayed")
    needs_field = window.aggregate in (
        Aggregate.SUM,
        Aggregate.MEAN,
        Aggregate.MAX,
        Aggregate.MIN,
        Aggregate.DISTINCT,
        Aggregate.KM_SINCE_LAST,
    )
    if window.resolution < 0 or (window.resolution and window.length % window.resolution):
        raise InvalidInput(f"{where}: the resolution must divide the length {window.length} (0: exact)")
    if window.aggregate is Aggregate.KM_SINCE_LAST and (window.resolution or window.outcome):
        raise InvalidInput(f"{where}: a distance is measured between events, at exact resolution")
    if needs_field != (window.of is not None):
        raise InvalidInput(f"{where}: {window.aggregate} {'needs' if needs_field else 'takes no'} field (`of`)")
    if feature.empty is not None and not math.isfinite(feature.empty):
        raise InvalidInput(f"{where}: the value of an empty window must be finite or absent")
