"""Expectations over outcomes: what was learnt about events, and when."""

from dataclasses import dataclass

import pandas as pd

from expectations.rules import (
    Derived,
    Rule,
    Suite,
    at_least,
    exists,
    is_type,
    known,
    mean_between,
    moment,
    not_empty,
    one_of,
    unique_together,
)
from fradect.types import OutcomeKind

COLUMNS = ("event_id", "seq", "kind", "value", "event_time", "known_at")


@dataclass(frozen=True, slots=True)
class FraudShare:
    """The shares of fraud among labelled events that can be believed.

    Outside `low` to `high` is a warning. Below `least` or above `most` nothing can be learnt, and the flow stops.
    """

    least: float = 0.000_001
    low: float = 0.000_2
    high: float = 0.2
    most: float = 0.5


def suite(share: FraudShare | None = None) -> Suite:
    """Rules for outcomes of every kind; `fraud` is a column of the checks, not of the table."""
    rules = [not_empty("event_id"), *(exists(name) for name in COLUMNS), *(known(name) for name in COLUMNS)]
    rules += [
        unique_together("event_id", "kind", "known_at"),
        one_of("kind", [kind.value for kind in OutcomeKind], "is not a kind of outcome"),
        is_type("value", "bool"),
        is_type("seq", "int64"),
        moment("event_time"),
        moment("known_at"),
        at_least("known_at", "event_time", "are in the wrong order: the label was known before the event"),
        *_believable(share or FraudShare()),
    ]
    return Suite("labels", "event_id", tuple(rules), (Derived("fraud", ("kind", "value"), _fraud),))


def _believable(share: FraudShare) -> list[Rule]:
    return [
        mean_between("fraud", share.least, share.most, f"share is not between {share.least:g} and {share.most:g}"),
        mean_between("fraud", share.low, share.high, f"share is not between {share.low:g} and {share.high:g}").warn(),
    ]


def _fraud(frame: pd.DataFrame) -> "pd.Series[float]":
    """1 or 0 where the outcome is about fraud, null elsewhere and where the value is neither."""
    value = pd.to_numeric(frame["value"], errors="coerce").astype("float64")
    return value.where(frame["kind"] == OutcomeKind.FRAUD.value)
