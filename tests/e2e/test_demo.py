"""The whole demo in a fresh home: it ends on its screen, and nothing it starts reaches beyond this machine."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

# Runs in every Python process that the demo starts: each connection and each look-up of a name is written down.
WITNESS = """
import json, os, sys

def witness(event, args):
    if event == "socket.connect":
        seen = ["connect", repr(args[1])]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        seen = ["lookup", repr(args[0])]
    else:
        return
    fd = os.open(os.environ["WITNESS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (json.dumps(seen) + "\\n").encode())
    os.close(fd)

sys.addaudithook(witness)
"""
LOCAL = ("'127.0.0.1'", "'localhost'", "'::1'", "('127.0.0.1'", "('::1'", "'/", "b'/", "'0.0.0.0'", "None", "''")


@pytest.mark.timeout(600)
def test_the_demo_ends_on_its_screen_and_reaches_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITNESS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "connections.log"
    env = {
        **os.environ,
        "FRADECT_HOME": str(tmp_path / "home"),
        "FRADECT_PORT": str(port),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PYTHONPATH": str(tmp_path),
        "WITNESS_LOG": str(log),
        "COLUMNS": "120",
    }
    fradect = str(Path(sys.executable).parent / "fradect")
    words = [fradect, "demo", "--events", "40000", "--days", "90", "--trials", "1", "--seed", "3"]
    ran = subprocess.run(words, env=env, capture_output=True, text=True, timeout=550, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for told in (
        "Average precision",
        "Money saved",
        "fairness",
        "replay",
        "APPROVE",
        "latency p50, p99",
        "make mlflow",
    ):
        assert told in ran.stdout
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(str(port) in where for _, where in seen), "the witness saw nothing, so it proves nothing"
    assert not [entry for entry in seen if not entry[1].startswith(LOCAL)]
    left = subprocess.run(["pgrep", "-f", f"--port {port}"], capture_output=True, text=True, check=False).stdout
    assert not left, "the demo left a process behind"
