"""Named places where a process can be made to die as if by a power cut, for tests of what survives it."""

import os
import signal
from collections.abc import Callable

_OF_WEBHOOKS = ("relay-handing-on", "relay-leased", "relay-sent")  # fradect/adapters/webhook_queue.py
_OF_BATCHES = ("batch-decided", "batch-committed")  # a chunk: fradect/adapters/batch_leases.py
_OF_ERASURES = ("erasure-begun", "erasure-step")  # fradect/adapters/erasures.py
_OF_PROMOTIONS = ("promotion-judged", "promotion-moved")  # flows/rollout.py
_OF_DECISIONS = ("before-insert", "before-commit", "after-commit", "mid-response")
POINTS = (*_OF_DECISIONS, *_OF_WEBHOOKS, *_OF_BATCHES, *_OF_ERASURES, *_OF_PROMOTIONS)


def armed(asked: str) -> Callable[[str], None]:
    """For "point:n" (FRADECT_CRASH_AT) a function that kills the process when it comes to the point for the nth time;
    otherwise one that does nothing."""
    point, _, times = asked.partition(":")
    if point not in POINTS:
        return _nothing
    left = int(times or 1)

    def pass_by(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return pass_by


def _nothing(_name: str) -> None:
    pass


_ASKED = os.environ.get("FRADECT_CRASH_AT", "")
crash_point = armed(_ASKED)


def is_armed(point: str) -> bool:
    """For places where coming by would cost something by itself."""
    return _ASKED.partition(":")[0] == point
