"""Outcomes that are told on their own: which event, what became known, and when."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fradect.events import Clock, check_time, clean_label, clean_text, to_micros
from fradect.faults import Fault, Reason
from fradect.intake.json_rows import as_text, shown_name
from fradect.mapping import Mapping as Rules
from fradect.types import OutcomeKind

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_UTC = Clock(ZoneInfo("UTC"))
_WORDS = {"confirmed_fraud": True, "false_positive": False}  # of the ledger: both speak of fraud
_KEYS = frozenset({"event_id", "kind", "outcome", "value", "known_at"})


class Told(NamedTuple):
    """What is said of an event; `known_at` in microseconds."""

    event_id: str
    kind: OutcomeKind
    value: bool
    known_at: int


def read_outcome(said: Mapping[str, Any], mapping: Rules, now: int) -> Told:
    """`event_id` (or the mapping's column for it), `known_at`, and `kind` with `value`, or `outcome` for both."""
    texts = {name: _text(said[name], name) for name in said if said[name] is not None}
    stray = sorted(texts.keys() - _KEYS - {mapping.event_id.column} - mapping.ignore)
    if stray:
        raise Fault(Reason.UNMAPPED, "leave it out, or list it under ignore", shown_name(stray[0]))
    kind, value = _what(texts)
    return Told(_event_id(texts, mapping), kind, value, _known_at(texts, now))


def _text(value: Any, name: str) -> str:
    cell = value if isinstance(value, bytes) else as_text(value, name)
    try:
        return (cell or b"").decode("utf-8").strip()
    except UnicodeDecodeError:
        raise Fault(Reason.ENCODING, "send UTF-8", name) from None


def _event_id(texts: Mapping[str, str], mapping: Rules) -> str:
    column = mapping.event_id.column
    text = texts.get("event_id") or texts.get(column) or ""
    text = {str(raw): value for raw, value in mapping.event_id.values.items()}.get(text, text)
    try:
        event_id = clean_text(text, may_be_number=column in mapping.numeric_ids)
    except Fault as fault:
        raise fault.at("event_id") from None
    if not event_id:
        raise Fault(Reason.MISSING, "say which event it is about", "event_id")
    return event_id


def _what(texts: Mapping[str, str]) -> tuple[OutcomeKind, bool]:
    word, kind = texts.get("outcome"), texts.get("kind")
    if word and not kind:
        if word not in _WORDS:
            raise Fault(Reason.KIND, f"choose from {', '.join(_WORDS)}", "outcome")
        return OutcomeKind.FRAUD, _WORDS[word]
    if word or kind not in list(OutcomeKind):
        raise Fault(Reason.KIND, f"give either outcome, or as kind one of {', '.join(OutcomeKind)}", "kind")
    if not texts.get("value"):
        raise Fault(Reason.MISSING, "say true or false", "value")
    try:
        return OutcomeKind(kind), clean_label(texts["value"])
    except Fault as fault:
        raise fault.at("value") from None


def _known_at(texts: Mapping[str, str], now: int) -> int:
    text = texts.get("known_at", "")
    if not text:
        raise Fault(Reason.MISSING, "say since when it is known", "known_at")
    if not _RFC_3339.fullmatch(text):
        raise Fault(Reason.TIME, "write it like 2026-01-31T12:00:00Z", "known_at")
    try:
        return check_time(to_micros(text.upper().replace(" ", "T"), _UTC), now)
    except Fault as fault:
        raise fault.at("known_at") from None
