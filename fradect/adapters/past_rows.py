"""Past events beside their vectors as they would have been and their labels, a stretch at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fradect.adapters.event_log import EventLog
from fradect.adapters.places import Places
from fradect.errors import Conflict
from fradect.features.contract import Contract

Ints = npt.NDArray[np.int64]

IDENTITY = ("seq", "event_id", "event_time", "observed_at")


@dataclass(frozen=True, slots=True)
class PastRows:
    """n events in order of their numbers. Times in microseconds.

    `events`: identity, times (int64) and fields, no ciphers. `matrices`: for each contract, (n, features). `labelled`:
    whether a label is known by now, `known_at` since when. `amount`: minor units of the base currency, 0 where
    unknown. `customer`: codes that hold over all stretches, -1 for none.
    """

    events: pa.Table
    matrices: tuple[npt.NDArray[np.float64], ...]
    label: npt.NDArray[np.bool_]
    labelled: npt.NDArray[np.bool_]
    known_at: Ints
    amount: Ints
    customer: Ints
    protected: dict[str, npt.NDArray[np.object_]]


@dataclass
class PastReader:
    """One tenant's past. Training sets of the contracts must be up to date."""

    places: Places
    log: EventLog
    contracts: Sequence[Contract]
    at_once: int = 65_536
    _customers: dict[str, int] = field(default_factory=dict)

    def rows(self, since: int, until: int) -> Iterator[PastRows]:
        """Events with `since <= event_time < until`; Conflict where the log moves on meanwhile."""
        module = self.log.module
        columns = [*IDENTITY, *(name for name in module.columns if not name.endswith("_cipher"))]
        rest = ["seq", "event_time", "customer_id", "label", "label_known_at", "amount_base", *module.protected]
        asked = [[*contract.names, *(rest if i == 0 else rest[:2])] for i, contract in enumerate(self.contracts)]
        sources = [
            _evenly(_training_set(self.places.training_set(contract), names, since, until), self.at_once)
            for contract, names in zip(self.contracts, asked, strict=True)
        ]
        logged = _evenly(self.log.scan(columns, since, until), self.at_once)
        for events, *sets in zip(logged, *sources, strict=True):
            if any(not one["seq"].equals(events["seq"]) for one in sets):
                raise Conflict("the log changed while the past was read; run it again")
            yield self._stretch(events, sets)

    def count(self, since: int, until: int) -> int:
        """How many there are."""
        file = self.places.training_set(self.contracts[0])
        return sum(batch.num_rows for batch in _training_set(file, ["event_time"], since, until))

    def delays(self) -> Ints:
        """How long every label that is known took to become known."""
        file = self.places.training_set(self.contracts[0])
        times = pq.read_table(file, columns=["event_time", "label_known_at", "label"])
        known = times.filter(pc.is_valid(times["label"]))
        took: Ints = _micros(known["label_known_at"]).to_numpy() - _micros(known["event_time"]).to_numpy()
        return took

    def _stretch(self, events: pa.Table, sets: Sequence[pa.Table]) -> PastRows:
        first = sets[0]
        for name in ("event_time", "observed_at"):
            events = events.set_column(events.column_names.index(name), name, _micros(events[name]))
        label = first["label"]
        return PastRows(
            events=events,
            matrices=tuple(map(_matrix, self.contracts, sets)),
            label=label.fill_null(False).to_numpy(),
            labelled=label.is_valid().to_numpy(),
            known_at=_micros(first["label_known_at"]).fill_null(0).to_numpy(),
            amount=first["amount_base"].fill_null(0).to_numpy(),
            customer=self._codes(first["customer_id"]),
            protected={name: np.array(first[name].to_pylist(), object) for name in self.log.module.protected},
        )

    def _codes(self, column: pa.ChunkedArray) -> Ints:
        coded = column.combine_chunks().dictionary_encode()
        known = self._customers
        own = [known.setdefault(name, len(known)) for name in coded.dictionary.to_pylist()]
        codes: Ints = np.array([*own, -1], np.int64)[coded.indices.fill_null(len(own)).to_numpy()]
        return codes


def _matrix(contract: Contract, table: pa.Table) -> npt.NDArray[np.float64]:
    matrix: npt.NDArray[np.float64] = np.empty((table.num_rows, len(contract.names)), np.float64)
    for j, name in enumerate(contract.names):
        matrix[:, j] = table[name].to_numpy()
    return matrix


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _training_set(path: Path, names: Sequence[str], since: int, until: int) -> Iterator[pa.RecordBatch]:
    """Some columns of the events between two moments; parts of the file that hold none are not read."""
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.names.index("event_time")
        groups = [i for i in range(file.metadata.num_row_groups) if _may_hold(file, i, place, since, until)]
        for batch in file.iter_batches(65_536, row_groups=groups, columns=list(names)):
            times = batch["event_time"].cast(pa.int64())
            yield batch.filter(pc.and_(pc.greater_equal(times, since), pc.less(times, until)))


def _may_hold(file: pq.ParquetFile, group: int, place: int, since: int, until: int) -> bool:
    statistics = file.metadata.row_group(group).column(place).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    first, last = (pa.scalar(end, pa.timestamp("us", "UTC")).value for end in (statistics.min, statistics.max))
    return bool(first < until and last >= since)


def _evenly(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows, `size` at a time."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= size:
            table = pa.Table.from_batches(held)
            whole = table.num_rows // size * size
            for start in range(0, whole, size):
                yield table.slice(start, size)
            held = table.slice(whole).to_batches()
    rest = [one for one in held if one.num_rows]
    if rest:
        yield pa.Table.from_batches(rest)
