"""Before a release decides: every part of it is put to work once, and its model must say again what it once said."""

import numpy as np
import numpy.typing as npt

from fradect.canary import CLOSE, Canary
from fradect.errors import Refused
from fradect.judgement import Loaded, judge
from fradect.types import Event, Vector


def examine(release: Loaded, canary: Canary | None) -> tuple[float, ...]:
    """The model's probability of each canary row, of rows made up where the release has none.

    Refused when one is no probability, is not what was written down, or when a judgement has to do without a part.
    """
    matrix = _made_up(len(release.contract.names)) if canary is None else canary.matrix()
    given = np.asarray(release.model.probability(matrix), np.float64)
    if given.shape != (matrix.shape[0],) or not ((given >= 0.0) & (given <= 1.0)).all():
        raise Refused("the model does not give a probability for every row")
    if canary is not None and not np.allclose(given, np.array(canary.probabilities), rtol=0.0, atol=CLOSE):
        worst = float(np.abs(given - np.array(canary.probabilities)).max())
        raise Refused(f"the model answers its canary rows otherwise than when it was made (by {worst:.3g})")
    for row in matrix:
        _judged(release, row)
    return tuple(float(p) for p in given)


def nobody(release: Loaded, tenant_id: str) -> Event:
    """An event of no one, to try things with."""
    fields = dict.fromkeys(release.module.entities.values(), "warm-up")
    return Event("warm-up", tenant_id, release.module.name, 0, 0, fields)


def _judged(release: Loaded, row: npt.NDArray[np.float64]) -> None:
    vector = Vector(release.contract.names, tuple(row.tolist()))
    judgement = judge(release, nobody(release, ""), vector, (), explain=True)
    if judgement.degraded:
        raise Refused(f"a judgement had to be made without {', '.join(judgement.degraded)}")


def _made_up(width: int) -> npt.NDArray[np.float64]:
    return np.array([[0.0] * width, [1.0] * width, [np.nan] * width], np.float64)
