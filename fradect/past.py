"""A whole release over past events: the model for all of them at once, then rules and policy event by event."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fradect.judgement import Loaded
from fradect.policy import combine, decide
from fradect.types import Event, Vector

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def decide_past(release: Loaded, events: Iterable[Event], matrix: Floats) -> tuple[Floats, Ints]:
    """(calibrated probability, Action) of each event; `matrix`: its vectors, (n, features) in contract order."""
    probability = release.model.probability(matrix)
    chosen = np.empty(probability.size, np.int64)
    names = release.contract.names
    for i, (event, values) in enumerate(zip(events, matrix.tolist(), strict=True)):
        found = release.rules.find(event, Vector(names, tuple(values)))
        score = combine(float(probability[i]), found.effects, release.policy)
        chosen[i] = decide(score, found.effects, release.policy)
    return probability, chosen
