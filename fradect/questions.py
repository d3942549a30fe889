"""What trees ask of a row, told by ranks: where each value stands among all that the trees compare its feature with.

Every answer follows from the rank of one feature, so whatever hangs on answers can be a table with a row for each rank:
a row of values is then a few table rows, however many questions there are.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import compress
from math import inf, isfinite, nan, nextafter
from sys import float_info

import numpy as np
import numpy.typing as npt

from fradect.trees import Node, Tree

Places = npt.NDArray[np.intp]
Bounds = npt.NDArray[np.float32]

_LEAST = -float_info.max  # the same single-precision number as minus infinity


class Questions:
    """`size`: ranks of all features together, each with a place of its own."""

    def __init__(self, trees: Iterable[Tree], width: int) -> None:
        """ValueError for trees that ask a feature for a category and for a number, or what no rank tells."""
        asked: dict[int, list[Node]] = defaultdict(list)
        for node in (node for tree in trees for node in tree if not node.is_leaf):
            asked[node.feature].append(node)
        self._width = width
        self._used = [feature in asked for feature in range(width)]
        self._bounds = {feature: _bounds(nodes) for feature, nodes in sorted(asked.items())}
        # A missing value compares with none, so that it comes before minus infinity.
        self._cuts = tuple([-inf, *map(_last_below, bounds)] for bounds in self._bounds.values())
        sizes = np.array([len(cuts) + 1 for cuts in self._cuts], np.intp)
        self._begins: Places = np.cumsum(sizes) - sizes
        self._begin_of = dict(zip(self._bounds, self._begins.tolist(), strict=True))
        self.size = int(sizes.sum())

    def places(self, row: Sequence[float]) -> Places:
        """The place of each feature's rank, of features that are asked for. ValueError for a row of another width."""
        if len(row) != self._width:
            raise ValueError(f"a row of another size than the model's: {len(row)}, not {self._width}")
        if -inf in row:
            row = [_LEAST if value == -inf else value for value in row]
        ranks = map(bisect_left, self._cuts, compress(row, self._used))
        return np.fromiter(ranks, np.intp, len(self._cuts)) + self._begins

    def probes(self, count: int) -> npt.NDArray[np.float64]:
        """Rows (count, width) of missing values and of those on either side of what is asked, the same ones always."""
        rng = np.random.default_rng(count)
        rows = np.zeros((count, self._width))
        for feature, cuts in zip(self._bounds, self._cuts, strict=True):
            sides = [nan, 0.0, *cuts[1:], *(nextafter(cut, inf) for cut in cuts[1:])]
            rows[:, feature] = rng.choice(sides, count)
        return rows

    def lefts(self, node: Node) -> tuple[slice, npt.NDArray[np.bool_]]:
        """The places of the node's feature, and at which of them its answer leads left."""
        bounds, begin = self._bounds[node.feature], self._begin_of[node.feature]
        lefts = np.ones(len(bounds) + 2, np.bool_)  # a value below all bounds goes left, and so does no category
        lefts[0] = node.default_left
        lefts[2:] = bounds < np.float32(node.value) if node.right_for is None else ~np.isin(bounds, [*node.right_for])
        return slice(begin, begin + lefts.size), lefts


def _bounds(nodes: Sequence[Node]) -> Bounds:
    """What values are compared with, ascending; of categories all up to the first that no node knows."""
    sets = [node.right_for for node in nodes if node.right_for is not None]
    if not sets:
        return np.unique(np.array([node.value for node in nodes], np.float32))
    if len(sets) < len(nodes):
        raise ValueError("a feature that is a number and a category")
    return np.arange(max(code for codes in sets for code in (*codes, 0)) + 2, dtype=np.float32)


def _last_below(bound: np.float32) -> float:
    """The largest double that single precision rounds below the bound: values are rounded before they are compared."""
    below = float(np.nextafter(bound, np.float32(-inf)))
    middle = (below + float(bound)) / 2.0
    if not isfinite(middle):
        raise ValueError(f"a question that everything answers alike: below {bound}?")
    return nextafter(middle, -inf) if np.float32(middle) >= bound else middle
