"""JSON objects as rows: one a message, or one a line. Their values become the text that a CSV file would have held."""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from fradect.cards import holds_card_number
from fradect.faults import Fault, Reason
from fradect.intake.batch import Batch
from fradect.intake.rejects import Reject
from fradect.mapping import Mapping as Rules

_LONGEST_NAME = 64


class JsonRows(NamedTuple):
    """Row i + 1 is object i; those that are no rows at all are in `rejects` instead."""

    batch: Batch
    rejects: list[Reject]


def json_rows(objects: Sequence[bytes | None], mapping: Rules) -> JsonRows:
    """Objects as the columns that the mapping reads, as bytes: numbers exactly as they are written, absent is null."""
    rows: list[int] = []
    wanted, ignored = mapping.columns, mapping.ignore
    cells: dict[str, list[bytes | None]] = {name: [] for name in sorted(wanted)}
    rejects: list[Reject] = []
    for row, raw in enumerate(objects, 1):
        try:
            texts = _texts(read_object(raw, mapping.dialect.decimal), wanted, ignored)
        except Fault as fault:
            rejects.append(Reject(row, None, fault.field or "", fault.reason, fault.remedy))
            continue
        rows.append(row)
        for name, column in cells.items():
            column.append(texts.get(name))
    arrays = [pa.array(column, pa.binary()) for column in cells.values()]
    return JsonRows(Batch(pa.RecordBatch.from_arrays(arrays, names=list(cells)), np.array(rows, np.int64)), rejects)


def read_object(raw: bytes | None, decimal: str = ".") -> dict[str, Any]:
    """One JSON object, numbers as text. A Fault for anything else, also for a key written twice."""
    if raw is None:
        raise Fault(Reason.MISSING, "send a JSON object, not an empty message")
    try:
        found = _decoder(decimal).decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise Fault(Reason.ENCODING, "send UTF-8") from None
    except (ValueError, RecursionError):
        raise Fault(Reason.NOT_JSON, "send one object, no key twice, numbers finite") from None
    if not isinstance(found, dict):
        raise Fault(Reason.NOT_JSON, "send one object a message, one a line in files")
    return found


def as_text(value: Any, name: str) -> bytes | None:
    """A JSON value as the bytes of a CSV cell; a Fault for what is no single value."""
    match value:
        case None:
            return None
        case bool():
            return b"true" if value else b"false"
        case str():
            return value.encode("utf-8", "surrogatepass")
        case _:
            raise Fault(Reason.NOT_JSON, "flatten nested values", name)


def shown_name(name: str) -> str:
    """A key that nobody expected, or a question mark where it could itself be a secret."""
    harmless = name.isascii() and name.isidentifier() and len(name) <= _LONGEST_NAME
    return name if harmless and not holds_card_number(name) else "?"


def _texts(found: Mapping[str, Any], wanted: frozenset[str], ignored: frozenset[str]) -> dict[str, bytes | None]:
    stray = sorted(found.keys() - wanted - ignored)
    if stray:
        raise Fault(Reason.UNMAPPED, "map it, or list it under ignore", shown_name(stray[0]))
    texts = {name: as_text(value, name) for name, value in found.items() if name in wanted}
    if not any(texts.values()):
        raise Fault(Reason.MISSING, "send at least what the contract requires", "event_id")
    return texts


def _decoder(decimal: str) -> json.JSONDecoder:
    return _DECODERS[decimal]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is written twice")
    return found


def _refused(constant: str) -> str:
    raise ValueError(constant)


def _made(written: Callable[[str], str]) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=written, parse_int=written, parse_constant=_refused, object_pairs_hook=_once, strict=True
    )


def _plain(number: str, decimal: str) -> str:
    """As a person would write it: amounts with an exponent are exact decimals all the same."""
    if "e" in number or "E" in number:
        value = Decimal(number)
        number = format(value, "f") if abs(value.adjusted()) < _LONGEST_NAME else number
    return number.replace(".", decimal)


_DECODERS = {decimal: _made(partial(_plain, decimal=decimal)) for decimal in (".", ",")}
