"""The service as a child process: started with the environment it needs, waited for until it decides, stopped."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from fradect.errors import Refused, Unavailable
from fradect.settings import PROJECT, Settings
from serving.workers import check_shareable

GRACE_SECONDS = 10  # for requests that were accepted; none takes longer, but a body may
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service that decides, and where."""

    process: subprocess.Popen[bytes]
    url: str

    def wait(self) -> int:
        """Until it ends by itself or is interrupted; its exit code."""
        return self.process.wait()

    def stop(self) -> None:
        """Let it finish what it accepted."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(settings: Settings, log: Path | None = None, patience: float = 120.0) -> Running:
    """Start `bentoml serve` and wait until every worker of it is ready.

    `log`: where its output goes, by default where ours does. Refused when the port is taken or the service says
    that it cannot start; Unavailable when it is not ready in time. In both cases nothing is left running.
    """
    check_shareable(settings)
    _check_port(settings)
    output: IO[bytes] | None = None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    process = subprocess.Popen(command(settings), cwd=PROJECT, env=environment(settings), stdout=output, stderr=output)
    running = Running(process, f"http://{settings.host}:{settings.port}")
    try:
        _await_ready(running, patience, settings.workers)
    except BaseException:
        running.stop()
        raise
    finally:
        if output is not None:
            output.close()
    return running


def command(settings: Settings) -> list[str]:
    """What runs the service; the same line works by hand."""
    serve = [sys.executable, "-m", "bentoml", "serve", "serving.service:FradectService"]
    stop = ["--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    return [*serve, "--host", settings.host, "--port", str(settings.port), *stop]


def environment(settings: Settings) -> dict[str, str]:
    """The parent's, with the settings said outright, and a BentoML home that no other service shares."""
    return {
        **os.environ,
        "FRADECT_HOME": str(settings.home),
        "FRADECT_LEDGER_URL": settings.ledger_url,
        "FRADECT_STATE_URL": settings.state_url,
        "FRADECT_ONLINE_URL": settings.online_url,
        "FRADECT_STORE_URL": settings.store_url or "",
        "FRADECT_WORKERS": str(settings.workers),
        "FRADECT_BUDGET_MS": str(settings.budget_ms),
        "FRADECT_IP_RANGES": str(settings.ip_ranges or ""),
        "FRADECT_ISSUERS": str(settings.issuers or ""),
        "FRADECT_TEST_TENANTS": ",".join(sorted(settings.test_tenants)),
        "FRADECT_FOUR_EYES": ",".join(sorted(settings.four_eyes)),
        "BENTOML_HOME": str(settings.home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
    }


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Refused(f"port {settings.port} of {settings.host} is taken: set FRADECT_PORT to another") from error


def _await_ready(running: Running, patience: float, workers: int) -> None:
    """Each connection finds a worker that takes any: who answers so many in a row has no worker that does not."""
    deadline = time.monotonic() + patience
    said, in_a_row = "it does not answer", 0
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            raise Unavailable(f"the service ended with code {running.process.returncode} as it started")
        try:
            answer = httpx.get(f"{running.url}/ready", timeout=2.0, trust_env=False)
        except httpx.TransportError:
            in_a_row = 0
            time.sleep(0.2)
            continue
        if answer.status_code == 200:
            in_a_row += 1
            if in_a_row > 3 * (workers - 1):
                return
            continue
        in_a_row, state = 0, answer.json()
        said = "; ".join(state["reasons"])
        if state["status"] == "failed":
            raise Refused(said)
        time.sleep(0.2)
    raise Unavailable(f"the service was not ready within {patience:.0f} s: {said}")
