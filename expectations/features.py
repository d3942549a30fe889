"""Expectations over features: what a contract declares about each value, said as rules.

A null is a value that was unknown (or a window that held nothing); only features that cannot be unknown when the
contract's required fields are there must be present. What is there is finite, in its range, and longer windows
see at least what shorter ones see.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from expectations.rules import LARGEST, Rule, Suite, at_least, between, exists, known, not_empty, one_of, unique
from fradect.features.contract import Aggregate, Contract, Feature, Kind, Window
from fradect.modules.declaration import Module

FEW_MISSING = 0.01
MOST_MISSING = 0.5
NEARLY_ALL = 0.999

GROWING = (Aggregate.COUNT, Aggregate.DISTINCT, Aggregate.SUM, Aggregate.MAX)
"""Aggregates that can only grow with the window, since no amount is below 0."""


def suite(module: Module, contract: Contract) -> Suite:
    """Rules for a table of `event_id` and one float64 column per feature of the contract."""
    rules = [not_empty("event_id"), exists("event_id"), known("event_id"), unique("event_id")]
    rules += [exists(name) for name in contract.names]
    rules += [_range(feature) for feature in contract]
    rules += [rule for feature in contract for rule in _presence(feature, contract, module)]
    rules += _nested(contract)
    return Suite("features", "event_id", tuple(rules))


_HIGHEST = {"share": 1.0, "score": 100.0}


def _range(feature: Feature) -> Rule:
    name, window = feature.name, feature.window
    if feature.categories:
        codes = ", ".join(f"{code} {category}" for code, category in enumerate(feature.categories))
        return one_of(name, map(float, range(len(feature.categories))), f"is not a code of {codes}")
    if feature.unit == "0/1":
        return one_of(name, (0.0, 1.0), "is neither 0 nor 1")
    if feature.unit in _HIGHEST:
        return between(
            name, 0.0, _HIGHEST[feature.unit], f"is a {feature.unit} outside 0 to {_HIGHEST[feature.unit]:g}"
        )
    if window is not None and _counts_itself(window):
        return between(name, 1.0, LARGEST, f"is below 1, although the event counts itself, or beyond {LARGEST:g}")
    if feature.unit == "days":
        backwards = between(name, 0.0, LARGEST, "is below 0: it began after the event")
        return backwards.warn(FEW_MISSING)
    return between(name, 0.0, LARGEST, f"is below 0, infinite or beyond {LARGEST:g}")


def _counts_itself(window: Window) -> bool:
    return window.aggregate is Aggregate.COUNT and window.include_self and window.outcome is None


def _presence(feature: Feature, contract: Contract, module: Module) -> list[Rule]:
    """How often a value may miss: hardly ever where nothing explains it, and not always anywhere."""
    if _must_be_known(feature, contract, module):
        return [known(feature.name, MOST_MISSING), known(feature.name).warn(FEW_MISSING)]
    return [replace(known(feature.name).warn(NEARLY_ALL), fault="is missing nearly everywhere: is it mapped?")]


def _must_be_known(feature: Feature, contract: Contract, module: Module) -> bool:
    window = feature.window
    if window is not None:
        given = module.entities[window.entity] in contract.requires
        return given and (window.include_self or feature.empty is not None) and _never_empty(feature, window)
    return feature.kind is Kind.REQUEST and feature.name in contract.requires


def _never_empty(feature: Feature, window: Window) -> bool:
    if window.aggregate in (Aggregate.COUNT, Aggregate.DISTINCT, Aggregate.SUM):
        return True
    if window.aggregate in (Aggregate.SINCE_LAST, Aggregate.KM_SINCE_LAST):
        return False
    return feature.empty is not None or window.outcome is None


def _nested(contract: Contract) -> Iterator[Rule]:
    """Each pair of neighbours among windows that differ in length alone."""
    families: dict[Window, list[tuple[int, str]]] = {}
    for feature, window in contract.windows:
        if window.aggregate in GROWING:
            families.setdefault(replace(window, length=0), []).append((window.length, feature.name))
    for family in families.values():
        for (_, shorter), (_, longer) in pairwise(sorted(family)):
            yield at_least(longer, shorter, "disagree: the longer window sees less than the shorter one")
