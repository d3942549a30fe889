"""Deployments on a real local Prefect server, triggered over its REST interface."""

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from flows.evidence import last_look
from flows.server import serve_deployments, start_server
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.moves import Act, step
from fradect.rollout import shadowed
from serving.launch import start
from tests.factories_decision import body, toy_release
from tests.factories_pickles import pickles_under
from tests.serving.conftest import promote, settings_of

PATIENCE = 240.0


def _wait(what: str, found: Any, until: float = PATIENCE) -> Any:
    deadline = time.monotonic() + until
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(1)
    raise AssertionError(f"waited {until:.0f} s for {what}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Deployed:
    """A Prefect server, and the process that runs what it is asked for, over a home."""

    home: Path
    api: httpx.Client

    def ran(self, name: str, parameters: dict[str, Any]) -> Any:
        """The state in which a run of the deployment ended."""
        deployment = _wait("the deployment", lambda: _found(self.api, f"/deployments/name/{name}"))
        asked = {"parameters": parameters, "idempotency_key": name}
        run = _wait("the run to be taken", lambda: _taken(self.api, deployment["id"], asked))
        return _wait("the run to end", lambda: _ended(self.api, run["id"]))


@pytest.fixture(scope="module")
def deployed(made_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    home, port = tmp_path_factory.mktemp("deployed") / "home", _free_port()
    shutil.copytree(made_home, home)
    server = start_server(home, port)
    flows = serve_deployments(home, port)
    api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30, trust_env=False)
    yield Deployed(home, api)
    api.close()
    for process in (flows, server):
        process.terminate()
        process.wait(60)


@pytest.mark.timeout(400)
def test_the_training_deployment_runs_when_rest_asks_for_it(deployed: Deployed) -> None:
    deployment = _wait("the deployment", lambda: _found(deployed.api, "/deployments/name/training/weekly"))
    assert _wait("a scheduled run to appear", lambda: _scheduled(deployed.api, deployment["id"])) > 0
    state = deployed.ran("training/weekly", {"module": "ecommerce", "tenant": "demo", "trials": 1, "seed": 3})
    assert state["type"] == "COMPLETED", state
    assert list((deployed.home / "releases" / "champions" / "ecommerce").glob("demo*"))
    assert (deployed.home / "prefect" / "prefect.db").exists()
    assert pickles_under(deployed.home) == [], "results and states are JSON"


@pytest.mark.timeout(300)
def test_the_promotion_deployment_looks_at_every_challenger(deployed: Deployed) -> None:
    home, first, second = deployed.home, toy_release(review=300), toy_release(review=400)
    store = ReleasesFolder(home)
    for release in (first, second):
        store.save(release)
    store.promote("ecommerce", "tried", first.id)
    now = store.rollout("ecommerce", "tried")
    assert now is not None
    store.move("ecommerce", "tried", shadowed(now, second.id, step("shadow", Act("ann", ""))))
    state = deployed.ran("promotion/every-ten-minutes", {})
    assert state["type"] == "COMPLETED", state
    found = last_look(home / "evidence" / second.id)
    assert found is not None
    assert (found.tenant, found.stage, found.move) == ("tried", "shadow", "wait")


@pytest.mark.timeout(300)
def test_the_batch_deployment_has_a_file_decided_by_the_service(deployed: Deployed) -> None:
    home, rows = deployed.home, 700
    promote(home, tenant="shop")
    running = start(settings_of(home, port=_free_port(), budget_ms=3_000), home / "service.log")
    source, result = home / "purchases.ndjson", home / "out" / "decided.ndjson"
    source.write_bytes(b"".join(msgspec.json.encode(body(f"tx{n}")) + b"\n" for n in range(rows)))
    asked = {"source": str(source), "result": str(result), "tenant": "shop", "url": running.url}
    try:
        state = deployed.ran("batch-scoring/batch-scoring", asked)
    finally:
        running.stop()
    assert state["type"] == "COMPLETED", state
    decided = [msgspec.json.decode(line) for line in result.read_bytes().splitlines()]
    assert [(row["row"], row["transaction_id"]) for row in decided] == [(n + 1, f"tx{n}") for n in range(rows)]
    assert all(row["answer"]["decision"] for row in decided)


def _taken(api: httpx.Client, deployment_id: str, asked: dict[str, Any]) -> Any:
    """None while the server is busy with its own database; the key makes it one run, however often it is asked."""
    answer = api.post(f"/deployments/{deployment_id}/create_flow_run", json=asked)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    answer.raise_for_status()
    return answer.json()


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
