"""`make flows`: every deployment of prefect.yaml on a local Prefect server, runs included, until interrupted."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect import serve
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from fradect.settings import PROJECT, Settings


def deployments(declared: Path) -> list[RunnerDeployment]:
    """What prefect.yaml declares, as deployments that this process runs itself."""
    document: dict[str, Any] = yaml.safe_load(declared.read_text())
    return [_deployment(entry) for entry in document["deployments"]]


def _deployment(entry: dict[str, Any]) -> RunnerDeployment:
    schedules = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=s["cron"], timezone=s["timezone"]), slug=s["slug"], active=s.get("active", True)
        )
        for s in entry.get("schedules", [])
    ]
    return RunnerDeployment.from_entrypoint(
        entry["entrypoint"],
        name=entry["name"],
        description=entry["description"],
        parameters=entry.get("parameters", {}),
        schedules=schedules,
        concurrency_limit=entry.get("concurrency_limit"),
    )


def start_server(home: Path, port: int, patience: float = 120.0) -> subprocess.Popen[bytes]:
    """A Prefect server of our own with its home under FRADECT_HOME, answering when this returns."""
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    log = (home / "prefect" / "server.log").open("ab")
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        stdout=log,
        stderr=log,
        cwd=PROJECT,
    )
    deadline = time.monotonic() + patience
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            raise RuntimeError(f"the Prefect server did not start on port {port}; see {log.name}")
        time.sleep(0.5)
    return server


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def main() -> None:
    """Start the server if none answers, then serve until interrupted."""
    port = int(os.environ.get("FRADECT_PREFECT_PORT", "4200"))
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    server = None if _answers(port) else start_server(Settings.from_env().home, port)
    try:
        serve(*deployments(PROJECT / "prefect.yaml"))
    finally:
        if server is not None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
