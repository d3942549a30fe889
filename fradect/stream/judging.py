"""Delivered rows judged by the law that imports obey: events, what is said of events, and what cannot be taken."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fradect.faults import Fault, Reason
from fradect.intake import PLACE, ROWS_PER_SOURCE, Batch, Reject, Terms, take_in
from fradect.intake.json_rows import json_rows, read_object
from fradect.intake.told import read_outcome
from fradect.mapping import Mapping
from fradect.stream.ports import Delivery, Kind, Message, Place, Portion, Saying
from fradect.types import Event, OutcomeKind

_IDENTITY = ("event_id", "event_time", "observed_at", PLACE)


class Refusal(NamedTuple):
    place: Place
    reject: Reject
    message: Message | None


class Judged(NamedTuple):
    """Every row is in `events`, in `refused`, or gave a saying; the row of an event may give sayings as well."""

    events: list[tuple[Event, Place]]
    sayings: list[tuple[Saying, Place]]
    refused: list[Refusal]


def judge(delivery: Delivery, mapping: Mapping, terms: Terms) -> Judged:
    judged = Judged([], [], [])
    for portion in delivery.portions:
        if portion.fault is not None:
            everyone = [portion.fault._replace(row=i + 1) for i in range(len(portion.places))]
            judged.refused.extend(_refusals(portion, everyone))
        elif portion.kind is Kind.EVENTS:
            _judge_events(judged, portion, mapping, terms)
        else:
            _judge_outcomes(judged, portion, mapping, terms)
    return judged


def message_of(delivery: Delivery, place: Place) -> Message | None:
    """What stood there."""
    for portion in delivery.portions:
        for i, found in enumerate(portion.places):
            if found == place:
                return portion.message(i)
    return None


def _judge_events(judged: Judged, portion: Portion, mapping: Mapping, terms: Terms) -> None:
    if isinstance(portion.rows, pa.RecordBatch):
        batch = Batch(portion.rows, np.arange(1, portion.rows.num_rows + 1))
    else:
        batch, unread = json_rows([message.value for message in portion.rows], mapping)
        judged.refused.extend(_refusals(portion, unread))
    if not batch.records.num_rows:
        return
    taken = take_in(mapping, terms, batch, 0)
    judged.refused.extend(_refusals(portion, taken.rejects))
    seen = {reject.row for reject in taken.rejects}
    for row, event in _events(taken.accepted, mapping):
        judged.events.append((event, portion.places[row - 1]))
        seen.add(row)
    if not isinstance(portion.rows, pa.RecordBatch):  # an empty line of a file is nothing, a blank message is wrong
        blank = [Reject(row, None, "event_id", Reason.MISSING) for row in batch.rows.tolist() if row not in seen]
        judged.refused.extend(_refusals(portion, blank))
    for row, saying in _labels(taken.accepted, portion, mapping):
        judged.sayings.append((saying, portion.places[row - 1]))


def _events(records: pa.RecordBatch, mapping: Mapping) -> Iterator[tuple[int, Event]]:
    """Accepted rows with their numbers, fields as a request would have given them."""
    labels = {f"{label.kind}_{what}" for label in mapping.outcomes for what in ("value", "known_at")}
    names = [name for name in records.schema.names if name not in _IDENTITY and name not in labels]
    columns = [_plain(records[name]) for name in names]
    identity = [_plain(records[name]) for name in _IDENTITY]
    whose = mapping.tenant, mapping.module.name
    for i, (event_id, happened, observed, place) in enumerate(zip(*identity, strict=True)):
        fields = {name: column[i] for name, column in zip(names, columns, strict=True)}
        yield place % ROWS_PER_SOURCE, Event(event_id, *whose, happened, observed, fields)


def _labels(records: pa.RecordBatch, portion: Portion, mapping: Mapping) -> Iterator[tuple[int, Saying]]:
    ids, places = _plain(records["event_id"]), _plain(records[PLACE])
    for label in mapping.outcomes:
        values, moments = _plain(records[f"{label.kind}_value"]), _plain(records[f"{label.kind}_known_at"])
        for event_id, place, value, known_at in zip(ids, places, values, moments, strict=True):
            if value is not None and known_at is not None:
                row = place % ROWS_PER_SOURCE
                yield row, Saying(event_id, OutcomeKind(label.kind), value, known_at, str(portion.places[row - 1]))


def _judge_outcomes(judged: Judged, portion: Portion, mapping: Mapping, terms: Terms) -> None:
    for i, place in enumerate(portion.places):
        try:
            if isinstance(portion.rows, pa.RecordBatch):
                said = portion.rows.slice(i, 1).to_pylist()[0]
            else:
                said = read_object(portion.rows[i].value)
            told = read_outcome(said, mapping, terms.now)
        except Fault as fault:
            reject = Reject(i + 1, None, fault.field or "", fault.reason, fault.remedy)
            judged.refused.append(Refusal(place, reject, portion.message(i)))
        else:
            judged.sayings.append((Saying(*told, str(place)), place))


def _refusals(portion: Portion, rejects: Sequence[Reject]) -> Iterator[Refusal]:
    for reject in rejects:
        yield Refusal(portion.places[reject.row - 1], reject, portion.message(reject.row - 1))


def _plain(column: pa.Array) -> list[Any]:
    """Values as events carry them: times as microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values
