"""Models at work: one XGBoost booster and one calibrator, for one event and for a million."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt
import xgboost as xgb

from fradect.errors import Unavailable
from fradect.features.contract import Contract
from fradect.forest import Forest
from fradect.one_row import OneRow
from fradect.shapley import Shapley
from fradect.trees import read_trees

log = logging.getLogger(__name__)

Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

_PROBES = 256  # rows that the tables must answer as XGBoost does before they may answer for it
_FAR = 700.0  # log-odds beyond which a double's exp overflows; the probability is 1e-304 by then


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Platt scaling: probability = 1 / (1 + exp(-(slope * margin + intercept))). Strictly monotone for slope > 0."""

    slope: float
    intercept: float

    def probability(self, margin: Floats) -> Floats:
        return 1.0 / (1.0 + np.exp(np.minimum(-(self.slope * margin + self.intercept), _FAR)))

    def one(self, margin: float) -> float:
        """The same bits for one; `math.exp` rounds differently."""
        return float(1.0 / (1.0 + np.exp(min(-(self.slope * margin + self.intercept), _FAR))))

    def to_json(self) -> bytes:
        return msgspec.json.encode({"method": "platt", "slope": self.slope, "intercept": self.intercept})

    @classmethod
    def from_json(cls, raw: bytes) -> "Calibrator":
        data = msgspec.json.decode(raw)
        return cls(float(data["slope"]), float(data["intercept"]))


def feature_types(contract: Contract) -> list[str]:
    """XGBoost's column types in contract order: "c" for categories (codes, unknown NaN), "float" for the rest."""
    return ["c" if feature.categories else "float" for feature in contract]


class Scorer:
    """A booster with its calibrator. `model`: XGBoost JSON whose digest the caller has checked."""

    def __init__(self, model: bytes, calibrator: Calibrator, contract: Contract, threads: int = 1) -> None:
        self._booster = xgb.Booster()
        self._booster.load_model(bytearray(model))
        self._booster.set_param({"nthread": threads})
        self._calibrator = calibrator
        self._types = feature_types(contract)
        self._threads = threads
        self._margin = self._forest() or OneRow(self._booster, len(self._types)).margin

    def probability(self, matrix: Matrix) -> Floats:
        """Calibrated probability of each row of (n, features), columns in contract order, NaN missing."""
        return self._calibrator.probability(self._margins(matrix))

    def probability_of(self, row: Sequence[float]) -> float:
        """Calibrated probability of one row, to the bit what `probability` gives it among others."""
        return self._calibrator.one(self._margin(row))

    def contributions(self, row: Sequence[float]) -> tuple[Floats, float]:
        """Exact contributions of one row to the calibrated log-odds, and the log-odds of the baseline.

        They add up: baseline + sum(contributions) = slope * margin + intercept, but for the last bits of a float32.
        The first call makes tables that the later ones are read from.
        """
        parts, expected = self._parts(row)
        return self._calibrator.slope * parts, self._calibrator.slope * expected + self._calibrator.intercept

    def contributions_of_all(self, rows: Matrix, threads: int) -> tuple[Floats, Floats]:
        """The same for many rows at once, to the last bit: (n, features), and a baseline for each."""
        if self._tables is None:
            self._booster.set_param({"nthread": threads})
            try:
                parts, expected = self._explained(rows, threads)
            finally:
                self._booster.set_param({"nthread": self._threads})
        else:
            parts = np.array([self._tables.values(row) for row in rows.tolist()]).reshape(rows.shape)
            expected = np.full(len(rows), self._tables.expected)
        return self._calibrator.slope * parts, self._calibrator.slope * expected + self._calibrator.intercept

    def _margins(self, matrix: Matrix) -> Floats:
        margins = self._booster.inplace_predict(matrix, predict_type="margin", strict_shape=False)
        return np.asarray(margins, np.float64)

    def _forest(self) -> Callable[[Sequence[float]], float] | None:
        """None for a model that tables do not fit, or say otherwise of, in the last bit, than XGBoost does."""
        try:
            forest = Forest(*read_trees(bytes(self._booster.save_raw("json"))), len(self._types))
        except (ValueError, KeyError, RecursionError) as error:
            log.info("single rows are left to XGBoost: %s", error)
            return None
        probes = forest.questions.probes(_PROBES)
        if [forest.margin(row) for row in probes.tolist()] == self._margins(probes).tolist():
            return forest.margin
        log.warning("single rows are left to XGBoost: the tables made of its model say otherwise")
        return None

    def _parts(self, row: Sequence[float]) -> tuple[Floats, float]:
        if self._tables is not None:
            return self._tables.values(row), self._tables.expected
        parts, expected = self._explained(np.array([row], np.float64), self._threads)
        return parts[0], float(expected[0])

    @cached_property
    def _tables(self) -> Shapley | None:
        """None for a model that tables do not fit, or say otherwise of than XGBoost does: its own way is taken then."""
        width = len(self._types)
        try:
            tables = Shapley(bytes(self._booster.save_raw("json")), width)
        except (ValueError, KeyError) as error:
            log.info("contributions are left to XGBoost: %s", error)
            return None
        probes = np.array([[np.nan] * width, [0.0] * width, [1.0] * width])
        said, expected = self._explained(probes, self._threads)
        close = np.allclose(said, [tables.values(row) for row in probes.tolist()], rtol=1e-3, atol=1e-3)
        if close and np.allclose(expected, tables.expected, rtol=1e-3, atol=1e-3):
            return tables
        log.warning("contributions are left to XGBoost: the tables made of its model say otherwise")
        return None

    def _explained(self, rows: Matrix, threads: int) -> tuple[Floats, Floats]:
        matrix = xgb.DMatrix(rows, feature_types=self._types, enable_categorical=True, nthread=threads)
        parts = np.asarray(self._booster.predict(matrix, pred_contribs=True), np.float64)
        return parts[:, :-1], parts[:, -1]


class NoModel:
    """In the place of a model that must not be asked: the decision is made by rules alone, and says so."""

    def probability(self, _matrix: Matrix) -> Floats:
        raise _not_asked()

    def probability_of(self, _row: Sequence[float]) -> float:
        raise _not_asked()

    def contributions(self, _row: Sequence[float]) -> tuple[Floats, float]:
        raise _not_asked()

    def contributions_of_all(self, _rows: Matrix, _threads: int) -> tuple[Floats, Floats]:
        raise _not_asked()


def _not_asked() -> Unavailable:
    return Unavailable("the model was not verified for too long; the rules decide alone")
