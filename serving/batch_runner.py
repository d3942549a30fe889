"""The worker on batches that every process of the service has: one thread, which leases, reads, has rows decided on the
loop that requests are decided on, and writes down how far it is.

Tenants take turns, and so do the jobs of each. What it is killed in goes on where the last chunk ended, here or in any
other process of the service, as soon as the lease is over.
"""

import asyncio
import io
import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from fradect.errors import FradectError, NotFound, Unavailable
from fradect.jobs import LEASE, Chunk, Format, Leased, LeaseLost, Tally, Upload
from fradect.types import SECOND
from serving import batch_parquet
from serving.batch_rows import Row, csv_rows, ndjson
from serving.batch_work import Came

log = logging.getLogger(__name__)

CHUNK = 500
"""Rows whose results are written down together."""
LOOK_SECONDS, TURN_SECONDS, AWAY_SECONDS = 0.5, 2.0, 2.0
_ELSEWHERE = 10 * SECOND  # for which a job is left to a machine that has its upload
_UNFORESEEN = 3

READERS: Mapping[Format, Callable[[BinaryIO, int, int], Iterator[Row]]] = {
    Format.NDJSON: ndjson,
    Format.CSV: csv_rows,
    Format.PARQUET: batch_parquet.rows,
}


class Leases(Protocol):
    """As fradect.adapters.batch_leases.SqlLeases."""

    def due(self, now: int) -> list[str]: ...
    def lease(self, tenant_id: str, owner: str, now: int) -> Leased | None: ...
    def commit(self, leased: Leased, chunk: Chunk, now: int) -> Leased: ...
    def renew(self, leased: Leased, now: int) -> Leased: ...
    def give_back(self, leased: Leased, until: int) -> None: ...
    def fail(self, leased: Leased, problem: str, now: int) -> None: ...


class Files(Protocol):
    """Uploads by their name."""

    def open(self, name: str, key: bytes) -> io.RawIOBase:
        """NotFound where there is none on this machine."""
        ...


