"""What an import of outcomes needs: files as rows, the ledger to look decisions up in, the service that is told."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from flows.outcomes import Desk, Row, Teller
from flows.wiring import key_file, workshop
from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.quarantine import QuarantineFile
from fradect.adapters.sources import BrokenFile, Piece, Source, column_names, file_source, read
from fradect.errors import InvalidInput, Unavailable
from fradect.faults import Fault, Reason
from fradect.intake.json_rows import read_object
from fradect.mapping_document import Dialect
from fradect.outcome_rows import Format, Heard, OutcomeMapping, RowReader, read_mapping
from fradect.settings import Settings

TABLES, LINES = (".csv", ".csv.gz", ".parquet"), (".ndjson", ".jsonl")
TRIES = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """A file, what its rows are, how it writes them, and whose decisions they speak of; `url`: of the service."""

    file: Path
    kind: Format
    mapping: Path | None
    module: str
    tenant: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Opened:
    """Rows, the desk they go through, and where the quarantine of those that are refused is when all is done."""

    rows: Iterator[Row]
    desk: Desk
    quarantine: Path


@contextmanager
def opened(asked: Asked) -> Iterator[Opened]:
    """NotFound without a ledger or a key, InvalidInput for a file that cannot be read or lacks its columns."""
    shop = workshop(asked.module, asked.tenant)
    mapping = read_mapping(b"" if asked.mapping is None else _bytes(asked.mapping), asked.kind)
    reader = RowReader(asked.kind, mapping, time.time_ns() // 1000)
    source = _source(asked.file)
    rows = _rows(source, reader, mapping)
    target = shop.home / "quarantine" / asked.module / asked.tenant / f"outcomes-{source.digest[:16]}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    rejected = QuarantineFile(target.with_suffix(".new"), source.name)
    settings = Settings.from_env()
    with ExitStack() as stack:
        reads = DecisionReads.at(settings.ledger_url)
        stack.callback(reads.close)
        url = asked.url or f"http://{settings.host}:{settings.port}"
        teller = stack.enter_context(_service(url, key_file(shop.home, asked.tenant).read_text().strip()))
        whose = (asked.tenant, asked.module)
        yield Opened(rows, Desk(reader, lambda ids: reads.ids_of(whose, ids), teller, rejected.add), target)
        rejected.publish(target)


class HttpTeller:
    """The running service, told over HTTP: it alone writes the ledger."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def tell(self, decision_id: str, heard: Heard) -> Fault | None:
        body: dict[str, Any] = {"outcome": str(heard.outcome), "note": heard.note}
        if heard.known_at is not None:
            body["known_at"] = _rfc(heard.known_at)
        answer = self._patiently(f"/api/v1/decisions/{decision_id}/outcome", body)
        if answer.status_code == httpx.codes.OK:
            return None
        problem = answer.json()
        said = f"{problem['title']}: {problem['detail']}"
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise InvalidInput(f"the service refused the key of {self._client.base_url}: {said}", "key")
        reason = Reason.NO_DECISION if answer.status_code == httpx.codes.NOT_FOUND else Reason.FAILED
        return Fault(reason, said, problem.get("field"))

    def _patiently(self, path: str, body: dict[str, Any]) -> httpx.Response:
        for _ in range(TRIES):
            try:
                answer = self._client.post(path, json=body)
            except httpx.TransportError as error:
                where = f"no service answers at {self._client.base_url}: start it with `fradect serve`"
                raise Unavailable(f"{where}; what was told is kept, the same file again goes on") from error
            if answer.status_code not in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
                return answer
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        raise Unavailable(f"the service is not ready ({answer.status_code}); the same file again goes on")


@contextmanager
def _service(url: str, key: str) -> Iterator[Teller]:
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30, trust_env=False) as client:
        yield HttpTeller(client)


def _rfc(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat().replace("+00:00", "Z")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror})", "mapping") from error


def _source(file: Path) -> Source:
    if not file.is_file() or not file.name.endswith((*TABLES, *LINES)):
        raise InvalidInput(f"{file}: give a file that ends in {', '.join((*TABLES, *LINES))}", "file")
    return file_source(file, file.name)


def _rows(source: Source, reader: RowReader, mapping: OutcomeMapping) -> Iterator[Row]:
    if source.name.endswith(LINES):
        return _lines(source.path)
    dialect = Dialect(delimiter=mapping.delimiter, encoding=mapping.encoding)
    try:
        there = column_names(source, dialect)
    except BrokenFile as error:
        raise InvalidInput(f"{source.path}: {error.detail}", "file") from error
    wanted = [column for column in dict.fromkeys(reader.columns.values()) if column in there]
    needed = [reader.columns[name] for name in ("transaction_id", "decision_id")]
    if not set(needed) & set(wanted):
        raise InvalidInput(f"{source.path} has neither {needed[0]!r} nor {needed[1]!r}: name its column in a mapping")
    return _pieces(source, wanted, dialect)


def _pieces(source: Source, columns: list[str], dialect: Dialect) -> Iterator[Row]:
    try:
        for piece in read(source, columns, dialect):
            yield from _cells(piece)
    except BrokenFile as error:
        yield error.rows + 1, Fault(Reason.BROKEN_FILE, error.detail)


def _cells(piece: Piece) -> Iterator[Row]:
    yield from zip(piece.batch.rows.tolist(), piece.batch.records.to_pylist(), strict=True)
    for number in piece.misfits.tolist():
        yield number, Fault(Reason.MISFIT, "give each row as many cells as there are columns")


def _lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield number, read_object(line)
            except Fault as fault:
                yield number, fault
