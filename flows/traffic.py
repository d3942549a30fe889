"""Purchases that are held back from the log and sent to the service as they would have come."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fradect.errors import InvalidInput, Unavailable
from fradect.mapping import Mapping as FieldMapping
from fradect.modules.ecommerce import REQUEST_PATHS

Body = dict[str, Any]

TRIES = 5


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Events from `since` (microseconds) on are not imported; `bodies` are the first of them, as requests."""

    since: int
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """Decisions by outcome, latency in milliseconds as the caller saw it, and one answer to show."""

    by_outcome: Mapping[str, int]
    milliseconds: tuple[float, ...]
    riskiest: Body

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent))


def hold_back(source: Path, mapping: FieldMapping, count: int) -> HeldBack:
    """The newest `count` rows of a file or folder, as score requests in order of time."""
    kind = "csv" if any(path.suffix == ".csv" for path in _files(source)) else "parquet"
    data = ds.dataset([str(path) for path in _files(source)], format=kind)
    column = mapping.event_time.column
    if column not in data.schema.names or not pa.types.is_timestamp(data.schema.field(column).type):
        raise InvalidInput(f"{source}: column {column!r} of mapping {mapping.name} must hold times to hold events back")
    times = data.to_table(columns=[column])[column].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    since = int(np.partition(times, -count)[-count]) if times.size > count else int(times.min())
    cut = pa.scalar(since, pa.timestamp("us")).cast(data.schema.field(column).type)
    rows = data.to_table(filter=pc.field(column) >= cut).sort_by(column).slice(0, count)
    return HeldBack(since, tuple(body_of(row, mapping) for row in rows.to_pylist()))


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        data = (path for path in source.iterdir() if path.suffix in (".parquet", ".csv"))
        return sorted(path for path in data if not path.name.startswith(("_", ".")))
    return [source]


def body_of(row: Mapping[str, Any], mapping: FieldMapping) -> Body:
    """A raw row as a score request."""
    body: Body = {}
    _put(body, "transaction.transaction_id", str(row[mapping.event_id.column]))
    _put(body, "transaction.event_time", _plain("time", row[mapping.event_time.column]))
    for field, constant in mapping.constants.items():
        _put(body, REQUEST_PATHS.get(field), constant)
    for field, column in mapping.fields.items():
        if row[column.column] is not None:
            _put(body, REQUEST_PATHS.get(field), _plain(field, row[column.column]))
    return body


def _put(body: Body, path: str | None, value: Any) -> None:
    if path is None:
        return  # protected attributes are never sent
    *folders, name = path.split(".")
    for folder in folders:
        body = body.setdefault(folder, {})
    body[name] = value


def _plain(field: str, value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if field == "amount":
        return float(value) if isinstance(value, Decimal) else value
    return str(value)


def send(url: str, key: str, bodies: Sequence[Body]) -> Answers:
    """One after the other over one connection, as a shop would; any answer but a decision stops it."""
    by_outcome: dict[str, int] = {"APPROVE": 0, "REVIEW": 0, "DECLINE": 0}
    taken: list[float] = []
    riskiest: Body = {}
    for answer, milliseconds in _ask(url, key, bodies):
        by_outcome[answer["decision"]] += 1
        taken.append(milliseconds)
        if not riskiest or answer["score"] > riskiest["score"]:
            riskiest = answer
    return Answers(by_outcome, tuple(taken), riskiest)


def _ask(url: str, key: str, bodies: Sequence[Body]) -> Iterator[tuple[Body, float]]:
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=10, trust_env=False) as client:
        for body in bodies:
            started = time.perf_counter()
            answer = patiently(client, body)
            milliseconds = (time.perf_counter() - started) * 1000
            if answer.status_code != 200:
                raise Unavailable(f"the service answered {answer.status_code}: {answer.text}")
            yield answer.json(), milliseconds


def patiently(client: httpx.Client, body: Body) -> httpx.Response:
    """The same id may be sent again and again: a service that is busy says so, and decides it once."""
    for _ in range(TRIES):
        answer = client.post("/api/v1/ecommerce/score", json=body)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(float(answer.headers.get("Retry-After", "1")))
    return answer
