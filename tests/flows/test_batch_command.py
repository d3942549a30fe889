"""`fradect batch` against the real service: a file in, what came of every row out."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.launch import Running, start
from tests.serving.conftest import promote, settings_of

HEAD = "transaction.transaction_id,transaction.amount,transaction.currency,transaction.customer_id\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    home = tmp_path_factory.mktemp("batches")
    promote(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    running = start(settings_of(home, port=port, budget_ms=3_000), home / "service.log")
    yield running, home
    running.stop()


def _fradect(service: tuple[Running, Path], *words: str) -> "subprocess.Popen[str]":
    running, home = service
    code = "from fradect.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "batch", *words, "--url", running.url],
        env={**os.environ, "FRADECT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _file(home: Path, name: str, rows: int) -> Path:
    path = home / name
    path.write_text(HEAD + "".join(f"{name}-{n},{n + 1},RUB,c{n % 9}\n" for n in range(rows)) + "bad,x,RUB,c\n")
    return path


def test_a_file_goes_in_and_its_decisions_come_out(service: tuple[Running, Path]) -> None:
    home = service[1]
    file, result, figures = _file(home, "some.csv", 40), home / "out" / "decided.csv", home / "figures.json"
    ran = _fradect(service, "score", str(file), "--result", str(result), "--json", str(figures))
    _, errors = ran.communicate(timeout=120)
    assert ran.returncode == 0, errors
    rows = list(csv.DictReader(result.read_text().splitlines()))
    assert [row["transaction_id"] for row in rows] == [f"some.csv-{n}" for n in range(40)] + ["bad"]
    assert rows[-1]["field"] == "transaction.amount"
    (job,) = json.loads(figures.read_text())["jobs"]
    assert (job["status"], job["done"], job["rejected"]) == ("COMPLETED", 41, 1)


def test_who_interrupts_it_takes_it_up_again(service: tuple[Running, Path]) -> None:
    home = service[1]
    ran = _fradect(service, "score", str(_file(home, "long.csv", 4_000)))
    deadline = time.monotonic() + 60
    while not (jobs := _jobs(service)) or jobs[0]["total"] != 4_001:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ran.send_signal(signal.SIGKILL)
    ran.communicate(timeout=60)
    result = home / "long.ndjson"
    again = _fradect(service, "follow", str(jobs[0]["job_id"]), "--result", str(result))
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert len(result.read_bytes().splitlines()) == 4_001


def _jobs(service: tuple[Running, Path]) -> list[dict[str, object]]:
    figures = service[1] / "jobs.json"
    ran = _fradect(service, "list", "--json", str(figures))
    _, errors = ran.communicate(timeout=60)
    assert ran.returncode == 0, errors
    jobs: list[dict[str, object]] = json.loads(figures.read_text())["jobs"]
    return jobs


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["score", "nothing.csv"], "give a file that ends in"),
        (["score", "some.xlsx"], "give a file that ends in"),
        (["follow", "job_0000000000000"], "404"),
        (["list", "--key-file", "/nowhere"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(service: tuple[Running, Path], words: list[str], said: str) -> None:
    ran = _fradect(service, *words)
    _, errors = ran.communicate(timeout=60)
    assert ran.returncode == 2
    assert said in errors.splitlines()[-1]
