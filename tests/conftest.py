"""Shared by all tests: no socket but loopback, where the real data lies, a home of its own for each test."""

import importlib
import ipaddress
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import prometheus_client  # noqa: F401  before feast, whose import would make it share counters by file
import pytest
import redis

import fradect  # noqa: F401  telemetry off

# What is imported at collection must not look at, or leave anything in, a home that a person works in.
_HOME = tempfile.TemporaryDirectory(prefix="fradect-tests-")
os.environ["FRADECT_HOME"] = _HOME.name

hypothesis.settings.register_profile("untimed", deadline=None)  # nothing is ever judged by how busy a machine is
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("FRADECT_TEST_DATA", ROOT.parent / "shared" / "data"))


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _no_socket_leaves() -> Iterator[None]:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("public data sets are not here (set FRADECT_TEST_DATA)")
    return SHARED_DATA


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh FRADECT_HOME."""
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis for the whole session, database 0: who uses it keeps to keys of its own, `redis_db` is fresh."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "redis-server is not on PATH (Debian, Ubuntu: apt install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder, "databases": 4096}
    command = [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        url = f"redis://127.0.0.1:{port}/0"
        _until_it_answers(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _until_it_answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    with redis.Redis.from_url(url) as client:
        for _ in range(200):
            try:
                client.ping()
                return
            except redis.ConnectionError:
                assert server.poll() is None, f"redis-server ended with {server.returncode}"
                time.sleep(0.05)
    pytest.fail("redis-server did not answer within ten seconds")


@pytest.fixture(scope="session")
def new_redis_db(redis_url: str) -> Callable[[], str]:
    """Makes URLs of empty databases of that Redis."""
    numbers = itertools.count(1)
    return lambda: f"{redis_url.removesuffix('/0')}/{next(numbers)}"


@pytest.fixture
def redis_db(new_redis_db: Callable[[], str]) -> str:
    """An empty database for one test alone."""
    return new_redis_db()


@pytest.fixture(scope="session")
def postgres_bin() -> Path:
    """Where PostgreSQL's programs are."""
    found: Path | None = importlib.import_module("tests.factories_postgres").binaries()
    if found is None:
        missing = "PostgreSQL's server is not here (Debian, Ubuntu: apt install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def postgres(postgres_bin: Path) -> Iterator[Any]:
    """A real PostgreSQL for the whole session (tests.factories_postgres.PostgresServer), which nobody stops."""
    server = importlib.import_module("tests.factories_postgres").PostgresServer(postgres_bin)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that a ledger can be in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """A real S3 server for the whole session (tests.factories_s3.S3Server), loaded by those who need it."""
    server = importlib.import_module("tests.factories_s3").S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The S3 server in good order, and the environment that leads to it and nowhere else."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRADECT_S3_ENDPOINT", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access.key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.access.secret)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    s3_server.mend()
    yield s3_server
    s3_server.mend()
