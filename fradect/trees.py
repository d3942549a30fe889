"""The trees of an XGBoost model, read from its JSON: what a node asks, where it leads, how many rows came there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Node:
    """`left` and `right` are node numbers, -1 at a leaf, whose `value` is its weight; elsewhere `value` is what the
    feature must be below to go left. `right_for`: categories that go right, None where it is no category. `cover`: the
    weight of training rows that came here."""

    feature: int
    value: float
    left: int
    right: int
    default_left: bool
    cover: float
    right_for: frozenset[int] | None

    @property
    def is_leaf(self) -> bool:
        return self.left < 0


Tree = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """On the way down: the node asked, and whether the way goes left."""

    node: int
    left: bool


def read_trees(model: bytes) -> tuple[tuple[Tree, ...], float]:
    """Every tree, its root first, and the log-odds that all of them are added to. ValueError for another kind of
    model than one of plain trees for a single log-odds."""
    learner: Mapping[str, Any] = msgspec.json.decode(model)["learner"]
    booster = learner["gradient_booster"]
    if booster["name"] != "gbtree" or learner["objective"]["name"] != "binary:logistic":
        raise ValueError(f"{booster['name']} for {learner['objective']['name']}")
    trees = booster["model"]["trees"]
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in trees):
        raise ValueError("leaves of several values")
    base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
    return tuple(tuple(_nodes(tree)) for tree in trees), log(base / (1.0 - base))


def leaves(tree: Tree, root: int, before: tuple[Step, ...]) -> Iterator[tuple[int, tuple[Step, ...]]]:
    """Leaves below a node, each with the way to it that begins with `before`."""
    node = tree[root]
    if node.is_leaf:
        yield root, before
        return
    yield from leaves(tree, node.left, (*before, Step(root, left=True)))
    yield from leaves(tree, node.right, (*before, Step(root, left=False)))


def share(tree: Tree, step: Step) -> float:
    """The share of training rows at a node that went this way."""
    node = tree[step.node]
    return tree[node.left if step.left else node.right].cover / node.cover


def _nodes(tree: Mapping[str, Sequence[Any]]) -> Iterator[Node]:
    sets = _categories(tree)
    columns = ("split_indices", "split_conditions", "left_children", "right_children", "default_left", "sum_hessian")
    for i, (feature, value, left, right, default, cover) in enumerate(zip(*(tree[c] for c in columns), strict=True)):
        right_for = sets.get(i, frozenset()) if tree["split_type"][i] and left >= 0 else None
        yield Node(feature, value, left, right, bool(default), cover, right_for)


def _categories(tree: Mapping[str, Sequence[Any]]) -> dict[int, frozenset[int]]:
    parts = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: frozenset(tree["categories"][begin : begin + size]) for node, begin, size in parts}
