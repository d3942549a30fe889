"""Servers under load: started on a core of their own, asked whether they are ready, their processor time read."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

SERVER_CORE, OTHER_CORE = 0, 1
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_STOP = 15.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, and the path that answers 200 once it is ready."""

    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready: str = "/ready"


class Serving:
    """A program that runs on the server's core, until the end of the `with`."""

    def __init__(self, program: Program, log: Path, patience: float = 180.0) -> None:
        self._program = program
        self._log = log
        self._patience = patience

    def __enter__(self) -> Self:
        pinned = ["taskset", "-c", str(SERVER_CORE), *self._program.command]
        with self._log.open("wb") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", **self._program.environment}
            self._process = subprocess.Popen(pinned, env=environment, stdout=log, stderr=log)
        try:
            self._await()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_seconds(self) -> float:
        """User and system time of the process and of all its descendants."""
        return cpu_seconds(self._process.pid)

    def text(self, path: str) -> str:
        return httpx.get(f"http://127.0.0.1:{self._program.port}{path}", trust_env=False).text

    def _await(self) -> None:
        url = f"http://127.0.0.1:{self._program.port}{self._program.ready}"
        deadline = time.monotonic() + self._patience
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while time.monotonic() < deadline and self._process.poll() is None:
                try:
                    if client.get(url).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
        told = self._log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(self._program.command[:6])} is not ready:\n{told}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def cpu_seconds(root: int) -> float:
    """Of a process and its living descendants."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except OSError:
            continue  # it has ended since
        fields = stat[stat.rindex(")") + 2 :].split()
        pid = int(path.parent.name)
        parents.setdefault(int(fields[1]), []).append(pid)
        used[pid] = (int(fields[11]) + int(fields[12])) * _TICK
    total, family = 0.0, [root]
    while family:
        pid = family.pop()
        total += used.get(pid, 0.0)
        family += parents.get(pid, ())
    return total


@dataclass(frozen=True, slots=True)
class Core:
    """How long a core has been busy, and how long it has been."""

    busy: float
    whole: float

    @classmethod
    def now(cls, number: int) -> "Core":
        line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{number} "))
        ticks = [int(word) for word in line.split()[1:9]]
        return cls((sum(ticks) - ticks[3] - ticks[4]) * _TICK, sum(ticks) * _TICK)

    def since(self, before: "Core") -> float:
        """Share of the time between in which it was busy."""
        return (self.busy - before.busy) / max(self.whole - before.whole, _TICK)
