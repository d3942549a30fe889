"""A model's canary: rows whose probabilities were written down when it was made, asked again before it decides."""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

ROWS = 16
CLOSE = 1e-6  # another machine's arithmetic may differ in the last bits, another model's does by more
Row = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Canary:
    """`rows`: vectors in contract order, None where missing; `probabilities`: what the model made of each."""

    rows: tuple[Row, ...]
    probabilities: tuple[float, ...]

    def matrix(self) -> npt.NDArray[np.float64]:
        return np.array(self.rows, np.float64)

    def to_json(self) -> bytes:
        return msgspec.json.encode({"rows": self.rows, "probabilities": self.probabilities})

    @classmethod
    def from_json(cls, raw: bytes) -> "Canary":
        held = msgspec.json.decode(raw, type=_Stored)
        return cls(held.rows, held.probabilities)


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rows: tuple[Row, ...]
    probabilities: tuple[float, ...]


def chosen(matrix: npt.NDArray[np.float64], probability: npt.NDArray[np.float64], count: int = ROWS) -> Canary:
    """Rows from the least to the most suspicious, of those that a model was asked; `matrix`: (n, features)."""
    order = np.argsort(probability, kind="stable")
    picked = order[np.linspace(0, order.size - 1, min(count, order.size)).astype(np.int64)]
    rows = tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in matrix[picked])
    return Canary(rows, tuple(float(p) for p in probability[picked]))
