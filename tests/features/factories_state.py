"""A live state in memory, with nothing clever about it but the bytes that every adapter keeps."""

from collections.abc import Iterable

from fradect.features.held import Held, Learnt, append, is_due, key_of, outcome_rows, records, settle
from fradect.features.layout import Layout
from fradect.features.live import View
from fradect.types import Event

NOTHING = Held()


class MemoryState:
    """One scope. `confirmed` says up to which number arrivals have their decision."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.held: dict[tuple[str, str], Held] = {}
        self.last_seq = self.newest = self.confirmed = 0

    def arrive(self, event: Event) -> View:
        self.last_seq += 1
        self.newest = max(self.newest, event.event_time)
        for entity, key, row in records(self.layout, event, self.last_seq):
            place = (entity.entity, key)
            held = append(entity, self.held.get(place, NOTHING), row)
            due = is_due(entity, held, self.newest, self.confirmed)
            self.held[place] = settle(entity, held, self.newest, self.confirmed) if due else held
        return View(self.last_seq, self.newest, self.view_of(event))

    def view_of(self, event: Event) -> dict[str, Held | None]:
        keys = {entity.entity: key_of(entity, event) for entity in self.layout.entities}
        return {entity: None if key is None else self.held[entity, key] for entity, key in keys.items()}

    def learn(self, outcomes: Iterable[Learnt]) -> None:
        for learnt in outcomes:
            for entity in self.layout.entities:
                key, rows = key_of(entity, learnt.event), outcome_rows(entity, learnt)
                if key is not None and rows:
                    held = self.held.get((entity.entity, key), NOTHING)
                    parts = (held.rows, held.fresh, held.tiles, held.outcomes + rows, held.matured)
                    self.held[entity.entity, key] = Held(*parts)

    def settled(self) -> dict[tuple[str, str], Held]:
        """Everything confirmed and settled: what two states are compared by."""
        layouts = {entity.entity: entity for entity in self.layout.entities}
        settled = {
            place: settle(layouts[place[0]], held, self.newest, self.last_seq) for place, held in self.held.items()
        }
        return {place: held for place, held in sorted(settled.items()) if held}
