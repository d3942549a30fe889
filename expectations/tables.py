"""What rules read of a table: a few columns at a time, so that a large one never stands in memory as objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.rules import Rule, Suite

SAMPLE = 100_000
"""Rows that sampled rules look at, at even distances over the table."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A table under a suite. Of Arrow tables, which are the smaller ones, only what is read becomes pandas."""

    table: "pd.DataFrame | pa.Table"
    suite: Suite

    def __len__(self) -> int:
        return len(self.table)

    def can_check(self, rule: Rule) -> bool:
        """Of an absent column only that it is absent can be said."""
        return rule.expect == "ExpectColumnToExist" or all(self._needs(name) <= self._names for name in rule.columns)

    def read(self, rule: Rule) -> pd.DataFrame:
        """The columns of a rule that are there, rows numbered from 0; of a sampled rule, every so many rows only."""
        step = max(1, -(-len(self) // SAMPLE)) if rule.sampled else 1
        columns = {name: self._column(name, step) for name in rule.columns if self._needs(name) <= self._names}
        rows = pd.RangeIndex(0, len(self), step)
        return pd.DataFrame({name: column.array for name, column in columns.items()}, index=rows, copy=False)

    def ids(self, positions: Sequence[int]) -> tuple[str, ...]:
        """Row ids, each once; row numbers, where the table has no such column."""
        if self.suite.row_id not in self._names:
            return tuple(f"row {position}" for position in positions)
        column = self.table[self.suite.row_id]
        rows = np.asarray(positions, np.int64)
        cells = column.take(pa.array(rows)).to_pylist() if isinstance(column, pa.ChunkedArray) else column.iloc[rows]
        return tuple(dict.fromkeys(map(str, cells)))

    @property
    def _names(self) -> set[str]:
        names = self.table.column_names if isinstance(self.table, pa.Table) else self.table.columns
        return set(names)

    def _needs(self, name: str) -> set[str]:
        return next((set(derived.needs) for derived in self.suite.derived if derived.name == name), {name})

    def _column(self, name: str, step: int) -> "pd.Series[Any]":
        derived = next((d for d in self.suite.derived if d.name == name), None)
        if derived is not None:
            return derived.compute(pd.DataFrame({need: self._stored(need, step) for need in derived.needs}))
        return self._stored(name, step)

    def _stored(self, name: str, step: int) -> "pd.Series[Any]":
        """Integers beside a mask of nulls become floats: Great Expectations would compare them one by one."""
        column = self.table[name]
        if isinstance(column, pa.ChunkedArray):
            thinned = column if step == 1 else column.take(pa.array(np.arange(0, len(column), step)))
            series: pd.Series[Any] = thinned.to_pandas()
            return series
        series = column.iloc[::step]
        return series.astype(float) if isinstance(series.dtype, pd.Int64Dtype) else series
