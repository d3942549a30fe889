"""History: the kernel over the log, one partition of keys at a time. Pure: columns in, features out.

The features equal, to the last bit, those that the live path computes when each event arrives in the order of
its sequence number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.features.contract import MAX_LATE, Aggregate, Contract, Feature, Window
from fradect.features.request import Frame, derived_features, request_features
from fradect.features.windows import Entries, Floats, Ints, Queries, look_back, tile_after, tile_of
from fradect.modules.declaration import FieldType, Module


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of one kind, in any order: key of the event each is about, the outcome's own number, when the event
    happened, when the outcome became known (microseconds), and whether it was true (0 or 1)."""

    key: Ints
    number: Ints
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
    features = [(f, w) for f, w in contract.windows if w.entity == entity]
    columns: dict[str, Floats] = {}
    orders = {tile: _Tiled(partition.events, tile) for tile in {w.resolution for _, w in features}}
    for outcome, delay, tile in dict.fromkeys((w.outcome, w.delay, w.resolution) for _, w in features):
        chosen = [(f, w) for f, w in features if (w.outcome, w.delay, w.resolution) == (outcome, delay, tile)]
        of_tile = orders[tile]
        entries, queries = of_tile.events, of_tile.queries
        if outcome is not None:
            entries = _matured(outcome.value, partition.outcomes[outcome.value], delay, tile)
            queries = of_tile.before
        columns |= _in_event_order(chosen, look_back([w for _, w in chosen], entries, queries), of_tile.order)
    return columns


class _Tiled:
    """Events with the times that windows of one resolution see, sorted accordingly."""

    def __init__(self, events: Entries, tile: int) -> None:
        time = tile_of(events.time, tile)
        self.order = sort_order(events.key, time, events.seq)
        self.events = _take(Entries(events.key, time, events.seq, events.values), self.order)
        self.queries = Queries(self.events.key, self.events.time, self.events.seq, np.arange(self.order.size))

    @property
    def before(self) -> Queries:
        """For outcomes: an event sees those with lower numbers than its own."""
        return Queries(self.events.key, self.events.time, self.events.seq - 1)


def too_late(times: Ints, newest: int) -> tuple[npt.NDArray[np.bool_], int]:
    """Which events, in order of their numbers, came more than MAX_LATE behind the newest; and the newest after them.

    `newest`: of the events before these.
    """
    running = np.maximum(np.maximum.accumulate(times), newest)
    return times < running - MAX_LATE, int(running[-1]) if times.size else newest


def complete(
    contract: Contract, frame: Frame, windows: Mapping[str, Floats], late: npt.NDArray[np.bool_]
) -> dict[str, Floats]:
    """Request and derived features beside the windows', which are NaN where an event came too late; `frame` holds
    the events' fields, row by row."""
    if late.any():
        windows = {name: np.where(late, np.nan, column) for name, column in windows.items()}
    columns = {**request_features(contract, frame), **windows}
    return columns | derived_features(contract, {**frame, **columns})


def looked_at(module: Module, contract: Contract, entity: str) -> dict[str, FieldType]:
    """The event fields that the entity's windows look at, with their types.

    Only money is summed, averaged or compared (whole numbers add up exactly); distances are between places;
    anything but a time or a number can be counted distinct. Other uses are InvalidInput.
    """
    fields: dict[str, FieldType] = {}
    for feature, window in contract.windows:
        if window.entity != entity or window.of is None:
            continue
        kind = module.columns[window.of]
        if not _fits(window.aggregate, kind):
            raise InvalidInput(
                f"{contract.name}: feature {feature.name!r} asks for the {window.aggregate} of {window.of!r}, a "
                f"{kind}; windows add up and compare money, measure between places, and count texts"
            )
        fields[window.of] = kind
    return fields


def _fits(aggregate: Aggregate, kind: FieldType) -> bool:
    if aggregate is Aggregate.KM_SINCE_LAST:
        return kind is FieldType.PLACE
    if aggregate is Aggregate.DISTINCT:
        return kind not in (FieldType.TIME, FieldType.NUMBER)
    return kind is FieldType.MONEY


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


def fill_empty(feature: Feature, answer: Floats) -> Floats:
    """The contract's value where a window held nothing."""
    return answer if feature.empty is None else np.where(np.isnan(answer), feature.empty, answer)


def _matured(kind: str, outcomes: Outcomes, delay: int, tile: int) -> Entries:
    time = tile_after(np.maximum(outcomes.event_time + delay, outcomes.known_at), tile)
    entries = Entries(outcomes.key, time, outcomes.number, {kind: outcomes.value})
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
