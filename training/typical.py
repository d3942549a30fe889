"""What is usual for each feature, so that a factor can say how far from it a value is."""

import numpy as np
import numpy.typing as npt

from fradect.features.contract import Contract

LEAST_KNOWN = 30  # values; fewer do not say what is usual


def typical(matrix: npt.NDArray[np.float64], contract: Contract) -> dict[str, float]:
    """The median of each feature's known values, of a category its most frequent one. `matrix`: (n, features).

    The lower of the two middle values where their number is even, so that what is called usual has occurred.
    """
    usual: dict[str, float] = {}
    for feature, column in zip(contract, matrix.T, strict=True):
        known = column[~np.isnan(column)]
        if known.size < LEAST_KNOWN:
            continue
        if feature.categories:
            usual[feature.name] = float(np.argmax(np.bincount(known.astype(np.int64))))
        else:
            middle = (known.size - 1) // 2
            usual[feature.name] = float(np.partition(known, middle)[middle])
    return usual
