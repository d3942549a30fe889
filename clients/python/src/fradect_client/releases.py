"""Who decides, who is tried beside it, and what waits for whom."""

from datetime import datetime
from typing import Literal

import msgspec

Word = Literal["approve", "refuse"]


class Step(msgspec.Struct, frozen=True):
    """What was done, by whom (a key's id, a token's issuer and subject, or who ran a command) and why."""

    what: str
    by: str
    reason: str
    at: datetime


class Gate(msgspec.Struct, frozen=True):
    """One gate's answer: `pass`, `fail` or `not enough data`."""

    gate: str
    result: str
    reason: str


class Proposal(msgspec.Struct, frozen=True):
    """A step that waits for a second person. `becomes`: canary, split or champion; `share`: from 0 to 1.

    `evidence` names the card: send it along, so that you agree to what you have read.
    """

    release: str
    becomes: str
    share: float
    asked: Step
    card: tuple[Gate, ...]
    evidence: str
    approved: Step | None


class PastRollout(msgspec.Struct, frozen=True):
    """Who decided from a step until the next. `stage`: shadow, canary or split; `share`: of customers, from 0 to 1."""

    number: int
    release: str
    previous: str | None
    challenger: str | None
    stage: str | None
    share: float
    since: datetime | None
    until: datetime | None
    step: Step | None
    proposed: Proposal | None


class Rollout(PastRollout, frozen=True, kw_only=True):
    """Who decides now. `in_force`: in the process that answered; `idle`: why its challenger decides nothing there."""

    module: str
    begun_by: str | None
    begun_at: datetime | None
    four_eyes: bool
    waits_for: str | None
    in_force: bool
    idle: str | None


class RolloutPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: the value of `before` for those that follow."""

    history: tuple[PastRollout, ...]
    next: int | None
