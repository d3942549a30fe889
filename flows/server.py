"""`make flows`: a local Prefect server, and beside it a process that serves every deployment of prefect.yaml.

Prefect reads where its server is when it is imported, so this module never imports it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import httpx

from fradect.errors import Unavailable
from fradect.settings import PROJECT, Settings


def start_server(home: Path, port: int, patience: float = 120.0) -> "subprocess.Popen[bytes]":
    """A Prefect server of our own with its home under FRADECT_HOME, answering when this returns."""
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as out:
        env = {**os.environ, "PREFECT_HOME": str(folder)}
        server = subprocess.Popen(command, stdout=out, stderr=out, cwd=PROJECT, env=env)
    deadline = time.monotonic() + patience
    while not answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            raise Unavailable(f"the Prefect server did not start on port {port}; see {log}")
        time.sleep(0.5)
    return server


def answers(port: int) -> bool:
    """Whether a Prefect server is there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def serve_deployments(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """The process that runs what the server asks for."""
    url = f"http://127.0.0.1:{port}/api"
    env = {**os.environ, "PREFECT_HOME": str(home / "prefect"), "PREFECT_API_URL": url, "FRADECT_HOME": str(home)}
    return subprocess.Popen([sys.executable, "-m", "flows.serve"], cwd=PROJECT, env=env)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """A supervisor's SIGTERM ends both as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Start the server if none answers, then serve until interrupted."""
    home, port = Settings.from_env().home, int(os.environ.get("FRADECT_PREFECT_PORT", "4200"))
    server = None if answers(port) else start_server(home, port)
    deployments = serve_deployments(home, port)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.stderr.write(
        f"To run one: PREFECT_API_URL=http://127.0.0.1:{port}/api prefect deployment run training/weekly\n"
    )
    try:
        deployments.wait()
    except KeyboardInterrupt:
        pass
    finally:
        deployments.terminate()
        deployments.wait(30)
        if server is not None:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