Decide = Callable[[Leased, Sequence[Row]], Coroutine[Any, Any, list[Came]]]
Loop = Callable[[], asyncio.AbstractEventLoop | None]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the runner works on, and how rows are decided. `loop`: that of requests, once it runs."""

    leases: Leases
    files: Files
    decide: Decide
    now: Callable[[], int]
    loop: Loop


class _Stopping(Exception):
    """This process ends; what was decided of the chunk is found decided by whoever goes on."""

    def __str__(self) -> str:
        return "the service is stopping"


class Runner:
    """`speed`: rows a second of the last chunk, None before there was one."""

    def __init__(self, sources: Sources, worked: Callable[[Tally], None]) -> None:
        """`worked` is told of every chunk that was written down."""
        self._sources, self._worked = sources, worked
        self._owner = f"runner_{secrets.token_hex(8)}"
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._served: dict[str, int] = {}
        self._turns = 0
        self._unforeseen: dict[str, int] = {}
        self.speed: float | None = None
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do: look now."""
        self._woken.set()

    def stop(self) -> None:
        """What is under way is given back."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = LOOK_SECONDS
            try:
                if self._sources.loop() is not None and self._turn():
                    continue
            except Unavailable as error:
                log.warning("%s", error)
                pause = AWAY_SECONDS
            except Exception:  # the thread is all that works on batches: whatever it was, the next look may go better
                log.exception("a batch")
                pause = AWAY_SECONDS
            self._woken.wait(pause)
            self._woken.clear()

    def _turn(self) -> bool:
        """One job for a while; whether there was one. The tenant comes first that was served longest ago."""
        leases, now = self._sources.leases, self._sources.now
        due = leases.due(now())
        if not due:
            return False
        tenant_id = min(due, key=lambda one: self._served.get(one, 0))
        self._turns += 1
        self._served = {one: turn for one, turn in self._served.items() if one in due} | {tenant_id: self._turns}
        leased = leases.lease(tenant_id, self._owner, now())
        if leased is None:  # somebody else was first
            return False
        self._work(leased)
        return True

    def _work(self, leased: Leased) -> None:
        with suppress(LeaseLost):
            try:
                self._chunks(leased)
            except (LeaseLost, _Stopping) as error:
                log.info("%s", error)
                self._give_back(leased, 0)
            except Unavailable:
                self._give_back(leased, int(AWAY_SECONDS * SECOND))
                raise
            except NotFound:
                self._give_back(leased, _ELSEWHERE)
            except FradectError as error:
                self._fail(leased, str(error))
            except Exception:
                self._count(leased)
                raise

    def _give_back(self, leased: Leased, rest: int) -> None:
        self._sources.leases.give_back(leased, self._sources.now() + rest)

    def _fail(self, leased: Leased, problem: str) -> None:
        log.warning("job %s cannot be read on: %s", leased.job_id, problem)
        self._sources.leases.fail(leased, problem, self._sources.now())

    def _count(self, leased: Leased) -> None:
        """What nobody foresaw may pass; if it comes again and again, it is the job."""
        times = self._unforeseen[leased.job_id] = self._unforeseen.get(leased.job_id, 0) + 1
        if times >= _UNFORESEEN:
            del self._unforeseen[leased.job_id]
            self._fail(leased, "something went wrong here; the service's log has the rest")
        else:
            self._give_back(leased, int(AWAY_SECONDS * SECOND))

    def _chunks(self, leased: Leased) -> None:
        """Until it is done, or others wait and this had its turn. While one chunk is decided the next is read, and is
        decided while what came of the first is written down."""
        began = time.monotonic()
        with _rows_of(leased, self._sources.files) as rows:
            chunk: _UnderWay | None = self._begin(leased, _read(rows))
            following: _UnderWay | None = None
            try:
                while chunk is not None:
                    ahead = None if chunk.read.is_end else _read(rows)
                    leased, came = self._decided(leased, chunk)
                    stays = ahead is not None and not self._had_its_turn(began)
                    following = self._begin(leased, ahead) if ahead is not None and stays else None
                    leased = self._write(leased, chunk.read, came)
                    if ahead is not None and following is None:
                        self._give_back(leased, 0)
                    chunk = following
            finally:
                _give_up(chunk, following)

    def _had_its_turn(self, began: float) -> bool:
        return self._stopping.is_set() or (time.monotonic() - began > TURN_SECONDS and self._are_others())

    def _are_others(self) -> bool:
        return bool(self._sources.leases.due(self._sources.now()))

    def _begin(self, leased: Leased, read: "_Read") -> "_UnderWay":
        loop = self._sources.loop()
        if loop is None or loop.is_closed():
            raise _Stopping
        deciding = asyncio.run_coroutine_threadsafe(self._sources.decide(leased, read.rows), loop)
        return _UnderWay(read, deciding, time.monotonic())

    def _decided(self, leased: Leased, chunk: "_UnderWay") -> "tuple[Leased, _Came]":
        """LeaseLost when somebody else has the job by now."""
        renewed = time.monotonic()
        while not wait([chunk.deciding], 0.1).done:
            if self._stopping.is_set():
                raise _Stopping
            if time.monotonic() - renewed > LEASE / SECOND / 3:
                leased, renewed = self._sources.leases.renew(leased, self._sources.now()), time.monotonic()
        return leased, _Came(chunk.deciding.result(), time.monotonic() - chunk.began)

    def _write(self, leased: Leased, read: "_Read", came: "_Came") -> Leased:
        """What the file is broken by comes after what could be read of it."""
        if read.rows or read.broken is None:
            tally = sum((one.counts for one in came.rows), Tally())
            chunk = Chunk(
                results=b"".join(one.line for one in came.rows),
                tally=tally,
                position=read.rows[-1].end if read.rows else leased.position,
                worked_us=int(came.seconds * SECOND),
                is_last=read.is_end and read.broken is None,
            )
            leased = self._sources.leases.commit(leased, chunk, self._sources.now())
            self._worked(tally)
            self.speed = len(came.rows) / came.seconds if came.rows and came.seconds else self.speed
        if read.broken is not None:
            raise read.broken
        return leased


@dataclass(frozen=True, slots=True)
class _Read:
    """Rows for a chunk. `broken`: why nothing after them can be read."""

    rows: Sequence[Row]
    broken: Exception | None = None

    @property
    def is_end(self) -> bool:
        return len(self.rows) < CHUNK


class _UnderWay(NamedTuple):
    """Rows that are being decided since `began`."""

    read: _Read
    deciding: "Future[list[Came]]"
    began: float


class _Came(NamedTuple):
    """What came of a chunk, and how long that took."""

    rows: Sequence[Came]
    seconds: float


def _read(rows: Iterator[Row]) -> _Read:
    some: list[Row] = []
    try:
        some.extend(islice(rows, CHUNK))
    except Exception as error:  # noqa: BLE001  whatever it is, it is told of after the rows before it
        return _Read(some, error)
    return _Read(some)


def _give_up(*chunks: _UnderWay | None) -> None:
    for chunk in chunks:
        if chunk is not None:
            chunk.deciding.cancel()


@contextmanager
def _rows_of(leased: Leased, files: Files) -> Iterator[Iterator[Row]]:
    """From where it was left on."""
    if leased.upload is None:
        with io.BytesIO(leased.items or b"") as held:
            yield ndjson(held, leased.position, leased.taken)
        return
    with _opened(files, leased.upload) as file:
        yield READERS[leased.upload.format](file, leased.position, leased.taken)


@contextmanager
def _opened(files: Files, upload: Upload) -> Iterator[BinaryIO]:
    with files.open(upload.id, upload.key) as raw:
        yield cast("BinaryIO", io.BufferedReader(raw, 1 << 16))
