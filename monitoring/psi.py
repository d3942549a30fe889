"""How far two samples are apart, and how far chance alone would have put them."""

import functools

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]

DRAWS_BEYOND = 10
"""Simulated samples that lie beyond the limit: what it rests on."""


def stability_index(reference: Counts, current: Counts) -> npt.NDArray[np.float64]:
    """Population stability index of counts by bin (last axis), half a row added to every bin.

    Sum of (share now - share then) * ln(share now / share then): 0 for equal shares; 0.1 is held to be a
    moderate shift, 0.25 a large one.
    """
    then, now = reference + 0.5, current + 0.5
    then = then / then.sum(axis=-1, keepdims=True)
    now = now / now.sum(axis=-1, keepdims=True)
    return np.asarray(((now - then) * np.log(now / then)).sum(axis=-1))


@functools.lru_cache(maxsize=4096)
def chance_limit(reference: tuple[int, ...], rows: int, level: float, seed: int) -> float:
    """The index that `rows` rows drawn from the reference itself exceed with probability `level`.

    Simulated, not taken from a table: the index of small samples has a heavier tail than its chi-square limit.
    """
    rng = np.random.default_rng(seed)
    counts = np.array(reference)
    shares = (counts + 0.5) / (counts + 0.5).sum()
    draws = max(int(np.ceil(DRAWS_BEYOND / level)), 1000)
    then = rng.multinomial(int(counts.sum()), shares, draws)
    now = rng.multinomial(rows, shares, draws)
    return float(np.quantile(stability_index(then, now), 1.0 - level, method="higher"))
