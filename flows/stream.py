"""Stream: events and outcomes from Kafka, or from a folder that is filled, into the log as they come."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from prefect import flow

from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring.streams import Asked, in_words, opened, refused_at
from fradect.stream import Progress

WAIT = 60.0


@stage()
def stream(url: str, mapping: str, outcomes: str | None = None, once: bool = False, wait: float = WAIT) -> Progress:
    """Take what comes until told to stop, or until there is no more; what is in hand is finished first.

    With `once`, Unavailable when a broker, database or live state is away for longer than `wait` seconds.
    """
    asked = Asked(url, mapping, outcomes, wait if once else None)
    with announced("ingest") as result, _stopping() as stop, opened(asked) as ingestion:
        progress = ingestion.run(once, stop)
        result.words = in_words(progress) + (f"; see {refused_at(asked)}" if progress.dead else "")
    return progress


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come; a second one ends the process at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, stop)
    try:
        yield asked.is_set
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


stream_flow = flow(name="stream", log_prints=True)(stream)
