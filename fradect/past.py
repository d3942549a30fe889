"""A whole release over past events: the model for all of them at once, then rules and policy event by event."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fradect.judgement import Loaded
from fradect.policy import combine, decide
from fradect.types import Event, Vector

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Past:
    """What a release makes of n events: calibrated probability, score (0 to 1000) and Action of each."""

    probability: Floats
    score: Ints
    action: Ints


def decide_past(release: Loaded, events: Iterable[Event], matrix: Floats) -> Past:
    """Decide events as the service would; `matrix`: their vectors in the same order, (n, features)."""
    probability = release.model.probability(matrix)
    score, action = np.empty(probability.size, np.int64), np.empty(probability.size, np.int64)
    names = release.contract.names
    for i, (event, values) in enumerate(zip(events, matrix.tolist(), strict=True)):
        effects = release.rules.find(event, Vector(names, tuple(values))).effects
        thresholds = release.policy.at(event.fields)
        score[i] = combine(float(probability[i]), effects, thresholds)
        action[i] = decide(int(score[i]), effects, thresholds)
    return Past(probability, score, action)
