"""What the release that did not decide says of an event, asked when the answer is gone."""

import time

from fradect.decide import Champion, Made
from fradect.errors import Unavailable
from fradect.features.live import Snapshot
from fradect.judgement import FACTORS, Judgement, judge
from fradect.pairs import Said
from fradect.sight import NOTHING_READ, seen
from fradect.types import Event


def said_beside(made: Made, other: Champion, *, alike: bool) -> Said:
    """From what was seen then: the same vector where both read the same features (`alike`), else its own, whose windows
    end with the same event. Blocks where its snapshots are others. Never raises: what it failed with is said."""
    began = time.perf_counter()
    try:
        judgement = _judged(made, other, alike=alike)
    except Exception as error:  # noqa: BLE001  a release on trial may fail in any way; that it did is worth knowing
        return Said(failed=type(error).__name__, took_us=_micros_since(began))
    return Said(judgement.action, judgement.score, judgement.degraded, _micros_since(began))


def _judged(made: Made, other: Champion, *, alike: bool) -> Judgement:
    release, event = other.release, made.event
    if alike:
        vector, gone = made.vector, tuple(what for what in made.gone if what != FACTORS)
    else:
        vector, gone = seen(release, event, made.arrival, _its_snapshot(other, event), made.signals)
    return judge(release, event, vector, gone, explain=False, signals=made.signals or {})


def _its_snapshot(other: Champion, event: Event) -> Snapshot | None:
    if not other.release.reads_batch:
        return NOTHING_READ
    try:
        return other.batch.read(event)
    except Unavailable:  # then it is judged as it would have decided: without
        return None


def _micros_since(began: float) -> int:
    return int((time.perf_counter() - began) * 1e6)
