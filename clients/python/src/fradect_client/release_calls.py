"""Operations on releases as values."""

from fradect_client.call import Call, get, given, post, reads
from fradect_client.releases import Rollout, RolloutPage, Word

ECOMMERCE = "ecommerce"
_rollout, _rollouts = reads(Rollout), reads(RolloutPage)


def get_rollout(*, module: str = ECOMMERCE) -> Call[Rollout]:
    """Who decides, who is tried beside it, and what waits for whom."""
    return get("/api/v1/releases/rollout", _rollout, module=module)


def list_rollouts(*, module: str = ECOMMERCE, limit: int | None = None, before: int | None = None) -> Call[RolloutPage]:
    """One page of the steps so far, the newest first. Go on with its `next` until that is None."""
    return get("/api/v1/releases/history", _rollouts, module=module, limit=limit, before=before)


def roll_back(reason: str, *, release: str | None = None, module: str = ECOMMERCE) -> Call[Rollout]:
    """Withdraw the challenger; where none is tried, make the champion before champion again.

    Name `release`, the one that is to give way. Not sent again when its answer is lost: look at `rollout` then.
    """
    body = given(reason=reason, release=release, module=module)
    return post("/api/v1/releases/rollback", _rollout, body, repeatable=False)


def say_to_proposal(
    release: str,
    reason: str,
    *,
    word: Word = "approve",
    evidence: str | None = None,
    module: str = ECOMMERCE,
) -> Call[Rollout]:
    """Approve the step that waits for a second person, or refuse it. `evidence`: of the card that you have read.

    Not sent again when its answer is lost: look at `rollout` then.
    """
    body = given(release=release, reason=reason, word=word, evidence=evidence, module=module)
    return post("/api/v1/releases/approval", _rollout, body, repeatable=False)
