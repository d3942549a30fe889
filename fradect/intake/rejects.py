"""Rows that are kept out, as a person may see them: where, why, and the shape of the value."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from fradect.events import mask
from fradect.faults import Reason
from fradect.intake.columns import REASONS
from fradect.intake.sheet import Sheet
from fradect.mapping import Mapping
from fradect.modules.declaration import FieldType
from fradect.money import Ints

_NAMED = (Reason.CURRENCY, Reason.COUNTRY, Reason.NO_RATE)
_HARMLESS = re.compile(r"[A-Za-z]{1,3}")


class Reject(NamedTuple):
    """A row that is kept out: the first thing that is wrong with it. `value` is masked."""

    row: int
    event_id: str | None
    field: str
    reason: Reason
    detail: str = ""
    value: str = ""


def rejects(sheet: Sheet, mapping: Mapping, records: pa.RecordBatch, numbers: Ints, rejected: Ints) -> Iterator[Reject]:
    """The rejected rows of a batch; `numbers` are the rows' numbers in the source."""
    sources = {"event_id": mapping.event_id, "event_time": mapping.event_time, **mapping.fields}
    columns = {name: source.column for name, source in sources.items()}
    columns |= {} if mapping.observed_at is None else {"observed_at": mapping.observed_at.column}
    columns |= {f"{label.kind}_value": label.column for label in mapping.outcomes}
    columns |= {"amount_base": columns["currency"]} if "currency" in columns else {}
    personal = [s.column for n, s in mapping.fields.items() if _is_personal(mapping, n)]
    for row in rejected.tolist():
        name, reason = sheet.names[sheet.where[row]], REASONS[sheet.codes[row] - 1]
        raw = _readable(records[columns[name]][row]) if name in columns else ""
        shown = raw if reason in _NAMED and _HARMLESS.fullmatch(raw) else mask(raw)
        event_id = sheet.columns["event_id"][row].as_py()
        secrets = [_readable(records[column][row]) for column in personal]
        yield Reject(int(numbers[row]), _unless_secret(event_id, secrets), name, reason, value=shown)


def _is_personal(mapping: Mapping, name: str) -> bool:
    field = mapping.module.field(name)
    return field is not None and field.type is FieldType.PERSONAL


def _readable(scalar: pa.Scalar) -> str:
    value = scalar.as_py()
    return value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _unless_secret(event_id: str | None, secrets: list[str]) -> str | None:
    """No id where columns slipped and the id is what another column hides."""
    if event_id is None or "@" in event_id:
        return None
    slipped = any(len(secret) > 3 and (secret in event_id or event_id in secret) for secret in secrets)
    return None if slipped else event_id
