"""Shared by all tests: no socket but loopback, where the real data lies, a home of its own for each test."""

import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import prometheus_client  # noqa: F401  before feast, whose import would make it share counters by file
import pytest

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
