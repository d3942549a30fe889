"""The service's application under bare uvicorn with a profiler in every thread; SIGTERM ends it and writes the report.

What a profiler sees is slower than what runs without: shares count here, not microseconds. BentoML is left out.
"""

import argparse
import cProfile
import io
import pstats
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn

from fradect.settings import Settings
from serving.app import create
from serving.wiring import Service

LINES = 70


class Profiles:
    """One profiler a thread, of threads begun after `watch`."""

    def __init__(self) -> None:
        self._all: list[cProfile.Profile] = []

    def watch(self) -> None:
        threading.setprofile(lambda *_: self.begin())

    def begin(self) -> None:
        one = cProfile.Profile()
        self._all.append(one)
        one.enable()

    def report(self) -> str:
        """Functions by the time spent in themselves, then by all they called."""
        text = io.StringIO()
        for one in self._all:
            one.create_stats()
        stats = pstats.Stats(*(one for one in self._all if one.stats), stream=text).strip_dirs()
        stats.sort_stats("tottime").print_stats(LINES)
        stats.sort_stats("cumulative").print_stats(LINES)
        return text.getvalue()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.profiled", description=__doc__.partition("\n")[0])
    parser.add_argument("report", type=Path)
    asked = parser.parse_args()
    settings, profiles = Settings.from_env(), Profiles()
    signal.signal(signal.SIGTERM, _end)  # uvicorn stops first, then lets the signal through
    profiles.watch()
    service = Service(settings)
    app = create(service.start())
    profiles.begin()
    try:
        uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_level="warning")
    finally:
        sys.setprofile(None)
        service.close()
        asked.report.write_text(profiles.report())


if __name__ == "__main__":
    main()
