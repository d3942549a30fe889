"""What rules may look at: each value by its name, with its type and the values it can have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from fradect.events import COUNTRIES
from fradect.features.contract import MOST_DISTINCT, Aggregate, Contract, Feature
from fradect.modules.declaration import FieldType, Module
from fradect.money import EXPONENTS


class Sort(StrEnum):
    """Types of values; a condition compares equal ones only."""

    NUMBER = "a number"
    TEXT = "text"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that something can have. `choices`: all there are of a text; none given: any."""

    sort: Sort
    low: Decimal | None = None
    high: Decimal | None = None
    whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What it can be, after "it is"."""
        if self.choices:
            shown = ", ".join(repr(choice) for choice in self.choices[:6])
            return f"one of {shown}" + (" and others" if len(self.choices) > 6 else "")
        kind = "a whole number" if self.whole else str(self.sort)
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low} to {self.high}"
        return kind if self.low is None else f"{kind}, {self.low} or more"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`barred`: names that exist, and why rules may not use them."""

    known: Mapping[str, Domain]
    barred: Mapping[str, str] = field(default_factory=dict)


def vocabulary(module: Module, *contracts: Contract) -> Vocabulary:
    """The contracts' numbers, the module's fields under `event.`, what lists say under `signal.`."""
    return Vocabulary(dict(_known(module, contracts)), dict(_barred(module)))


def _known(module: Module, contracts: tuple[Contract, ...]) -> Iterator[tuple[str, Domain]]:
    barred = dict(_barred(module))
    choices = {feature.name: feature.categories for contract in module.contracts for feature in contract}
    yield "event.hour", _UNITS["hours"]
    for name, kind in module.columns.items():
        if f"event.{name}" not in barred:
            yield f"event.{name}", _of_field(kind, choices.get(name, ()))
    for name in module.signals:
        yield f"signal.{name}", Domain(Sort.FLAG)
    for contract in contracts:
        yield from ((feature.name, _of_feature(feature)) for feature in contract if not feature.categories)


def _barred(module: Module) -> Iterator[tuple[str, str]]:
    for name, kind in module.columns.items():
        if kind is FieldType.MONEY:
            yield f"event.{name}", "is in minor units of any currency; use the feature amount"
        elif kind is FieldType.PLACE:
            yield f"event.{name}", "is a number of a place; use features of distance"
        elif name.endswith("_cipher"):
            yield f"event.{name}", "is another text each time; use the token"
        elif name in module.protected:
            yield f"event.{name}", "is protected, no decision may hang on it; remove the condition"


def _of_field(kind: FieldType, choices: tuple[str, ...]) -> Domain:
    match kind:
        case FieldType.NUMBER:
            return Domain(Sort.NUMBER)
        case FieldType.TIME:
            return Domain(Sort.NUMBER, whole=True)
        case FieldType.COUNTRY:
            return Domain(Sort.TEXT, choices=tuple(sorted(COUNTRIES)))
        case FieldType.CURRENCY:
            return Domain(Sort.TEXT, choices=tuple(sorted(EXPONENTS)))
    return Domain(Sort.TEXT, choices=choices)


def _of_feature(feature: Feature) -> Domain:
    window = feature.window
    if window is not None and window.aggregate is Aggregate.COUNT and window.include_self and window.outcome is None:
        return Domain(Sort.NUMBER, Decimal(1), None, whole=True)
    if window is not None and window.aggregate is Aggregate.DISTINCT and window.resolution:
        return Domain(Sort.NUMBER, Decimal(0), Decimal(MOST_DISTINCT), whole=True)
    return _UNITS.get(feature.unit, Domain(Sort.NUMBER))


def _numbers(low: int, high: int | None = None, *, whole: bool = False) -> Domain:
    return Domain(Sort.NUMBER, Decimal(low), None if high is None else Decimal(high), whole)


_UNITS: Mapping[str, Domain] = {
    "events": _numbers(0, whole=True),
    "count": _numbers(0, whole=True),
    "hours": _numbers(0, 23, whole=True),
    "0/1": _numbers(0, 1, whole=True),
    "share": _numbers(0, 1),
    "score": _numbers(0, 100),
    **{unit: _numbers(0) for unit in ("minor units", "ratio", "seconds", "km", "km/h")},
}
