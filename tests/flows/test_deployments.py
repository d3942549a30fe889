"""The training deployment on a real local Prefect server, triggered over its REST interface."""

import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.server import serve_deployments, start_server
from tests.factories_pickles import pickles_under

PATIENCE = 240.0


def _wait(what: str, found: Any, until: float = PATIENCE) -> Any:
    deadline = time.monotonic() + until
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(1)
    raise AssertionError(f"waited {until:.0f} s for {what}")


@pytest.mark.timeout(400)
def test_the_training_deployment_runs_when_rest_asks_for_it(filled_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = start_server(filled_home, port)
    flows = serve_deployments(filled_home, port)
    api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30, trust_env=False)
    try:
        deployment = _wait("the deployment", lambda: _found(api, "/deployments/name/training/weekly"))
        scheduled = _wait("a scheduled run to appear", lambda: _scheduled(api, deployment["id"]))
        assert scheduled > 0
        asked = api.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={
                "parameters": {"module": "ecommerce", "tenant": "demo", "trials": 1, "seed": 3},
                "idempotency_key": "one",
            },
        )
        asked.raise_for_status()
        run = asked.json()["id"]
        state = _wait("the run to end", lambda: _ended(api, run))
        assert state["type"] == "COMPLETED", state
        assert list((filled_home / "releases" / "champions" / "ecommerce").iterdir())
    finally:
        api.close()
        for process in (flows, server):
            process.terminate()
            process.wait(60)
    assert (filled_home / "prefect" / "prefect.db").exists()
    assert pickles_under(filled_home) == [], "results and states are JSON"


def _found(api: httpx.Client, path: str) -> Any:
    answer = api.get(path)
    return answer.json() if answer.is_success else None


def _scheduled(api: httpx.Client, deployment: str) -> int:
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    answer = api.post("/flow_runs/count", json=wanted)
    return int(answer.json()) if answer.is_success else 0


def _ended(api: httpx.Client, run: str) -> Any:
    answer = api.get(f"/flow_runs/{run}")
    state = answer.json()["state"] if answer.is_success else {"type": "unknown"}
    return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None
