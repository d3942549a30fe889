"""The relay of webhooks beside the service: a process of its own, so that telling costs deciding no interpreter.

It runs while anybody is to be told, ends when this process does, and is started again when it died.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Protocol

import msgspec

from fradect.settings import PROJECT

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "serving.wiring_relay")
_AGAIN_SECONDS = 5.0
_END_SECONDS = 8.0


class Counts(msgspec.Struct, frozen=True):
    """What the relay says of itself, a line of JSON now and then: tries since the last line."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0


class Queue(Protocol):
    """As fradect.adapters.webhook_queue.WebhookQueue."""

    def is_wanted(self) -> bool: ...
    def oldest(self) -> int | None: ...
    def prune(self, now: int, *, is_wanted: bool) -> int: ...


class Shown(Protocol):
    """Where operators see it."""

    def webhooks_tried(self, delivered: int, failed: int, dead: int) -> None: ...
    def outbox_age(self, seconds: float) -> None: ...


class RelayProcess:
    """Tended by housekeeping; one thread at a time."""

    def __init__(self, queue: Queue, environment: Mapping[str, str], shown: Shown, now: Callable[[], int]) -> None:
        self._queue = queue
        self._environment = environment
        self._shown = shown
        self._now = now
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -_AGAIN_SECONDS

    def tend(self) -> None:
        """Start it when somebody is to be told, stop it when nobody is; without it keep the outbox small."""
        now, is_wanted = self._now(), self._queue.is_wanted()
        oldest = self._queue.oldest() if is_wanted else None
        self._shown.outbox_age(0.0 if oldest is None else max(0, now - oldest) / 1e6)
        if not is_wanted:
            self.stop()
            self._queue.prune(now, is_wanted=False)
        elif not self._is_alive() and time.monotonic() - self._started >= _AGAIN_SECONDS:
            self._start()

    def stop(self) -> None:
        """Tries under way end first; what does not in time is tried again when the relay is back."""
        process, self._process = self._process, None
        if process is None:
            return
        _input(process).close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _is_alive(self) -> bool:
        if self._process is None:
            return False
        code = self._process.poll()
        if code is not None:
            log.warning("the relay of webhooks ended with code %s; another is started", code)
            self.stop()
        return code is None

    def _start(self) -> None:
        self._started = time.monotonic()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(COMMAND, cwd=PROJECT, env=self._environment, stdin=pipe, stdout=pipe)
        threading.Thread(target=self._listen, args=(self._process,), name="webhook relay", daemon=True).start()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        with _output(process) as lines:
            for line in lines:
                counts = msgspec.json.decode(line, type=Counts)
                self._shown.webhooks_tried(counts.delivered, counts.failed, counts.dead)


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101  it was asked for
    return process.stdin


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None  # noqa: S101  it was asked for
    return process.stdout
