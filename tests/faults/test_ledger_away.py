"""A database that is killed, frozen, restarted or full: no answer that is not stored, and back without help."""

import asyncio
import contextlib
import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fradect.adapters.ledger_sql import SqlLedger
from fradect.errors import FradectError, Unavailable
from fradect.ports import Stored
from tests.factories_postgres import PostgresServer
from tests.faults.checker import ROUNDS, check
from tests.faults.ledger_client import Callers, record_of

BUSY_MACHINE = 2.0  # seconds that others may keep the processor from a test
Fault = Callable[[PostgresServer], None]


@pytest.fixture(scope="module")
def server(postgres_bin: Path) -> Iterator[PostgresServer]:
    """One that is there to be ill-treated."""
    server = PostgresServer(postgres_bin)
    yield server
    server.remove()


def _killed(server: PostgresServer) -> None:
    server.kill()
    time.sleep(0.3)
    server.start()


def _restarted(server: PostgresServer) -> None:
    server.stop()
    server.start()


def _frozen(server: PostgresServer) -> None:
    server.freeze()
    time.sleep(float(os.environ.get("FRADECT_FAULT_FREEZE", "1.5")))
    server.thaw()


@pytest.mark.parametrize("fault", [_killed, _restarted, _frozen])
def test_a_postgresql_that_goes_away_under_load(server: PostgresServer, fault: Fault) -> None:
    url = server.new_database()
    ledger = SqlLedger(url)
    callers = Callers(within=0.3)
    for round_ in range(max(1, ROUNDS // 4)):
        names = [f"tx{round_}-{n}" for n in range(6_000)]
        trouble = threading.Timer(0.1, fault, (server,))
        trouble.start()
        asyncio.run(callers.all(ledger, names, patience=60.0))
        trouble.join()
        assert set(names) <= set(callers.answers), "it came back by itself"
    assert callers.failures, "somebody was there while it was away"
    assert max(took for took, _ in callers.failures) < 2 * callers.within + BUSY_MACHINE
    assert check(url, callers.answers) == len(callers.answers)
    ledger.close()


def test_a_postgresql_that_was_restarted_between_requests_is_not_noticed(server: PostgresServer) -> None:
    url = server.new_database()
    ledger = SqlLedger(url)
    ledger.commit(record_of("tx1"))
    _restarted(server)
    assert ledger.find("demo", "ecommerce", "tx1") is not None
    _restarted(server)
    ledger.commit(record_of("tx2"))
    assert check(url, {}) == 2
    ledger.close()


def test_a_postgresql_that_is_away_is_unavailable_and_tells_no_secret(server: PostgresServer) -> None:
    ledger = SqlLedger(server.new_database())
    server.stop()
    try:
        with pytest.raises(Unavailable) as on_write:
            ledger.commit(record_of("tx1"))
        with pytest.raises(Unavailable) as on_read:
            ledger.find("demo", "ecommerce", "tx1")
        said = f"{on_write.value} {on_read.value}"
        assert not any(word in said for word in ("s3cret", "127.0.0.1", "fradect@", str(server.port)))
        with pytest.raises(Unavailable, match="could not be brought up to date"):
            SqlLedger(server.url("test_1"))
    finally:
        server.start()
        ledger.close()


def test_a_row_that_somebody_locks_holds_a_request_up_for_a_moment_only(server: PostgresServer) -> None:
    ledger, other = SqlLedger(server.new_database()), record_of("tx1")
    with ledger.engine.connect() as blocking:
        blocking.exec_driver_sql("LOCK TABLE events IN EXCLUSIVE MODE")
        began = time.monotonic()
        (answer,) = ledger.commit_many([other])
        assert isinstance(answer, Unavailable)
        assert time.monotonic() - began < 1.0 + BUSY_MACHINE
        blocking.rollback()
    assert isinstance(ledger.commit(other), Stored)
    ledger.close()


@contextlib.contextmanager
def _small_disk(megabytes: int) -> Iterator[Path]:
    """A disk of its own, where that is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="fradect-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def _write_until_it_fails(ledger: SqlLedger, name: str, most: int) -> tuple[dict[str, bytes], FradectError | None]:
    acked: dict[str, bytes] = {}
    for start in range(0, most, 8):
        group = [record_of(f"{name}-{start + n}") for n in range(8)]
        for record, answer in zip(group, ledger.commit_many(group), strict=True):
            if not isinstance(answer, Stored):
                return acked, answer
            acked[record.event.event_id] = answer.answer
    return acked, None


def test_sqlite_on_a_full_disk() -> None:
    with _small_disk(2) as disk:
        ledger = SqlLedger(f"sqlite:///{disk}/ledger.db")
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(600_000))
        acked: dict[str, bytes] = {}
        for round_ in range(min(ROUNDS, 20)):
            told, error = _write_until_it_fails(ledger, f"a{round_}", 4_000)
            acked |= told
            assert isinstance(error, Unavailable), error
            assert "full" in str(error)
        with contextlib.suppress(Unavailable):
            assert ledger.find("demo", "ecommerce", next(iter(acked))) is not None
        ballast.unlink()
        told, error = _write_until_it_fails(ledger, "b", 16)
        assert error is None, "it recovers when there is space again"
        assert check(f"sqlite:///{disk}/ledger.db", acked | told) >= len(acked) + 16
        ledger.close()


def test_sqlite_whose_file_may_not_grow(tmp_path: Path) -> None:
    """What a quota does; the limit is of this process, so it is narrow and short."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqlLedger(url)
    acked, _ = _write_until_it_fails(ledger, "a", 80)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
    try:
        told, error = _write_until_it_fails(ledger, "b", 4_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(error, Unavailable), error
    more, error = _write_until_it_fails(ledger, "c", 16)
    assert error is None
    assert check(url, acked | told | more) >= len(acked | told | more)
    ledger.close()


def test_postgresql_on_a_full_disk(postgres_bin: Path) -> None:
    with _small_disk(110) as disk:
        server = PostgresServer(postgres_bin, disk / "pg", min_wal_size="32MB", max_wal_size="32MB")
        try:
            url = server.new_database()
            ledger = SqlLedger(url)
            acked, error = _write_until_it_fails(ledger, "a", 80)
            assert error is None
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(65_536))
            told, error = _write_until_it_fails(ledger, "b", 40_000)
            acked |= told
            assert isinstance(error, Unavailable), error
            ballast.unlink()
            if server.has_ended():
                server.start()
            more = _until_it_writes(ledger)
            assert check(url, acked | more) >= len(acked | more)
            ledger.close()
        finally:
            server.remove()


def _until_it_writes(ledger: SqlLedger) -> dict[str, bytes]:
    deadline = time.monotonic() + 20.0
    while True:
        told, error = _write_until_it_fails(ledger, f"c{time.monotonic_ns()}", 16)
        if error is None:
            return told
        assert time.monotonic() < deadline, error
        time.sleep(0.2)
