"""What a check of logged vectors needs: a sample of them, history's rows of the same events, where figures go."""

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from flows.wiring import Workshop
from flows.wiring.online import caught_up, measurements, remembered
from fradect.adapters.ledger_vectors import Sample, logged_vectors
from fradect.adapters.replay_source import ReplaySource
from fradect.features.contract import Contract, Kind
from fradect.features.live import Reader, Snapshot, batch_value
from fradect.features.logged import Logged
from fradect.features.past_snapshots import PastSnapshots
from fradect.ports import Measurement
from fradect.types import HOUR, Event
from monitoring.skew import Expected

UNRECORDED = "when customer snapshots went online is not on record: materialise them once"
_NOT_YET = 2**62
_WHILE = HOUR  # a materialisation that ended so soon after a decision may have been under way then


def sampled(shop: Workshop, since: int, most: int) -> Sample:
    """Decisions since a moment (microseconds), at most so many of them, evenly drawn."""
    return logged_vectors(shop.settings.ledger_url, (shop.tenant, shop.module.name), since, most)


def expected(
    shop: Workshop, contract: Contract, logged: Sequence[Logged]
) -> tuple[dict[str, Expected], Mapping[str, str]]:
    """History's rows by event id, and features that cannot be compared, with the reason.

    Batch features are those of the snapshot that was current at the event, among those that were online by the
    decision. Imports of a lower number that the live state had not taken in by then are told of.
    """
    batch = [feature.name for feature in contract.of_kind(Kind.BATCH)]
    online, imports = _Online.of(shop, contract), _Imports.of(shop)
    decided = {one.event_id: one.decided_at for one in logged}
    table = ds.dataset(shop.places.training_set(contract)).to_table(
        columns=["event_id", "seq", "event_time", "customer_id", *contract.names],
        filter=pc.field("event_id").isin(list(decided)),
    )
    times = table["event_time"].cast(pa.int64()).to_pylist()
    rows: dict[str, Expected] = {}
    for time_, row in zip(times, table.drop_columns(["event_time"]).to_pylist(), strict=True):
        values = [float(row[name]) for name in contract.names]
        event_id = row["event_id"]
        seen = online.seen(_customers_event(shop, event_id, time_, row["customer_id"]), decided[event_id])
        possible = [_with_batch(contract, values, snapshot) for snapshot in seen]
        rows[event_id] = Expected(row["seq"], possible, imports.overtaken(row["seq"], decided[event_id]))
    return rows, dict.fromkeys(batch, UNRECORDED) if batch and not online.untils else {}


def leave(shop: Workshop, figures: Mapping[str, int]) -> None:
    """The figures for /metrics."""
    now = time.time_ns() // 1000
    labels = {"module": shop.module.name, "tenant": shop.tenant}
    with measurements(shop) as told:
        for name, value in figures.items():
            told.record(Measurement(f"fradect_skew_{name}", labels, float(value), now))


@dataclass(frozen=True, slots=True)
class _Imports:
    """Imports by their first and last number; when the live state had taken in which of them, by the last; and for how
    long a decision may have been under way (microseconds)."""

    batches: Sequence[tuple[int, int]]
    caught_up: Sequence[tuple[int, int]]
    budget: int

    @classmethod
    def of(cls, shop: Workshop) -> "_Imports":
        batches = [(batch.first_seq, batch.last_seq) for batch in shop.facts.imports]
        return cls(batches, caught_up(shop), shop.settings.budget_ms * 1000)

    def overtaken(self, seq: int, decided_at: int) -> bool:
        """Whether an import's numbers are lower than the decision's, which the live state was still without then."""
        return any(first < seq and decided_at <= self._seen_from(last) + self.budget for first, last in self.batches)

    def _seen_from(self, last: int) -> int:
        """Where nothing is on record at all, it always was."""
        ends = [end for end, upto in self.caught_up if upto >= last]
        return ends[0] if ends else (_NOT_YET if self.caught_up else 0)


@dataclass(frozen=True, slots=True)
class _Online:
    """Which snapshots were online when: each materialisation's end, and up to which moment it brought them."""

    snapshots: PastSnapshots
    ends: Sequence[int]
    untils: Sequence[int]

    @classmethod
    def of(cls, shop: Workshop, contract: Contract) -> "_Online":
        layout = Reader(shop.module, contract).layout
        snapshots = ReplaySource(shop.places, shop.module, contract, layout, shop.tenant).snapshots(
            is_pseudonymous=True
        )
        told = remembered(shop, contract) if contract.of_kind(Kind.BATCH) else []
        return cls(snapshots, [end for end, _ in told], [until for _, until in told])

    def seen(self, event: Event, decided_at: int) -> list[Snapshot]:
        """What could rightly be read then: one snapshot, two while others were being put there."""
        place = bisect_right(self.ends, decided_at)
        possible = self.untils[max(place - 1, 0) : place]
        if place < len(self.ends) and self.ends[place] - decided_at < _WHILE:
            possible = [*possible, self.untils[place]]
        known = [min(event.event_time, until) for until in possible] or [event.event_time]
        return [self.snapshots.at(event, one) for one in known]


def _customers_event(shop: Workshop, event_id: str, event_time: int, customer: str | None) -> Event:
    field = shop.module.entities.get("customer", "")
    return Event(event_id, shop.tenant, shop.module.name, event_time, event_time, {field: customer})


def _with_batch(contract: Contract, values: Sequence[float], snapshot: Snapshot) -> tuple[float, ...]:
    return tuple(
        batch_value(feature, snapshot) if feature.kind is Kind.BATCH else value
        for feature, value in zip(contract, values, strict=True)
    )
