"""What the client's README shows, run as it stands against a service that runs as it would anywhere."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.launch import Running, start
from tests.serving.conftest import promote, settings_of

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients" / "python"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (CLIENT / "README.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    home = tmp_path_factory.mktemp("for-a-client")
    promote(home)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    running: Running = start(settings_of(home, port=port), home / "logs" / "service.log")
    key = (home / "keys" / "api-key").read_text().strip()
    yield {"FRADECT_URL": running.url, "FRADECT_API_KEY": key, "NO_PROXY": "127.0.0.1"}
    running.stop()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


def test_no_example_uses_an_id_of_the_first_request_of_the_project() -> None:
    asked = re.findall(r'"transaction_id": "([^"]+)"', (ROOT / "README.md").read_text())
    assert asked
    assert not [name for name in asked if any(f'"{name}"' in example for example in EXAMPLES)]


@pytest.mark.parametrize("example", EXAMPLES, ids=("synchronous", "asynchronous", "webhooks"))
def test_an_example_runs_as_it_stands(environment: dict[str, str], example: str, tmp_path: Path) -> None:
    held = {**os.environ, **environment, "PYTHONPATH": str(CLIENT / "src")}
    command = [sys.executable, "-W", "error", "-c", example]
    ended = subprocess.run(command, env=held, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    if "fradect.batch.wait" in example:
        lines = ended.stdout.splitlines()
        assert lines[0].split()[0] in ("APPROVE", "REVIEW", "DECLINE")
        assert lines[1].startswith("invalid-input transaction.amount ")
        assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]
        assert "None" not in ended.stdout
