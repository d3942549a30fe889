"""Values in words that an analyst understands: with their unit, money in major units."""

import re
from collections.abc import Callable, Mapping
from math import isnan

from fradect.features.contract import Contract, Feature
from fradect.money import exponent_of
from fradect.phrases import UNKNOWN, VALUE, Phrase, phrase_of
from fradect.types import Value

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


NO_VALUE = "no value"
"""The reason why a feature is missing that has no other: it has no value over nothing."""


class Words:
    """How a contract's values are said, in a tenant's base currency; `typical`: what is usual for each feature."""

    def __init__(self, contract: Contract, currency: str, typical: Mapping[str, float] | None = None) -> None:
        self._features = {feature.name: feature for feature in contract}
        self._phrases = {feature.name: phrase_of(feature) for feature in contract}
        self._typical = typical or {}
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
            return feature.categories[int(value)] if 0 <= value < len(feature.categories) else "unknown"
        if feature.unit == "minor units":
            return f"{self.major(value):,.{self._exponent}f} {self._currency}"
        say = _BY_UNIT.get(feature.unit)
        return f"{value:,.1f} {feature.unit}" if say is None else say(value)

    def fill(self, template: str, values: Mapping[str, Value]) -> str:
        """A rule's text with the values it names; features by unit, event fields as they are."""
        return _PLACEHOLDER.sub(lambda match: self._say(match[1], values.get(match[1])), template)

    def reason(self, name: str, value: float, why: str = "") -> str:
        """A feature's value as a factor says it, with what is usual; of a missing one that it is, and `why`."""
        feature, phrase = self._features[name], self._phrases[name]
        if isnan(value):
            return phrase.missing if why in ("", NO_VALUE) else f"{phrase.about}{UNKNOWN}, {why}"
        said = self._said(feature, value)
        return _pattern(phrase, value).replace(VALUE, said) + self._usually(feature, phrase, said)

    def _usually(self, feature: Feature, phrase: Phrase, said: str) -> str:
        usual = self._typical.get(feature.name)
        if usual is None or not phrase.compared:
            return ""
        usually = self._said(feature, usual)
        return ", as usual" if usually == said else f", usually {usually}"

    def _said(self, feature: Feature, value: float) -> str:
        """A value where its phrase says what it counts, is a multiple or a share of."""
        say = _IN_PHRASES.get(feature.name) or _IN_PHRASES.get(feature.unit)
        return self.value(feature, value) if say is None or feature.categories else say(value)

    def _say(self, name: str, value: Value) -> str:
        feature = self._features.get(name)
        if feature is not None and isinstance(value, float):
            return self.value(feature, value)
        return "unknown" if value is None else str(value)[:64]


def _pattern(phrase: Phrase, value: float) -> str:
    if value == 1.0 and phrase.one:
        return phrase.one
    return phrase.none if value == 0.0 and phrase.none else phrase.text


def _duration(seconds: float) -> str:
    if seconds < 0:
        return f"-{_duration(-seconds)}"
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
    "days": lambda value: _duration(value * _DAY),
    "hours": lambda value: f"{value:.0f} h",
    "ratio": lambda value: f"{value:,.1f} times",
    "km": lambda value: f"{value:,.0f} km",
    "km/h": lambda value: f"{value:,.0f} km/h",
    "score": lambda value: f"{value:.0f} of 100",
}

_IN_PHRASES: Mapping[str, Callable[[float], str]] = {
    "hours": lambda value: f"{value:.0f}:00",
    "ratio": lambda value: f"{value:,.1f}",
    "velocity_jump": lambda value: f"{100 * value:.0f} %",
}
"""By unit, or by name where a unit says too little."""
