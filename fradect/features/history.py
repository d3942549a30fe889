"""History: the kernel over the log, one partition of keys at a time. Pure: columns in, features out.

The features equal, to the last bit, those that the live path computes when each event arrives in the order of
its sequence number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fradect.errors import InvalidInput
from fradect.features.contract import Aggregate, Contract, Feature, Window
from fradect.features.live import fill_empty
from fradect.features.request import Frame, derived_features, request_features
from fradect.features.windows import Entries, Floats, Ints, Queries, look_back
from fradect.modules.declaration import FieldType, Module


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of one kind, in any order: key and number of the event each is about, when that happened, when
    the outcome became known (microseconds), and whether it was true (0 or 1)."""

    key: Ints
    seq: Ints
    event_time: Ints
    known_at: Ints
    value: Ints


@dataclass(frozen=True, slots=True)
class Partition:
    """Every event of some keys of one entity, in any order, and the outcomes of those events by kind."""

    events: Entries
    outcomes: Mapping[str, Outcomes]


def window_features(contract: Contract, entity: str, partition: Partition) -> dict[str, Floats]:
    """The entity's live features, each a float64 column in the order of the partition's events."""
    order = sort_order(partition.events.key, partition.events.time, partition.events.seq)
    events = _take(partition.events, order)
    features = [(f, w) for f, w in contract.windows if w.entity == entity]
    columns: dict[str, Floats] = {}
    for outcome, delay in dict.fromkeys((w.outcome, w.delay) for _, w in features):
        chosen = [(f, w) for f, w in features if (w.outcome, w.delay) == (outcome, delay)]
        if outcome is None:
            entries, position = events, np.arange(events.seq.size)
        else:
            entries, position = _matured(outcome.value, partition.outcomes[outcome.value], delay), None
        queries = Queries(events.key, events.time, events.seq, position)
        columns |= _in_event_order(chosen, look_back([w for _, w in chosen], entries, queries), order)
    return columns


def complete(contract: Contract, frame: Frame, windows: Mapping[str, Floats]) -> dict[str, Floats]:
    """Request and derived features beside the windows'; `frame` holds the events' fields, row by row."""
    columns = {**request_features(contract, frame), **windows}
    return columns | derived_features(contract, {**frame, **columns})


def looked_at(module: Module, contract: Contract, entity: str) -> dict[str, FieldType]:
    """The event fields that the entity's windows look at, with their types.

    Only money is summed, averaged or compared (whole numbers add up exactly); anything but a time or a number
    can be counted distinct. Other uses are InvalidInput.
    """
    fields: dict[str, FieldType] = {}
    for feature, window in contract.windows:
        if window.entity != entity or window.of is None:
            continue
        kind = module.columns[window.of]
        inexact = kind in (FieldType.TIME, FieldType.NUMBER)
        if inexact or (kind is not FieldType.MONEY and window.aggregate is not Aggregate.DISTINCT):
            raise InvalidInput(
                f"{contract.name}: feature {feature.name!r} asks for the {window.aggregate} of {window.of!r}, a "
                f"{kind}; windows add up and compare money, and count texts"
            )
        fields[window.of] = kind
    return fields


def outcome_kinds(contract: Contract, entity: str) -> tuple[str, ...]:
    """The kinds of outcomes that the entity's windows look at."""
    windows = [w for _, w in contract.windows if w.entity == entity and w.outcome is not None]
    return tuple(sorted({str(w.outcome) for w in windows}))


def sort_order(key: Ints, time: Ints, seq: Ints) -> Ints:
    """The permutation that sorts by (key, time, seq)."""
    n = key.size
    if n and int(key.max()) > np.iinfo(np.int64).max // n - 1:
        return np.lexsort((seq, time, key))
    ahead = (time[1:] > time[:-1]) | ((time[1:] == time[:-1]) & (seq[1:] > seq[:-1]))
    if bool(ahead.all()):
        return np.sort(key * n + np.arange(n)) % max(n, 1)  # one sort of whole numbers beats any argsort
    arrived = np.lexsort((seq, time))
    order: Ints = arrived[np.sort(key[arrived] * n + np.arange(n)) % n]
    return order


def _take(entries: Entries, order: Ints) -> Entries:
    values = {name: column[order] for name, column in entries.values.items()}
    return Entries(entries.key[order], entries.time[order], entries.seq[order], values)


def _matured(kind: str, outcomes: Outcomes, delay: int) -> Entries:
    time = np.maximum(outcomes.event_time + delay, outcomes.known_at)
    entries = Entries(outcomes.key, time, outcomes.seq, {kind: outcomes.value})
    return _take(entries, sort_order(entries.key, entries.time, entries.seq))


def _in_event_order(
    chosen: Sequence[tuple[Feature, Window]], answers: Sequence[Floats], order: Ints
) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for (feature, _), answer in zip(chosen, answers, strict=True):
        column = np.empty(answer.size, np.float64)
        column[order] = fill_empty(feature, answer)
        columns[feature.name] = column
    return columns
