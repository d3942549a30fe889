"""What XGBoost reads: the columns' types, and one quantile matrix per fineness, made once and used by every trial."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from fradect.features.contract import Contract
from fradect.scoring import feature_types

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Params = dict[str, float | int]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to learn from: (n, features), their labels, and how many events each stands for."""

    matrix: Floats
    label: Flags
    weight: Floats


@dataclass(frozen=True, slots=True)
class Shape:
    """What no trial varies: the columns' types, their monotone directions, seed and threads."""

    types: tuple[str, ...]
    monotone: tuple[int, ...]
    seed: int
    threads: int

    @classmethod
    def of(cls, contract: Contract, seed: int, threads: int) -> "Shape":
        return cls(tuple(feature_types(contract)), tuple(f.monotone for f in contract), seed, threads)

    def params(self, chosen: Params) -> dict[str, Any]:
        """XGBoost's parameters. The base score is set: the estimated one loses the ranking of rare events."""
        fixed: dict[str, Any] = {
            "objective": "binary:logistic",
            "eval_metric": "aucpr",
            "tree_method": "hist",
            "base_score": 0.5,
            "seed": self.seed,
            "nthread": self.threads,
        }
        if any(self.monotone):
            fixed["monotone_constraints"] = self.monotone
        return fixed | chosen

    def quantiles(self, sample: Sample, max_bin: int, ref: xgb.QuantileDMatrix | None = None) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            sample.matrix,
            sample.label,
            weight=sample.weight,
            feature_types=list(self.types),
            enable_categorical=True,
            max_bin=max_bin,
            nthread=self.threads,
            ref=ref,
        )


@dataclass(slots=True)
class Matrices:
    """Training and validation matrices by fineness, each made when it is first asked for."""

    shape: Shape
    train: Sample
    validation: Sample
    _made: dict[int, tuple[xgb.QuantileDMatrix, xgb.QuantileDMatrix]] = field(default_factory=dict)

    def pair(self, max_bin: int) -> tuple[xgb.QuantileDMatrix, xgb.QuantileDMatrix]:
        if max_bin not in self._made:
            train = self.shape.quantiles(self.train, max_bin)
            self._made[max_bin] = (train, self.shape.quantiles(self.validation, max_bin, train))
        return self._made[max_bin]


def thin(sample: Sample, most: int, seed: int) -> Sample:
    """At most about `most` rows: every fraud, and honest events drawn evenly, each standing for those left out.

    For searching only. The weights keep the share of fraud, and with it the meaning of every parameter.
    """
    honest = np.flatnonzero(~sample.label)
    keep = max(most - (sample.label.size - honest.size), most // 2)
    if keep >= honest.size:
        return sample
    drawn = np.random.default_rng(seed).choice(honest, keep, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(sample.label), drawn]))
    weight = np.where(sample.label[rows], 1.0, honest.size / keep) * sample.weight[rows]
    return Sample(sample.matrix[rows], sample.label[rows], weight)
