"""The rows of a batch, one after the other from any place: lines of JSON, or CSV whose columns are paths of a request.

A row that cannot be read is a row all the same, with what is wrong with it: it never stops the others.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, BinaryIO

from fradect.errors import FradectError, InvalidInput
from fradect.events import clean_text
from fradect.faults import Fault, Reason
from fradect.jobs import MOST_ROW_BYTES
from serving.misfits import leaves, shown
from serving.schemas import LONGEST_ID, Context, Number, Transaction
from serving.strict_json import despite_numbers, read

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,20})?")
_BOM = "\ufeff"
_SHAPE = "send an object with `transaction`, or with `type` and `data`"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the body of a request, or why it is none, with what could be read of it all the same. `end`: where the
    next one begins."""

    number: int
    end: int
    body: Mapping[str, Any]
    problem: FradectError | None = None


_ALL = (*leaves(Transaction, "transaction."), *leaves(Context, "context."))
COLUMNS = tuple(path for path, _ in _ALL)
"""What columns of CSV and Parquet may be called."""
REQUIRED = tuple(path for path, field in _ALL if field.required)
NUMBERS = frozenset(path for path, field in _ALL if field.type == Number)


def check_columns(names: Sequence[str]) -> None:
    """InvalidInput unless each is a path of the request, there once, and those that every request needs are there."""
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        meant = _meant(unknown[0]) or "name columns so: transaction.amount, or leave it out"
        raise InvalidInput(f"column {unknown[0][:64]!r} is no path of a request; {meant}", "columns")
    twice = [name for name in COLUMNS if names.count(name) > 1]
    if twice:
        raise InvalidInput(f"column {twice[0]!r} stands there twice; leave one out", "columns")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InvalidInput(f"column {missing[0]!r} is missing, which every row needs; add it", "columns")


def _meant(name: str) -> str | None:
    """The path that a column was surely meant to be: the only one that ends so, or one that is spelt nearly so."""
    ends = [path for path in COLUMNS if path.endswith(f".{name}")]
    near = ends if len(ends) == 1 else get_close_matches(name, COLUMNS, 1, 0.85)
    return f"did you mean {near[0]}?" if near else None


def id_in(body: Any) -> str | None:
    """The transaction's id, where it can be read and is one."""
    for name in ("transaction", "data"):
        inner = body.get(name) if isinstance(body, dict) else None
        text = inner.get("transaction_id") if isinstance(inner, dict) else None
        if isinstance(text, str) and len(text) <= LONGEST_ID:
            try:
                return clean_text(text, is_id=True) or None
            except Fault:
                return None
    return None


def body_of(item: Mapping[str, Any], *, include_factors: bool) -> Mapping[str, Any]:
    """An item as the body of a score request. It is one, or `{"type": "transaction", "data": {...}}`."""
    body = dict(item)
    if "data" in body or "type" in body:
        if body.pop("type", None) != "transaction" or "transaction" in body:
            raise InvalidInput('type: send "transaction", with the transaction as `data`', "type")
        body["transaction"] = body.pop("data", {})
    return {"options": {"include_factors": include_factors}, **body}


def nested(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as they stand in a body; None is left out."""
    body: dict[str, Any] = {}
    for path, value in cells.items():
        if value is not None:
            *folders, name = path.split(".")
            inner = body
            for folder in folders:
                inner = inner.setdefault(folder, {})
            inner[name] = value
    return body


def ndjson(file: BinaryIO, position: int, taken: int) -> Iterator[Row]:
    """Rows from `position` on, the first of which has the number after `taken`. Blank lines are no rows."""
    lines = _Lines(file, position)
    for line in lines:
        if line is not None and not line.strip():
            continue
        taken += 1
        try:
            yield Row(taken, lines.position, _object(line))
        except FradectError as error:
            yield Row(taken, lines.position, _despite(error, line), error)


def _despite(error: FradectError, line: bytes | None) -> Mapping[str, Any]:
    """The id in a line where numbers alone are wrong."""
    if line is None or not isinstance(error, InvalidInput) or isinstance(error, Fault):
        return {}
    event_id = id_in(despite_numbers(line))
    return {} if event_id is None else {"transaction": {"transaction_id": event_id}}


def _object(line: bytes | None) -> Mapping[str, Any]:
    if line is None:
        raise _too_long()
    item = read(line)
    if not isinstance(item, dict):
        raise Fault(Reason.NOT_JSON, _SHAPE)
    return item


def csv_rows(file: BinaryIO, position: int, taken: int) -> Iterator[Row]:
    """The same of CSV: UTF-8, commas, a first line that names the columns. An empty cell is left out."""
    names, start = csv_header(file)
    lines = _Lines(file, max(position, start))
    while True:
        try:
            for cells in csv.reader(_texts(lines)):
                if cells:
                    taken += 1
                    yield _csv_row(taken, lines.position, names, cells)
        except (csv.Error, _TooLong):  # it reads no further; the next line may be a row again
            taken += 1
            yield Row(taken, lines.position, {}, _too_long())
        else:
            return


def csv_header(file: BinaryIO) -> tuple[list[str], int]:
    """The columns, and where the first row begins. InvalidInput when they are none of a request's."""
    lines = _Lines(file, 0)
    first = next(lines, b"")
    try:
        text = (first or b"").decode().removeprefix(_BOM)
        names = next(csv.reader([text]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("the first line is no UTF-8 text that names the columns", "columns") from error
    check_columns(names)
    return names, lines.position


def _csv_row(number: int, end: int, names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(names):
        return Row(number, end, {}, Fault(Reason.MISFIT, f"the first line names {len(names)}"))
    given = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=True) if cell}
    wrong = next((name for name in NUMBERS if isinstance(given.get(name), str)), None)
    return Row(number, end, nested(given), None if wrong is None else _no_number(wrong, str(given[wrong])))


def _no_number(column: str, text: str) -> InvalidInput:
    said = shown(text) or "its text"
    return InvalidInput(f"column {column}: {said} is no number; write it like 1999.90", column)


def _cell(name: str, text: str) -> str | int | Decimal:
    if name not in NUMBERS or not _NUMBER.fullmatch(text):
        return text
    return Decimal(text) if "." in text or text.startswith("-") else int(text)


class _TooLong(Exception):
    pass


def _too_long() -> Fault:
    return Fault(Reason.TOO_LONG, f"a row has at most {MOST_ROW_BYTES} bytes, and a quotation mark an end")


class _Lines:
    """Lines of a file from a place on, None for one that is too long; `position` is where the next one begins."""

    def __init__(self, file: BinaryIO, position: int) -> None:
        self._file = file
        self.position = file.seek(position)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> bytes | None:
        line = self._file.readline(MOST_ROW_BYTES)
        if not line:
            raise StopIteration
        self.position += len(line)
        if len(line) < MOST_ROW_BYTES or line.endswith(b"\n"):
            return line
        while rest := self._file.readline(MOST_ROW_BYTES):
            self.position += len(rest)
            if rest.endswith(b"\n"):
                break
        return None


def _texts(lines: _Lines) -> Iterator[str]:
    for line in lines:
        if line is None:
            raise _TooLong
        yield line.decode("utf-8", "surrogateescape")  # a text that is none is refused with its field
