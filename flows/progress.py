"""Telling people how far a long run is: bars in a terminal, one log line a stage anywhere else."""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

LOG = logging.getLogger("fradect")

Advance = Callable[[float, float, str], None]  # done, total, a few words


class Narrator(Protocol):
    """Shows stages as they run."""

    def begin(self, stage: str) -> Advance: ...

    def end(self, stage: str, seconds: float, result: str) -> None: ...


class LogNarrator:
    """One line when a stage ends; what Prefect's pages and CI logs show."""

    def begin(self, stage: str) -> Advance:
        LOG.debug("%s ...", stage)
        return lambda _done, _total, _words: None

    def end(self, stage: str, seconds: float, result: str) -> None:
        LOG.info("%-12s %6.1f s  %s", stage, seconds, result)


@dataclass
class TerminalNarrator:
    """A bar a stage, kept on the screen with its result when the stage is done."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    _progress: Progress = field(init=False)
    _tasks: dict[str, TaskID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<12}", table_column=Column(min_width=12, no_wrap=True)),
            BarColumn(bar_width=12, table_column=Column(min_width=12)),
            TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
            TextColumn("{task.fields[words]}", style="dim", table_column=Column(ratio=1)),
            console=self.console,
            expand=True,
        )
        self._progress.start()

    def begin(self, stage: str) -> Advance:
        task = self._progress.add_task(stage, total=None, words="")
        self._tasks[stage] = task

        def advance(done: float, total: float, words: str) -> None:
            self._progress.update(task, completed=done, total=total or None, words=words)

        return advance

    def end(self, stage: str, seconds: float, result: str) -> None:  # noqa: ARG002  the bar keeps the time
        task = self._tasks[stage]
        self._progress.update(task, total=1, completed=1, words=result)

    def close(self) -> None:
        self._progress.stop()


class SilentNarrator:
    """Nobody is told."""

    def begin(self, stage: str) -> Advance:  # noqa: ARG002
        return lambda _done, _total, _words: None

    def end(self, stage: str, seconds: float, result: str) -> None:
        pass


_NARRATOR: ContextVar[Narrator] = ContextVar("narrator")
_ADVANCE: ContextVar[Advance] = ContextVar("advance")


@dataclass
class Result:
    """What a stage says of itself when it is done."""

    words: str = ""


@contextmanager
def stage(name: str) -> Iterator[Result]:
    """Announce a stage, time it, show its result; `advance` moves its bar meanwhile."""
    narrator = _NARRATOR.get(None) or LogNarrator()
    token = _ADVANCE.set(narrator.begin(name))
    started, result = time.monotonic(), Result()
    try:
        yield result
        narrator.end(name, time.monotonic() - started, result.words)
    finally:
        _ADVANCE.reset(token)


def advance(done: float, total: float, words: str = "") -> None:
    """Move the running stage's bar; harmless where there is none."""
    show = _ADVANCE.get(None)
    if show is not None:
        show(done, total, words)


def counted(reasons: Mapping[str, int], most: int = 5) -> str:
    """The most frequent first."""
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    rest = sum(count for _, count in ordered[most:])
    words = [f"{reason} {count:,}" for reason, count in [*ordered[:most], *([("others", rest)] if rest else [])]]
    return ", ".join(words)


@contextmanager
def shown() -> Iterator[None]:
    """Bars if standard error is a terminal, log lines otherwise, for what runs inside."""
    if not sys.stderr.isatty():
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        LOG.setLevel(logging.INFO)
        yield
        return
    narrator = TerminalNarrator()
    token = _NARRATOR.set(narrator)
    try:
        yield
    finally:
        _NARRATOR.reset(token)
        narrator.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Stages inside are not told of: they are many, and of one that is."""
    token = _NARRATOR.set(SilentNarrator())
    try:
        yield
    finally:
        _NARRATOR.reset(token)
