"""Judged rows against what is known already: what is news, what is not, and what contradicts it."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fradect.faults import Reason
from fradect.intake import Reject
from fradect.stream.judging import Judged
from fradect.stream.ports import Heard, Known, Message, Place, Saying, Store
from fradect.types import Event, OutcomeKind

_Said = dict[tuple[str, OutcomeKind], Heard]


class News(NamedTuple):
    """Events and sayings to store, and what was refused of either, by place; `seqs` of events that have a number."""

    events: list[tuple[Event, Place]]
    sayings: list[Saying]
    known: dict[str, Known]
    refused: list[tuple[Place, Reject]]
    repeated: int


def news_of(judged: Judged, store: Store) -> News:
    """The first event of an id stands, and the first outcome of an event and kind; an equal one is no news."""
    told = {saying.event_id for saying, _ in judged.sayings}
    known = store.known(sorted({event.event_id for event, _ in judged.events} | told))
    refused: list[tuple[Place, Reject]] = []
    fresh: dict[str, tuple[Event, Place]] = {}
    for event, place in judged.events:
        first = _first(event, known, fresh)
        if first is None:
            fresh[event.event_id] = (event, place)
        elif not _is_same(first, event):
            refused.append((place, Reject(0, event.event_id, "event_id", Reason.DUPLICATE, "another has this id")))
    clashing = {place for place, _ in refused}
    repeated = len(judged.events) - len(fresh) - len(refused)
    said = store.said(sorted(told | fresh.keys()))
    times = {event_id: found.event.event_time for event_id, found in known.items()}
    times |= {event_id: event.event_time for event_id, (event, _) in fresh.items()}
    sayings = list(_new_sayings(((s, p) for s, p in judged.sayings if p not in clashing), said, times, refused))
    return News(list(fresh.values()), sayings, known, refused, repeated)


def contradiction(saying: Saying, heard: Heard | None, event_time: int | None) -> Reject | None:
    """Why an outcome cannot stand beside what is known: the value heard before, the time of its event."""
    if heard is not None and heard.value is not saying.value:
        detail = f"it is known to be {str(heard.value).lower()}; the first stands"
        return Reject(0, saying.event_id, str(saying.kind), Reason.OTHERWISE, detail)
    if event_time is not None and saying.known_at < event_time:
        return Reject(0, saying.event_id, "known_at", Reason.KNOWN_EARLY)
    return None


def as_message(saying: Saying) -> Message:
    """An outcome as it could be told again."""
    known_at = datetime.fromtimestamp(saying.known_at // 1_000_000, UTC) + timedelta(
        microseconds=saying.known_at % 1_000_000
    )
    told = {"event_id": saying.event_id, "kind": str(saying.kind), "value": saying.value}
    return Message(None, json.dumps({**told, "known_at": known_at.isoformat()}).encode())


def _first(event: Event, known: Mapping[str, Known], fresh: Mapping[str, tuple[Event, Place]]) -> Event | None:
    """The event of this id that came before; where it cannot be compared, the event itself."""
    if event.event_id in known:
        found = known[event.event_id]
        return found.event if found.is_streamed else event
    return fresh[event.event_id][0] if event.event_id in fresh else None


def _is_same(first: Event, second: Event) -> bool:
    return first is second or _essence(first) == _essence(second)


def _essence(event: Event) -> tuple[int, int, dict[str, object]]:
    fields: dict[str, object] = {name: value for name, value in event.fields.items() if value is not None}
    return event.event_time, event.observed_at, fields


def _new_sayings(
    sayings: Iterable[tuple[Saying, Place]],
    said: _Said,
    times: Mapping[str, int],
    refused: list[tuple[Place, Reject]],
) -> Iterable[Saying]:
    for saying, place in sayings:
        about = saying.event_id, saying.kind
        reject = contradiction(saying, said.get(about), times.get(saying.event_id))
        if reject is not None:
            refused.append((place, reject))
        elif about not in said:
            said[about] = Heard(saying.value, saying.event_id not in times)
            yield saying
