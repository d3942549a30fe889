"""The request's features: the kernel over one entity's recent events, then the same functions history uses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fradect.features.contract import Contract, Feature, Kind, Window
from fradect.features.history import fill_empty
from fradect.features.request import NO_TIME, Column, derived_features, request_features
from fradect.features.windows import Entries, Floats, Ints, Queries, look_back
from fradect.modules.declaration import FieldType, Module
from fradect.types import Event, Value, Vector


@dataclass(frozen=True, slots=True)
class Recent:
    """What the live state holds of one entity's key, bounded by the reader's sequence number.

    `events`: sorted by (time, seq), at least the contract's horizon, the reader's own event among them.
    `outcomes`: for each outcome kind and delay, entries at max(event time + delay, known at), sorted.
    `own`: index of the reader's event in `events`.
    """

    events: Entries
    outcomes: Mapping[tuple[str, int], Entries]
    own: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Batch features as Feast serves them; `missing` says why one is absent (unknown, stale, timed out)."""

    values: Mapping[str, float]
    missing: Mapping[str, str]


def vector(
    module: Module, contract: Contract, event: Event, recent: Mapping[str, Recent | None], snapshot: Snapshot
) -> Vector:
    """The event's vector in contract order. `recent` has None for an entity that the event does not name."""
    frame = _frame(module, event)
    missing = dict(snapshot.missing)
    columns: dict[str, Floats] = request_features(contract, frame)
    columns |= _windows(contract, event, recent, missing)
    columns |= derived_features(contract, {**frame, **columns})
    for feature in contract.of_kind(Kind.BATCH):
        columns[feature.name] = np.array([_batch(feature, snapshot)])
    values = tuple(float(columns[name][0]) for name in contract.names)
    for name, value in zip(contract.names, values, strict=True):
        if math.isnan(value):
            missing.setdefault(name, "no value")
    return Vector(contract.names, values, missing)


def _batch(feature: Feature, snapshot: Snapshot) -> float:
    value = snapshot.values.get(feature.name)
    if value is not None and not math.isnan(value):
        return value
    unknown = feature.empty is None or feature.name in snapshot.missing
    return float("nan") if unknown else float(feature.empty or 0.0)


def _frame(module: Module, event: Event) -> dict[str, Column]:
    frame: dict[str, Column] = {"event_time": np.array([event.event_time], np.int64)}
    for name, kind in module.columns.items():
        frame[name] = _cell(kind, event.fields.get(name))
    return frame


def _cell(kind: FieldType, value: Value) -> Column:
    if kind is FieldType.MONEY:
        return np.array([0 if value is None else value], np.int64)
    if kind is FieldType.TIME:
        return np.array([NO_TIME if value is None else value], np.int64)
    if kind is FieldType.NUMBER:
        return np.array([np.nan if value is None else value], np.float64)
    cell = np.empty(1, object)
    cell[0] = value
    return cell


def _windows(
    contract: Contract, event: Event, recent: Mapping[str, Recent | None], missing: dict[str, str]
) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for entity in contract.entities:
        features = [(f, w) for f, w in contract.windows if w.entity == entity]
        seen = recent.get(entity)
        if seen is None:
            for feature, _ in features:
                columns[feature.name] = np.array([np.nan])
                missing[feature.name] = f"the event names no {entity}"
        else:
            columns |= _entity(features, event, seen)
    return columns


def _entity(features: Sequence[tuple[Feature, Window]], event: Event, seen: Recent) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for source in dict.fromkeys((w.outcome, w.delay) for _, w in features):
        chosen = [(f, w) for f, w in features if (w.outcome, w.delay) == source]
        outcome, delay = source
        entries = seen.events if outcome is None else seen.outcomes[(outcome.value, delay)]
        own = np.array([seen.own], np.int64) if outcome is None else None
        seq: Ints = seen.events.seq[seen.own : seen.own + 1]
        query = Queries(np.zeros(1, np.int64), np.array([event.event_time], np.int64), seq, own)
        answers = look_back([w for _, w in chosen], entries, query)
        for (feature, _), answer in zip(chosen, answers, strict=True):
            columns[feature.name] = fill_empty(feature, answer)
    return columns
