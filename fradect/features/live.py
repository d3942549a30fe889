"""A request's features: the event's own, windows over the live state, derived ones, the customer's snapshot."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fradect.features.contract import MAX_LATE, Aggregate, Contract, Feature, Kind
from fradect.features.held import Seen
from fradect.features.layout import layout_of
from fradect.features.moment import EntityReader
from fradect.features.request import formula
from fradect.modules.declaration import Module
from fradect.types import DAY, Event, Value, Vector

TOO_LATE = f"the event came more than {MAX_LATE // DAY} days late"
NO_PLACE = "no range of the table holds this address"
NO_LONGER = "the event arrived before, and is no longer told apart"
_ALWAYS_KNOWN = (Aggregate.COUNT, Aggregate.SUM, Aggregate.DISTINCT)  # also of nothing

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
        self._readers = tuple(EntityReader(held[entity], contract) for entity in contract.entities)
        self._request = tuple((f.name, formula(f).row) for f in contract.of_kind(Kind.REQUEST))
        derived = contract.of_kind(Kind.DERIVED)
        self._derived = tuple((f.name, formula(f).row) for f in derived)
        self._derived_read_fields = any(formula(f).reads for f in derived)
        self._batch = tuple((f.name, f) for f in contract.of_kind(Kind.BATCH))
        self._windows = tuple(f.name for f, _ in contract.windows)
        self._placed = tuple((f.name, str(w.of)) for f, w in contract.windows if w.aggregate is Aggregate.KM_SINCE_LAST)
        self._names = contract.names
        self._blank = dict.fromkeys(self._names, math.nan)
        self._uncertain = tuple(f.name for f in contract if f.window is None or f.window.aggregate not in _ALWAYS_KNOWN)

    def vector(self, event: Event, view: View | None, snapshot: Snapshot, why: str = "") -> Vector:
        """The event's vector in contract order. Without a view the windows are missing, for the reason `why`."""
        missing = dict(snapshot.missing)
        row: dict[str, Value] = {**event.fields, "event_time": event.event_time}
        found = self._blank.copy()  # in contract order, and so it stays: what follows replaces values, and adds none
        for name, compute in self._request:
            found[name] = compute(row)
        self._read_windows(event, view, why, found, missing)
        seen = {**row, **found} if self._derived_read_fields else found
        for name, compute in self._derived:
            found[name] = compute(seen)
        given = snapshot.values
        for name, feature in self._batch:
            value = given.get(name)
            found[name] = batch_value(feature, snapshot) if value is None or value != value else value  # noqa: PLR0124
        for name in self._uncertain:
            if found[name] != found[name]:
                missing.setdefault(name, "no value")
        return Vector(self._names, tuple(found.values()), missing)

    def _read_windows(
        self, event: Event, view: View | None, why: str, found: dict[str, float], missing: dict[str, str]
    ) -> None:
        if view is not None and view.layout and view.layout != self.layout.digest:
            view, why = None, OTHER_LAYOUT
        if view is not None and event.event_time < view.newest - MAX_LATE:
            view, why = None, TOO_LATE
        if view is None:
            missing |= dict.fromkeys(self._windows, why)
            return
        time, seq, seen = event.event_time, view.seq, view.seen
        for reader in self._readers:
            held = seen.get(reader.entity)
            if held is not None and reader.read(held, time, seq, found):
                continue
            reason = f"the event names no {reader.entity}" if held is None else NO_LONGER
            found |= dict.fromkeys(reader.names, math.nan)
            missing |= dict.fromkeys(reader.names, reason)
        for name, place in self._placed:
            if event.fields.get(place) is None:
                missing.setdefault(name, NO_PLACE)


def batch_value(feature: Feature, snapshot: Snapshot) -> float:
    """A customer without a snapshot was never seen, unless the snapshot says why it is missing."""
    value = snapshot.values.get(feature.name)
    if value is not None and not math.isnan(value):
        return value
    unknown = feature.empty is None or feature.name in snapshot.missing
    return math.nan if unknown else float(feature.empty or 0.0)
