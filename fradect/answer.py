"""The answer to a score request, as bytes: written to the ledger as they leave."""

import msgspec

from fradect.types import Decision, Factor


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the caller gets, and gets again for the same request. The points of all factors add up to the score.

    `explored` is there where a decline was let through by chance.
    """

    decision_id: str
    score: int
    decision: str
    factors: tuple[Factor, ...]
    degraded: tuple[str, ...]
    release: str
    request_id: str
    processing_time_ms: float
    explored: bool = False


_ENCODER = msgspec.json.Encoder()


def encode(decision: Decision) -> bytes:
    """JSON. The time is until the decision was made; writing it down durably comes after."""
    answer = Answer(
        decision_id=decision.decision_id,
        score=decision.score,
        decision=decision.action.name,
        factors=decision.factors,
        degraded=decision.degraded,
        release=decision.release_id,
        request_id=decision.request_id,
        processing_time_ms=round(decision.timings_us["total"] / 1000, 3),
        explored=decision.propensity is not None and decision.let_through,
    )
    return _ENCODER.encode(answer)
