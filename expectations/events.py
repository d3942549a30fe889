"""Expectations over canonical events: identity, order, money, and fields as their module declares them."""

from collections.abc import Callable, Mapping

import pandas as pd

from expectations.rules import (
    LARGEST,
    Derived,
    Rule,
    Suite,
    between,
    exists,
    is_type,
    known,
    looks_like,
    looks_unlike,
    moment,
    not_empty,
    one_of,
    rising,
    unique,
)
from fradect.events import COUNTRIES, MAX_TEXT, SKEW
from fradect.features.contract import Contract
from fradect.features.globe import PLACES
from fradect.modules.declaration import FieldType, Module
from fradect.money import EXPONENTS, MAX_MINOR

IDENTITY = ("seq", "event_id", "tenant_id", "module", "event_time", "observed_at")

FEW_MISSING = 0.01
MOST_MISSING = 0.5
LATE_ARRIVALS = 0.05

LONGEST = 8 * MAX_TEXT
"""Of text as it is stored: a cipher is longer than what it hides."""

# Ciphers and tokens hold no blanks and no @; a bare card or telephone number is not one either.
_CLEAR_TEXT = r"[@\s]|^\+?\d{7,19}$"


def suite(module: Module, contract: Contract) -> Suite:
    """Rules for the events of a module whose required fields are those of `contract`."""
    rules = [not_empty("event_id"), *(exists(column) for column in (*IDENTITY, *module.columns))]
    rules += _identity(module)
    rules += _times()
    rules += [rule for name, kind in module.columns.items() for rule in _field(name, kind)]
    rules += [rule for name in contract.requires for rule in _required(name, module)]
    rules += [rule for name in _sealed(module) for rule in _cipher(name)]
    ahead = Derived("ahead_of_observation", ("event_time", "observed_at"), _seconds_ahead)
    return Suite("events", "event_id", tuple(rules), (ahead,))


def _identity(module: Module) -> list[Rule]:
    names = ("event_id", "tenant_id", "module", "seq")
    return [
        *(known(name) for name in names),
        unique("event_id"),
        is_type("seq", "int64"),
        rising("seq", "is not above the one before: the log is out of order", strictly=True),
        one_of("module", [module.name], f"is not {module.name!r}"),
    ]


def _times() -> list[Rule]:
    late = rising("event_time", "is before the event in the row above, which arrived late").warn(LATE_ARRIVALS)
    ahead = between(
        "ahead_of_observation",
        None,
        SKEW / 1_000_000,
        f"is above {SKEW // 60_000_000} minutes: event_time lies after observed_at",
    )
    return [
        *(known(name) for name in ("event_time", "observed_at")),
        moment("event_time"),
        moment("observed_at"),
        ahead,
        late,
    ]


def _seconds_ahead(frame: pd.DataFrame) -> "pd.Series[float]":
    """What is no time becomes null here: that it is none, the rule about its column says."""
    happened, known_at = (pd.to_datetime(frame[n], utc=True, errors="coerce") for n in ("event_time", "observed_at"))
    return (happened - known_at).dt.total_seconds()


def _field(name: str, kind: FieldType) -> list[Rule]:
    return _BY_TYPE.get(kind, _text)(name)


def _money(name: str) -> list[Rule]:
    limits = f"is below 0 or above {MAX_MINOR} minor units"
    return [is_type(name, "int64", "float64"), between(name, 0, MAX_MINOR, limits)]


def _number(name: str) -> list[Rule]:
    limits = f"is infinite or beyond {LARGEST:g}"
    return [is_type(name, "float64", "int64"), between(name, -LARGEST, LARGEST, limits)]


def _currency(name: str) -> list[Rule]:
    return [one_of(name, EXPONENTS, "is not an ISO 4217 code")]


def _country(name: str) -> list[Rule]:
    return [one_of(name, COUNTRIES, "is not an ISO 3166 alpha-2 code")]


def _time(name: str) -> list[Rule]:
    return [moment(name).warn(FEW_MISSING)]


def _ip(name: str) -> list[Rule]:
    return [looks_like(name, r"^[0-9a-fA-F:.]{2,45}$", "is not an IP address").sample().hide()]


def _domain(name: str) -> list[Rule]:
    return [looks_like(name, r"^[a-z0-9_.-]{3,253}$", "is not a domain").sample().hide()]


def _place(name: str) -> list[Rule]:
    limits = f"is no place: they are numbered from 0 to {PLACES - 1}"
    return [is_type(name, "int64", "float64"), between(name, 0, PLACES - 1, limits)]


def _text(name: str) -> list[Rule]:
    return [looks_like(name, rf"(?s)^.{{1,{LONGEST}}}$", f"is empty or longer than {LONGEST} signs").sample().hide()]


def _sealed(module: Module) -> list[str]:
    personal = [field.name for field in module.fields if field.type is FieldType.PERSONAL]
    return [f"{name}_{form}" for name in personal for form in ("token", "cipher")]


def _cipher(name: str) -> list[Rule]:
    return [looks_unlike(name, _CLEAR_TEXT, "holds clear text: personal data was not sealed").sample().hide()]


def _required(name: str, module: Module) -> list[Rule]:
    """Money is always known; of other required fields a few may miss, and half missing means a wrong mapping."""
    if module.columns[name] in (FieldType.MONEY, FieldType.CURRENCY):
        return [known(name)]
    return [known(name, MOST_MISSING), known(name).warn(FEW_MISSING)]


_BY_TYPE: Mapping[FieldType, Callable[[str], list[Rule]]] = {
    FieldType.MONEY: _money,
    FieldType.NUMBER: _number,
    FieldType.CURRENCY: _currency,
    FieldType.COUNTRY: _country,
    FieldType.TIME: _time,
    FieldType.IP: _ip,
    FieldType.DOMAIN: _domain,
    FieldType.PLACE: _place,
}
