"""Several worker processes of one service: what each does, and what only one does at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fradect.errors import Refused
from fradect.settings import Settings


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of how many this process is, from 1. The first does what need not be done by more than one."""

    number: int = 1
    of: int = 1

    @property
    def is_first(self) -> bool:
        return self.number == 1


ALONE = Worker()


def check_shareable(settings: Settings) -> None:
    """Refused when several workers are asked for over files that have one writer."""
    alone = [
        f"{name}={what}"
        for name, what, url in (
            ("FRADECT_LEDGER_URL", "postgresql+psycopg://...", settings.ledger_url),
            ("FRADECT_STATE_URL", "redis://...", settings.state_url),
        )
        if url.startswith("sqlite:")
    ]
    if settings.workers > 1 and alone:
        raise Refused(
            f"{settings.workers} workers cannot share SQLite, which has one writer: set {' and '.join(alone)}"
        )


@contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Whatever process of this home comes second waits."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "workers.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
