"""Files of outcomes, row by row: what a decision turned out to be, or a chargeback and why it was raised."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from fradect.errors import InvalidInput
from fradect.events import Clock, check_time, clean_text, to_micros
from fradect.faults import Fault, Reason
from fradect.outcomes import Outcome
from fradect.types import DAY

FRAUD_CODES = re.compile(r"10\.\d+|4837|4863")
"""Visa's fraud conditions; of Mastercard no cardholder authorisation, and a cardholder who does not recognise it."""

_NOTE = "chargeback "
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Format(StrEnum):
    """What a file's rows are."""

    OUTCOMES = "outcomes"
    CHARGEBACK = "chargeback"


FIELDS: Mapping[Format, tuple[str, ...]] = {
    Format.OUTCOMES: ("decision_id", "transaction_id", "outcome", "known_at", "note"),
    Format.CHARGEBACK: ("decision_id", "transaction_id", "reason_code", "chargeback_date"),
}


class OutcomeMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file writes them. `columns`: field to column, where they differ; `values`: its words for outcomes.

    `time_zone`: of times that have none.
    """

    columns: dict[str, str] = {}
    values: dict[str, Outcome] = {}
    time_zone: str = "UTC"
    delimiter: str = ","
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a row says, of a decision or of a transaction. `known_at` in microseconds; None: since now."""

    decision_id: str | None
    transaction_id: str | None
    outcome: Outcome
    known_at: int | None
    note: str | None


def read_mapping(raw: bytes, kind: Format) -> OutcomeMapping:
    """From YAML; InvalidInput names what it does not understand."""
    try:
        mapping = msgspec.convert(yaml.safe_load(raw) or {}, OutcomeMapping)
        ZoneInfo(mapping.time_zone)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise InvalidInput(f"mapping: {' '.join(str(error).split())}", "mapping") from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(f"mapping: time_zone {mapping.time_zone!r} is not known", "mapping") from error
    strange = sorted(set(mapping.columns) - set(FIELDS[kind]))
    if strange:
        raise InvalidInput(f"mapping: columns.{strange[0]}: choose from {', '.join(FIELDS[kind])}", "mapping")
    return mapping


class RowReader:
    """Reads rows of one file."""

    def __init__(self, kind: Format, mapping: OutcomeMapping, now: int) -> None:
        self._kind = kind
        self._mapping = mapping
        self._clock = Clock(ZoneInfo(mapping.time_zone))
        self._now = now
        self.columns = {field: mapping.columns.get(field, field) for field in FIELDS[kind]}

    def read(self, row: Mapping[str, Any]) -> Heard | None:
        """None for a chargeback that speaks of no fraud; a Fault names the column."""
        texts = {field: _text(field, row.get(column), column) for field, column in self.columns.items()}
        about = texts["decision_id"] or None, texts["transaction_id"] or None
        if about == (None, None):
            raise Fault(Reason.MISSING, "say which decision or transaction", self.columns["transaction_id"])
        if self._kind is Format.CHARGEBACK:
            code = texts["reason_code"]
            known_at = self._raised(code, texts["chargeback_date"])
            return Heard(*about, Outcome.CONFIRMED_FRAUD, known_at, _NOTE + code) if _is_fraud(code) else None
        known_at = self._known_at("known_at", texts["known_at"])
        return Heard(*about, self._outcome(texts["outcome"]), known_at, texts["note"] or None)

    def _raised(self, code: str, day: str) -> int | None:
        for field, text in (("reason_code", code), ("chargeback_date", day)):
            if not text:
                raise Fault(Reason.MISSING, "say why it was raised, and when", self.columns[field])
        return self._known_at("chargeback_date", day)

    def _outcome(self, word: str) -> Outcome:
        column = self.columns["outcome"]
        if not word:
            raise Fault(Reason.MISSING, "say what it turned out to be", column)
        if word in self._mapping.values:
            return self._mapping.values[word]
        if word not in list(Outcome):
            raise Fault(Reason.KIND, f"choose from {', '.join(Outcome)}, or map its word under values", column)
        return Outcome(word)

    def _known_at(self, field: str, text: str) -> int | None:
        """A day counts from its end on, today from now on: nothing is known before it was."""
        if not text:
            return None
        try:
            known_at = check_time(to_micros(text, self._clock), self._now)
        except Fault as fault:
            raise fault.at(self.columns[field]) from None
        if not _DAY.fullmatch(text):
            return known_at
        return known_at + DAY if known_at + DAY <= self._now else None


def _is_fraud(code: str) -> bool:
    return FRAUD_CODES.fullmatch(code) is not None


def _text(field: str, value: Any, column: str) -> str:
    """A cell as text without outer spaces, cleaned as a request's texts are; empty where there is nothing."""
    try:
        text = value.decode() if isinstance(value, bytes) else _written(value)
        return clean_text(text, may_be_number=field != "note")
    except UnicodeDecodeError:
        raise Fault(Reason.ENCODING, "send UTF-8", column) from None
    except Fault as fault:
        raise fault.at(column) from None


def _written(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124  NaN
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
