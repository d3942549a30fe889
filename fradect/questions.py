"""Every question of every tree of a model, answered for one row at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fradect.trees import Tree

_FEW = 256  # categories, the most that is looked up


class Questions:
    """Answers lie in an order of their own: a missing value goes left in the first part, right in the second; the
    third holds categories. `place` says where a node's answer is, `never` where one is that is always no."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        """ValueError for a node that no training row came to: it has no shares."""
        nodes = [(t, n, node) for t, tree in enumerate(trees) for n, node in enumerate(tree) if not node.is_leaf]
        if any(node.cover <= 0.0 for tree in trees for node in tree):
            raise ValueError("a node without cover")
        plain = [each for each in nodes if each[2].right_for is None]
        ordered = [each for each in plain if each[2].default_left] + [
            each for each in plain if not each[2].default_left
        ]
        chosen = [each for each in nodes if each[2].right_for is not None]
        self._lefts = sum(each[2].default_left for each in plain)
        self._features = np.array([node.feature for *_, node in ordered], np.intp)
        self._below = np.array([node.value for *_, node in ordered], np.float32)
        self._places = {(t, n): i for i, (t, n, _) in enumerate(ordered + chosen)}
        self.never = len(nodes)
        self._category_features = np.array([node.feature for *_, node in chosen], np.intp)
        self._lefts_of = np.ones((len(chosen), _FEW + 2), np.uint8)  # a category that is none goes left
        for row, (*_, node) in zip(self._lefts_of, chosen, strict=True):
            row[sorted(node.right_for or ())] = 0
            row[_FEW + 1] = node.default_left
        self._rows = np.arange(len(chosen))

    def place(self, tree: int, node: int) -> int:
        return self._places[tree, node]

    def answers(self, row: Sequence[float]) -> npt.NDArray[np.uint8]:
        """1 where the row goes left."""
        with np.errstate(over="ignore"):
            values = np.array(row, np.float64).astype(np.float32)
        answers = np.zeros(self.never + 1, np.uint8)
        asked, split, plain = values.take(self._features), self._lefts, self._below.size
        np.less(asked[split:], self._below[split:], out=answers[split:plain].view(np.bool_))
        np.logical_not(asked[:split] >= self._below[:split], out=answers[:split].view(np.bool_))
        if self._rows.size:
            codes = np.array([_code(row[feature]) for feature in self._category_features.tolist()])
            answers[plain:-1] = self._lefts_of[self._rows, codes]
        return answers


def _code(value: float) -> int:
    """The category, or where missing values and those that are no category are looked up."""
    if value != value:  # noqa: PLR0124  NaN, at no cost of a call
        return _FEW + 1
    return int(value) if 0.0 <= value < _FEW else _FEW
