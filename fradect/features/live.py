"""A request's features: the event's own, windows over the live state, derived ones, the customer's snapshot."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from fradect.features.contract import MAX_LATE, Aggregate, Contract, Feature, Kind
from fradect.features.held import Seen
from fradect.features.layout import layout_of
from fradect.features.moment import Asked, EntityReader
from fradect.features.request import formula
from fradect.modules.declaration import Module
from fradect.types import DAY, Event, Value, Vector

TOO_LATE = f"the event came more than {MAX_LATE // DAY} days late"
NO_PLACE = "no range of the table holds this address"
NO_LONGER = "the event arrived before, and is no longer told apart"
OTHER_LAYOUT = "the live state is kept for another release by now"


@dataclass(frozen=True, slots=True)
class View:
    """What the live state showed an event: its number, the newest event's time by then, its entities, and the digest
    of the layout that these are to be read by (empty: the reader's own)."""

    seq: int
    newest: int
    seen: Seen
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Batch features as Feast serves them; `missing` says why one is absent (unknown, stale, timed out)."""

    values: Mapping[str, float]
    missing: Mapping[str, str]


class Reader:
    """A contract made ready to compute vectors from what a live state of its layout shows."""

    def __init__(self, module: Module, contract: Contract) -> None:
        self.contract = contract
        self.layout = layout_of(module, contract)
        held = {entity.entity: entity for entity in self.layout.entities}
        self._entities = tuple(EntityReader(held[entity], contract) for entity in contract.entities)
        self._request = tuple((f.name, formula(f).row) for f in contract.of_kind(Kind.REQUEST))
        self._derived = tuple((f.name, formula(f).row) for f in contract.of_kind(Kind.DERIVED))
        self._batch = contract.of_kind(Kind.BATCH)
        self._windows = tuple(f.name for f, _ in contract.windows)
        self._placed = tuple((f.name, str(w.of)) for f, w in contract.windows if w.aggregate is Aggregate.KM_SINCE_LAST)
        self._names = contract.names
        self._in_order: Callable[[Mapping[str, float]], tuple[float, ...]] = _in_order(contract.names)

    def vector(self, event: Event, view: View | None, snapshot: Snapshot, why: str = "") -> Vector:
        """The event's vector in contract order. Without a view the windows are missing, for the reason `why`."""
        missing = dict(snapshot.missing)
        row: dict[str, Value] = {**event.fields, "event_time": event.event_time}
        found: dict[str, float] = {name: compute(row) for name, compute in self._request}
        self._read_windows(event, view, why, found, missing)
        row.update(found)
        for name, compute in self._derived:
            found[name] = compute(row)
        for feature in self._batch:
            found[feature.name] = batch_value(feature, snapshot)
        values = self._in_order(found)
        for name in [name for name, value in zip(self._names, values, strict=True) if value != value]:  # noqa: PLR0124
            missing.setdefault(name, "no value")
        return Vector(self._names, values, missing)

    def _read_windows(
        self, event: Event, view: View | None, why: str, found: dict[str, float], missing: dict[str, str]
    ) -> None:
        if view is not None and view.layout not in ("", self.layout.digest):
            view, why = None, OTHER_LAYOUT
        if view is not None and event.event_time < view.newest - MAX_LATE:
            view, why = None, TOO_LATE
        if view is None:
            found |= dict.fromkeys(self._windows, math.nan)
            missing |= dict.fromkeys(self._windows, why)
            return
        asked = Asked(event.event_time, view.seq)
        for entity in self._entities:
            held = view.seen.get(entity.layout.entity)
            if held is not None and entity.read(held, asked, found):
                continue
            reason = f"the event names no {entity.layout.entity}" if held is None else NO_LONGER
            found |= dict.fromkeys(entity.names, math.nan)
            missing |= dict.fromkeys(entity.names, reason)
        for name, place in self._placed:
            if event.fields.get(place) is None:
                missing.setdefault(name, NO_PLACE)


def _in_order(names: Sequence[str]) -> Callable[[Mapping[str, float]], tuple[float, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda found: tuple(found[name] for name in names)


def batch_value(feature: Feature, snapshot: Snapshot) -> float:
    """A customer without a snapshot was never seen, unless the snapshot says why it is missing."""
    value = snapshot.values.get(feature.name)
    if value is not None and not math.isnan(value):
        return value
    unknown = feature.empty is None or feature.name in snapshot.missing
    return math.nan if unknown else float(feature.empty or 0.0)
