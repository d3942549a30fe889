"""The lines that plots draw, thinned to a few hundred points so that they can be stored with the evidence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.modules.declaration import CostModel
from fradect.policy import money_saved
from fradect.types import Action
from training.metrics import CALIBRATION_BINS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Line = tuple[float, ...]

POINTS = 400


@dataclass(frozen=True, slots=True)
class Curves:
    """`recall` and `precision`, `false_positive_rate` and `recall`, go together point by point; likewise bins'
    `predicted` and `observed` share of fraud. `saved_by_review` and `saved_by_decline` hold, for each score from 0
    to 1001, the money saved by that action on everything from that score on, in minor units."""

    recall: Line
    precision: Line
    false_positive_rate: Line
    predicted: Line
    observed: Line
    saved_by_review: Line
    saved_by_decline: Line


def draw(probability: Floats, label: Flags, amount: Ints, scores: Ints, costs: CostModel) -> Curves:
    """`scores`: the probabilities on the scale 0 to 1000."""
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), order.size - 1)
    ends = ends[np.unique(np.geomspace(1, ends.size, POINTS).astype(np.int64) - 1)]
    caught, passed = np.cumsum(label[order])[ends], np.cumsum(~label[order])[ends]
    bins = np.array_split(order[::-1], min(CALIBRATION_BINS, order.size))
    saved = {action: _saved(costs, scores, amount, label, action) for action in (Action.REVIEW, Action.DECLINE)}
    return Curves(
        recall=_line(caught / max(int(label.sum()), 1)),
        precision=_line(caught / (caught + passed)),
        false_positive_rate=_line(passed / max(int((~label).sum()), 1)),
        predicted=tuple(float(probability[b].mean()) for b in bins),
        observed=tuple(float(label[b].mean()) for b in bins),
        saved_by_review=saved[Action.REVIEW],
        saved_by_decline=saved[Action.DECLINE],
    )


def _saved(costs: CostModel, scores: Ints, amount: Ints, label: Flags, action: Action) -> Line:
    each = money_saved(costs, amount, label, np.full(scores.size, int(action)))
    by_score = np.asarray(np.bincount(scores, each, minlength=1002), np.float64)
    return _line(np.cumsum(by_score[::-1])[::-1])


def _line(values: npt.NDArray[np.floating]) -> Line:
    return tuple(float(value) for value in values)
