"""History by numpy for events and outcomes that a test made up: what the live path must have seen, bit for bit."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract
from fradect.features.held import Learnt
from fradect.features.history import Outcomes, Partition, looked_at, outcome_kinds, too_late, window_features
from fradect.features.windows import Entries, Ints, codes
from fradect.modules import module_of
from fradect.modules.declaration import FieldType
from fradect.types import Event


def history_of(
    contract: Contract, numbered: Sequence[tuple[int, Event]], learnt: Sequence[Learnt] = ()
) -> dict[str, npt.NDArray[np.float64]]:
    """Each window's value for each event, which come in order of their numbers."""
    module = module_of(contract.module)
    seq = np.array([number for number, _ in numbered], np.int64)
    events = [event for _, event in numbered]
    times = np.array([event.event_time for event in events], np.int64)
    late, _ = too_late(times, 0)
    columns = {}
    for entity in contract.entities:
        field = module.entities[entity]
        keys = codes([_text(event, field) for event in events])
        named = np.flatnonzero(keys >= 0)
        values = {n: _column(events, n, kind)[named] for n, kind in looked_at(module, contract, entity).items()}
        of = {event.event_id: int(key) for event, key in zip(events, keys, strict=True)}
        outcomes = {kind: _outcomes(learnt, kind, of) for kind in outcome_kinds(contract, entity)}
        partition = Partition(Entries(keys[named], times[named], seq[named], values), outcomes)
        for name, answer in window_features(contract, entity, partition).items():
            columns[name] = np.full(len(events), np.nan)
            columns[name][named] = answer
            columns[name][late] = np.nan
    return columns


def _outcomes(learnt: Sequence[Learnt], kind: str, of: dict[str, int]) -> Outcomes:
    cells = [
        (of[one.event.event_id], one.number, one.event.event_time, one.known_at, int(one.value))
        for one in learnt
        if one.kind == kind and of[one.event.event_id] >= 0
    ]
    columns = zip(*cells, strict=True) if cells else [()] * 5
    return Outcomes(*(np.array(column, np.int64) for column in columns))


def _text(event: Event, field: str) -> str | None:
    value = event.fields.get(field)
    return None if value is None else str(value)


def _column(events: Sequence[Event], name: str, kind: FieldType) -> Ints:
    cells = [event.fields.get(name) for event in events]
    if kind is FieldType.PLACE:
        return np.array([-1 if cell is None else cell for cell in cells], np.int64)
    if kind is FieldType.MONEY:
        return np.array([cell or 0 for cell in cells], np.int64)
    return codes([None if cell is None else str(cell) for cell in cells])
