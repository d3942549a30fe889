"""Canonical columns under way, and what keeps each row out."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fradect.faults import Reason
from fradect.intake.columns import CODES, Codes, Column
from fradect.money import Flags


class Sheet:
    """The columns of one batch, and of each row the first fault: its code, and where in `names` it was found."""

    def __init__(self, n: int) -> None:
        self.columns: dict[str, pa.Array] = {}
        self.names: list[str] = []
        self.codes = np.zeros(n, np.uint8)
        self.where = np.zeros(n, np.int16)

    @property
    def size(self) -> int:
        return len(self.codes)

    def put(self, name: str, column: Column) -> None:
        """A column that was read from the source."""
        self.columns[name] = column.values
        self._first(name, column.faults)

    def blame(self, name: str, rows: Flags, reason: Reason) -> None:
        self._first(name, np.where(rows, CODES[reason], 0).astype(np.uint8))

    def blank(self) -> Flags:
        """Rows in which nothing stands: empty lines."""
        nothing: Flags = self.codes == 0
        for name in dict.fromkeys(self.names):
            if not nothing.any():
                break
            nothing = nothing & pc.is_null(self.columns[name]).to_numpy(zero_copy_only=False)
        return nothing

    def _first(self, name: str, codes: Codes) -> None:
        new = (codes > 0) & (self.codes == 0)
        self.names.append(name)
        self.codes[new] = codes[new]
        self.where[new] = len(self.names) - 1
