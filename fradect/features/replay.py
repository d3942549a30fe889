"""Live equals history: sampled events go through the live path again and must give the numbers history gave them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract, Kind
from fradect.features.live import Recent, Snapshot, vector
from fradect.modules.declaration import Module
from fradect.types import Event

_MOST_EXAMPLES = 20

View = Callable[[Event, int], Mapping[str, Recent | None]]


@dataclass(frozen=True, slots=True)
class Sampled:
    """An event of the log and its sequence number."""

    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class HistoryRows:
    """History's features by event id: `names` are the columns of each row."""

    names: tuple[str, ...]
    rows: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that the two paths disagree about."""

    event_id: str
    feature: str
    live: float
    history: float

    def __str__(self) -> str:
        return f"event {self.event_id}: {self.feature} is {self.live!r} live and {self.history!r} in history"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many events and features were compared, and what differed.

    `missing`: sampled events without a row in history; `extra`: rows of events that were not sampled. Batch features
    are not computed by the live path, so they are not compared.
    """

    events: int
    features: int
    mismatches: int
    missing: int
    extra: int
    examples: tuple[Mismatch, ...]

    @property
    def equal(self) -> bool:
        return self.events > 0 and not self.mismatches and not self.missing and not self.extra


def replay(
    module: Module, contract: Contract, sample: Sequence[Sampled], view: View, history: HistoryRows
) -> ReplayReport:
    """Bit for bit, NaN equal to NaN. `view` reads what the live state showed the event with that number."""
    names = [f.name for f in contract if f.kind is not Kind.BATCH]
    columns = [history.names.index(name) for name in names]
    found: list[Mismatch] = []
    missing = 0
    for sampled in sample:
        event, row = sampled.event, history.rows.get(sampled.event.event_id)
        if row is None:
            missing += 1
            continue
        seen = vector(module, contract, event, view(event, sampled.seq), Snapshot({}, {})).as_dict()
        live = np.array([seen[name] for name in names], np.float64)
        found += _differing(event.event_id, names, live, row[columns])
    return ReplayReport(
        events=len(sample) - missing,
        features=len(names),
        mismatches=len(found),
        missing=missing,
        extra=len(history.rows.keys() - {sampled.event.event_id for sampled in sample}),
        examples=tuple(found[:_MOST_EXAMPLES]),
    )


def _differing(
    event_id: str, names: Sequence[str], live: npt.NDArray[np.float64], history: npt.NDArray[np.float64]
) -> list[Mismatch]:
    same = (live.view(np.int64) == np.ascontiguousarray(history).view(np.int64)) | (np.isnan(live) & np.isnan(history))
    return [Mismatch(event_id, names[i], live.item(i), history.item(i)) for i in map(int, np.flatnonzero(~same))]
