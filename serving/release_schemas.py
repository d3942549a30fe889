"""What callers say and are told of releases: who decides, who is tried, what waits for whom."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from fradect.deliveries import written
from fradect.rollout import WHOLE, Proposal, Rollout, Stage, Step
from serving.schemas import NOT_BLANK, Time

ModuleName = Literal["ecommerce"]
Reason = Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema=NOT_BLANK)]
ReleaseId = Annotated[str, Meta(pattern="^rel_[0-9a-f]{16}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
StageName = Literal["shadow", "canary", "split"]
Word = Literal["approve", "refuse"]
Becomes = Literal["canary", "split", "champion"]
WaitsFor = Literal["evidence", "a second person"]


class RollbackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/releases/rollback`. With `release` nothing is done unless that one is to give way."""

    reason: Reason
    module: ModuleName = "ecommerce"
    release: ReleaseId | None = None


class ApprovalRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/releases/approval`. With `evidence` nothing is done if there is another card by now."""

    release: ReleaseId
    reason: Reason
    module: ModuleName = "ecommerce"
    word: Word = "approve"
    evidence: Digest | None = None


class StepOut(Struct, frozen=True):
    """What was done, by whom (the id of a key, or issuer and subject of a token) and why."""

    what: str
    by: str
    reason: str
    at: Time


class GateOut(Struct, frozen=True):
    """One gate's answer: `pass`, `fail` or `not enough data`."""

    gate: str
    result: str
    reason: str


class ProposalOut(Struct, frozen=True):
    """A step that waits for a second person, and the card that speaks for it."""

    release: str
    becomes: Becomes
    share: float
    asked: StepOut
    card: tuple[GateOut, ...]
    evidence: str
    approved: StepOut | None


class PastRolloutOut(Struct, frozen=True):
    """Who decided from a step until the next."""

    number: int
    release: str
    previous: str | None
    challenger: str | None
    stage: StageName | None
    share: float
    since: Time | None
    until: Time | None
    step: StepOut | None
    proposed: ProposalOut | None


class RolloutOut(PastRolloutOut, frozen=True, kw_only=True):
    """Who decides for the tenant now, who is tried beside it, and what waits for whom."""

    module: str
    begun_by: str | None
    begun_at: Time | None
    four_eyes: bool
    waits_for: WaitsFor | None
    in_force: bool
    idle: str | None


class RolloutsOut(Struct, frozen=True):
    """The newest first. `next`: the `before` of the page that follows, null after the last."""

    history: tuple[PastRolloutOut, ...]
    next: int | None


_STAGES: Mapping[Stage, StageName] = {Stage.SHADOW: "shadow", Stage.CANARY: "canary", Stage.SPLIT: "split"}


def past_of(one: Rollout) -> PastRolloutOut:
    return PastRolloutOut(
        number=one.number,
        release=one.release,
        previous=one.previous,
        challenger=one.challenger,
        stage=None if one.stage is None else _STAGES[one.stage],
        share=one.share / WHOLE,
        since=written_or_none(one.since),
        until=written_or_none(one.until),
        step=_step(one.step),
        proposed=_proposal(one.proposed, one.approved),
    )


def waits_for(now: Rollout) -> WaitsFor | None:
    if now.proposed is not None and now.approved is None:
        return "a second person"
    return "evidence" if now.challenger is not None or now.proposed is not None else None


def _proposal(waits: Proposal | None, approved: Step | None) -> ProposalOut | None:
    if waits is None:
        return None
    return ProposalOut(
        release=waits.release,
        becomes=_becomes(waits.stage),
        share=waits.share / WHOLE,
        asked=_told(waits.asked),
        card=tuple(GateOut(one.gate, one.result, one.reason) for one in waits.card),
        evidence=waits.evidence,
        approved=_step(approved),
    )


def _becomes(stage: Stage | None) -> Becomes:
    if stage is None:
        return "champion"
    return "split" if stage is Stage.SPLIT else "canary"


def _step(step: Step | None) -> StepOut | None:
    return None if step is None else _told(step)


def _told(step: Step) -> StepOut:
    return StepOut(step.what, step.by, step.reason, written(step.at))


def written_or_none(micros: int | None) -> str | None:
    """Pointers from before there were rollouts know no time."""
    return written(micros) if micros else None
