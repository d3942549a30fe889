"""Processes for what may break, hang or lie: they know no secret, and are bounded in what they take."""

import os
import resource
import sys
from typing import Any

from fradect.settings import PROJECT

_KEPT = ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")  # of the environment; no secret is among them


def started(boot: str, **more: str) -> dict[str, Any]:
    """What `subprocess` needs to run `boot`, with `more` in its environment."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"} | more
    return {"args": [sys.executable, "-c", boot], "cwd": PROJECT, "env": environment}


def bound(memory: int, seconds: int | None = None) -> None:
    """For the child itself: bytes it may take, seconds of a processor; no file is written, no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
