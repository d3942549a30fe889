"""The service beside a command that needs one: `fradect serve` as anyone would start it, while a block runs."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from flows.progress import stage
from fradect.errors import Refused, Unavailable
from fradect.settings import Settings

_GRACE = 30.0  # seconds to end in


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Its URL, once it is ready; its log lies under the home. It ends with the block, also where a signal ends that."""
    check_port(settings)
    url = f"http://{settings.host}:{settings.port}"
    log = settings.home / "logs" / "service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with _told_to_end(), log.open("ab") as out:
        command = [str(Path(sys.executable).parent / "fradect"), "serve", "--log", str(log)]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=dict(os.environ))
        try:
            with stage("serve") as result:
                _await_ready(url, process, log)
                result.words = url
            yield url
        finally:
            _end(process)


def check_port(settings: Settings) -> None:
    """Another service there would answer for ours."""
    with socket.socket() as probe:
        if probe.connect_ex((settings.host, settings.port)) == 0:
            raise Refused(f"port {settings.port} of {settings.host} is taken: set FRADECT_PORT to another")


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that what was started here is ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_ready(url: str, process: "subprocess.Popen[bytes]", log: Path, patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines()
            raise Unavailable(f"the service did not start: {said[-1] if said else 'it said nothing'}")
        try:
            if httpx.get(f"{url}/ready", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Unavailable(f"the service was not ready within {patience:.0f} s: see {log}")
