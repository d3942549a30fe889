"""Values in words that an analyst understands: with their unit, money in major units."""

import re
from collections.abc import Callable, Mapping
from math import isnan

from fradect.features.contract import Contract, Feature
from fradect.money import exponent_of
from fradect.types import Value

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


class Words:
    """How a contract's values are said, in a tenant's base currency."""

    def __init__(self, contract: Contract, currency: str) -> None:
        self._features = {feature.name: feature for feature in contract}
        self._currency = currency
        self._exponent = exponent_of(currency)
        self._scale: float = 10.0**self._exponent

    def major(self, minor: float) -> float:
        """Minor units of the base currency as rules and people read them."""
        return minor / self._scale

    def value(self, feature: Feature, value: float) -> str:
        """One value of a feature with its unit; "unknown" for NaN."""
        if isnan(value):
            return "unknown"
        if feature.categories:
            return feature.categories[int(value)]
        if feature.unit == "minor units":
            return f"{self.major(value):,.{self._exponent}f} {self._currency}"
        say = _BY_UNIT.get(feature.unit)
        return f"{value:,.1f} {feature.unit}" if say is None else say(value)

    def fill(self, template: str, values: Mapping[str, Value]) -> str:
        """A rule's text with the values it names; features by unit, event fields as they are."""
        return _PLACEHOLDER.sub(lambda match: self._say(match[1], values.get(match[1])), template)

    def reason(self, name: str, value: float) -> str:
        """A feature's meaning and value, as a factor says it."""
        feature = self._features[name]
        return f"{feature.meaning}: {self.value(feature, value)}"

    def _say(self, name: str, value: Value) -> str:
        feature = self._features.get(name)
        if feature is not None and isinstance(value, float):
            return self.value(feature, value)
        return "unknown" if value is None else str(value)[:64]


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"


_BY_UNIT: Mapping[str, Callable[[float], str]] = {
    "events": lambda value: f"{value:,.0f}",
    "count": lambda value: f"{value:,.0f}",
    "0/1": lambda value: "yes" if value else "no",
    "share": lambda value: f"{100 * value:.1f} %",
    "seconds": _duration,
    "km": lambda value: f"{value:,.0f} km",
    "km/h": lambda value: f"{value:,.0f} km/h",
    "score": lambda value: f"{value:.0f} of 100",
}
