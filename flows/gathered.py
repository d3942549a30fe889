"""What a backtest keeps of the stretches it has been through: a few numbers an event, sums by rule, some changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flows.wiring.past import PastRows
from fradect.bulk import Trace
from fradect.features.contract import Contract
from fradect.modules.declaration import FieldType, Module
from training.backtest import Side, Tried
from training.changes import SCHEMA
from training.dataset import Dataset
from training.declined import Declined, Seen, declined
from training.slices import slices

Texts = npt.NDArray[np.object_]

EXAMPLES = 40
"""Changes that are kept to be shown: those of the largest amounts."""

_COUNTRIES = 6
_NEWCOMERS = ("total_orders", "customer_count_30d")
_BOTH = ("champion", "candidate")


@dataclass
class Gathered:
    """Columns in pieces. `contract`: of the champion, whose features name the slices."""

    module: Module
    contract: Contract
    examples: pa.Table = field(default_factory=SCHEMA.empty_table)
    changed: int = 0
    wanted: int = 0
    _pieces: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)

    def add(self, rows: PastRows, matured: npt.NDArray[np.bool_], traces: Sequence[Trace]) -> None:
        """`traces`: the champion's and the candidate's."""
        self._keep("label", rows.label)
        self._keep("matured", matured)
        self._keep("amount", rows.amount)
        self._keep("time", rows.events["event_time"].to_numpy())
        self._keep("customer", rows.customer)
        for side, trace in zip(_BOTH, traces, strict=True):
            self._keep(f"{side}.probability", trace.past.probability)
            self._keep(f"{side}.score", trace.past.score.astype(np.int16))
            self._keep(f"{side}.action", trace.past.action.astype(np.int8))
        for name in self._sliced:
            self._keep(f"feature.{name}", rows.matrices[0][:, self.contract.names.index(name)].astype(np.float32))
        for name in self._countries:
            self._keep(f"country.{name}", np.array(rows.events[name].to_pylist(), object))
        for name, column in rows.protected.items():
            self._keep(f"protected.{name}", column)

    def see(self, chance: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], due: npt.NDArray[np.bool_]) -> None:
        """Of the same events, where declines were let through: see Seen; `due`: whether the label should be known."""
        for name, column in (("chance", chance), ("known", known), ("due", due)):
            self._keep(name, column)

    def exemplify(self, changed: pa.Table, wanted: pa.Table) -> None:
        """The largest of what is wanted stay."""
        self.changed += changed.num_rows
        self.wanted += wanted.num_rows
        held = pa.concat_tables([self.examples, wanted])
        order = pc.sort_indices(held, [("amount_base", "descending"), ("seq", "ascending")])
        self.examples = held.take(order[:EXAMPLES]).combine_chunks()

    def tried(self, currency: str) -> Tried:
        """Everything that was gathered."""
        column = self.column
        sides = {
            side: Side(
                column(f"{side}.probability"),
                column(f"{side}.score").astype(np.int64),
                column(f"{side}.action").astype(np.int64),
            )
            for side in _BOTH
        }
        base = {name: column(name) for name in ("label", "matured", "amount", "time", "customer")}
        return Tried(candidate=sides["candidate"], champion=sides["champion"], slices=self._slices(currency), **base)

    def declined(self, tried: Tried) -> Mapping[str, Declined]:
        """How good both releases' declines are; nothing where none was ever let through."""
        if "chance" not in self._pieces:
            return {}
        due = np.flatnonzero(self.column("due"))
        seen = Seen(self.column("chance")[due], self.column("known")[due])
        return {
            side: declined(made.action[due], tried.label[due], seen, tried.customer[due])
            for side, made in (("champion", tried.champion), ("candidate", tried.candidate))
        }

    @property
    def protected(self) -> Mapping[str, Texts]:
        return {name: self.column(f"protected.{name}") for name in self.module.protected}

    def column(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate(self._pieces[name])

    @property
    def events(self) -> int:
        return sum(piece.size for piece in self._pieces.get("time", ()))

    @property
    def _sliced(self) -> tuple[str, ...]:
        by = [feature.name for feature in self.contract if feature.categories]
        return (*by, *(name for name in _NEWCOMERS if name in self.contract.names))

    @property
    def _countries(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.module.columns.items() if kind is FieldType.COUNTRY)

    def _keep(self, name: str, column: npt.NDArray[Any]) -> None:
        self._pieces.setdefault(name, []).append(column)

    def _slices(self, currency: str) -> Mapping[str, Texts]:
        names, n = self._sliced, self.events
        matrix = np.column_stack([np.empty((n, 0)), *(self.column(f"feature.{name}") for name in names)])
        past = Dataset(
            names=names,
            matrix=matrix.astype(np.float64),
            label=self.column("label"),
            labelled=self.column("matured"),
            amount=self.column("amount"),
            time=self.column("time"),
            known_at=self.column("time"),
            customer=self.column("customer"),
            event_id=np.empty(n, object),
        )
        return slices(past, self.contract, currency) | dict(self._by_country())

    def _by_country(self) -> Iterator[tuple[str, Texts]]:
        for name in self._countries:
            column = np.array([code or "unknown" for code in self.column(f"country.{name}").tolist()], object)
            codes, counts = np.unique(column.astype(str), return_counts=True)
            if codes.size > 1 or codes[0] != "unknown":
                large = set(codes[np.argsort(-counts, kind="stable")][:_COUNTRIES].tolist()) | {"unknown"}
                yield name, np.array([code if code in large else "other" for code in column.tolist()], object)
