"""From margins to probabilities: Platt scaling on events that neither fitted nor tuned the model."""

import numpy as np
import numpy.typing as npt

from fradect.errors import InvalidInput
from fradect.scoring import Calibrator

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_SLOPE = 0.01  # of the margin's log-odds; a model that ranks backwards ends here and fails its gates
_STEPS = 60


def calibrate(margins: Floats, labels: Flags, weight: Floats | None = None) -> Calibrator:
    """The slope and intercept that make these outcomes likeliest; the slope is at least `LEAST_SLOPE`.

    `weight`: how many events each stands for; None: one.

    Outcomes are softened as Platt proposed, one imaginary event each way, so that margins which separate the
    classes perfectly still have a finite answer. The loss is convex: Newton's method, with steps halved until
    they help.
    """
    frauds = int(labels.sum())
    if not 0 < frauds < labels.size:
        raise InvalidInput(f"calibration: {labels.size} events, {frauds} of them fraud; both kinds are needed")
    target = np.where(labels, (frauds + 1) / (frauds + 2), 1 / (labels.size - frauds + 2))
    center, spread = float(margins.mean()), float(margins.std()) or 1.0
    scaled = (margins - center) / spread
    worth = np.ones(labels.size) if weight is None else weight
    slope, intercept = _newton(np.column_stack([scaled, np.ones(scaled.size)]), target, worth)
    if slope / spread < LEAST_SLOPE:
        slope = LEAST_SLOPE * spread
        _, intercept = _newton(np.ones((scaled.size, 1)), target, worth, offset=slope * scaled)
    return Calibrator(max(slope / spread, LEAST_SLOPE), intercept - slope * center / spread)


def _newton(design: Floats, target: Floats, worth: Floats, offset: Floats | float = 0.0) -> tuple[float, float]:
    """(first, last) coefficient of the logistic regression of `target`, which lies strictly between 0 and 1; each row
    counts as many as it is `worth`."""
    weights = np.zeros(design.shape[1])
    loss = _loss(design, target, worth, offset, weights)
    for _ in range(_STEPS):
        predicted = 1.0 / (1.0 + np.exp(-((design * weights).sum(axis=1) + offset)))
        slope = (design * (worth * (predicted - target))[:, None]).sum(axis=0)
        curve = worth * predicted * (1 - predicted)
        bend = np.einsum("ni,n,nj->ij", design, curve, design) + 1e-9 * np.eye(weights.size)
        step = np.linalg.solve(bend, slope)
        while (lower := _loss(design, target, worth, offset, weights - step)) > loss and np.abs(step).max() > 1e-12:
            step /= 2
        if lower > loss or np.abs(step).max() < 1e-10:
            break
        weights, loss = weights - step, lower
    return float(weights[0]), float(weights[-1])


def _loss(design: Floats, target: Floats, worth: Floats, offset: Floats | float, weights: Floats) -> float:
    margin = (design * weights).sum(axis=1) + offset
    return float((worth * (np.logaddexp(0.0, margin) - target * margin)).sum())
