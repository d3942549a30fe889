"""Who decides for a tenant now, who is being tried beside it, and on what share: one value, replaced whole.

    named -> (shadow -> canary, wider and wider | split) -> promoted, or withdrawn; and back from a promotion.

What people do to it is in fradect/moves.py, for the command line as for HTTP; what evidence does, in flows/rollout.py.

Every step makes the next number, so that two who step at once cannot both; what a step replaces is kept as history.
"""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from fradect.errors import Conflict, InvalidInput

WHOLE = 10_000  # a share is in hundredths of a percent
_UNITS = 2**64


class Stage(StrEnum):
    """How a challenger is tried: beside the champion, on a growing share, or on a fixed one for a fixed time."""

    SHADOW = "shadow"
    CANARY = "canary"
    SPLIT = "split"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What led to a rollout: what was done, by whom and why, and when (microseconds since the epoch)."""

    what: str
    by: str
    reason: str
    at: int


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One gate's answer as whoever approves sees it: pass, fail or not enough data."""

    gate: str
    result: str
    reason: str


class Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step that waits for a second person: what it would be, who asks for it, and what speaks for it.

    `stage`, `share` and `until`: of the release after the step; no stage: champion. `evidence`: the digest of `card`.
    """

    release: str
    stage: Stage | None
    share: int
    asked: Step
    card: tuple[Shown, ...]
    evidence: str
    until: int | None = None

    def is_over(self, at: int) -> bool:
        """A split whose end has come before it began: it cannot be taken any more, and holds up no other step."""
        return self.until is not None and self.until <= at


class Rollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`release` is champion; `previous` was before it, and is what a rollback returns to.

    `share`: of subjects, in hundredths of a percent, for whom the challenger decides. `until`: when a split ends.
    `begun_by`, `begun_at`: who began the trial, and when. Where two have to agree: `proposed`, the step that waits, and
    `approved`, by whom it may be taken; the next step of any kind ends both.
    A pointer from before there were rollouts is one with nothing but a release.
    """

    release: str
    number: int = 0
    challenger: str | None = None
    stage: Stage | None = None
    share: int = 0
    since: int = 0
    until: int | None = None
    previous: str | None = None
    step: Step | None = None
    begun_by: str = ""
    begun_at: int = 0
    proposed: Proposal | None = None
    approved: Step | None = None

    @property
    def releases(self) -> tuple[str, ...]:
        """All that have to be at hand: the champion first; the previous one last, for the way back."""
        wanted = (self.release, self.challenger, self.previous)
        return tuple(dict.fromkeys(one for one in wanted if one is not None))


def named(now: Rollout | None, release: str, step: Step) -> Rollout:
    """The release is champion. Conflict while a challenger is tried: it has to be promoted, or withdrawn, first."""
    if now is None:
        return Rollout(release, number=1, since=step.at, step=step)
    if now.challenger is not None and now.challenger != release:
        raise Conflict(f"{now.challenger} is being tried ({now.stage}): withdraw it first, or promote it")
    previous = now.previous if release == now.release else now.release
    return _next(now, step, release=release, previous=previous, **_NO_TRIAL)


def shadowed(now: Rollout, challenger: str, step: Step) -> Rollout:
    """The challenger is judged beside the champion and decides nothing."""
    if challenger == now.release:
        raise Conflict(f"{challenger} is champion already")
    if now.challenger is not None:
        raise Conflict(f"{now.challenger} is being tried ({now.stage}): one challenger at a time")
    begun = {"stage": Stage.SHADOW, "begun_by": step.by, "begun_at": step.at}
    return _next(now, step, **{**_NO_TRIAL, **begun, "challenger": challenger})


def widened(now: Rollout, share: int, step: Step) -> Rollout:
    """The challenger decides for this share from now on, which is more than before."""
    if now.challenger is None or now.stage is Stage.SPLIT:
        raise Conflict("nothing is on its way to become champion: begin with a shadow")
    if not now.share < share <= WHOLE:
        raise InvalidInput(f"share {share}: more than the present {now.share}, and at most {WHOLE}", field="share")
    return _next(now, step, stage=Stage.CANARY, share=share)


def split(now: Rollout, share: int, until: int, step: Step) -> Rollout:
    """An A/B trial: the challenger that was in shadow decides for a fixed share until a fixed moment."""
    if now.challenger is None or now.stage is not Stage.SHADOW:
        raise Conflict("a split begins with a challenger in shadow")
    if not 0 < share < WHOLE:
        raise InvalidInput(f"share {share}: between 1 and {WHOLE - 1}", field="share")
    if until <= step.at:
        raise InvalidInput("until: the end lies before the beginning", field="until")
    return _next(now, step, stage=Stage.SPLIT, share=share, until=until)


def needs_second(now: Rollout | None, after: Rollout) -> bool:
    """Whether two people have to agree to this step, where a tenant asks for that: it makes a champion in the place of
    another, or gives a challenger its first share, or all. The way back never does."""
    if now is None:
        return False
    if after.release != now.release:
        return after.release != now.previous or after.previous is not None
    return after.share > now.share and (not now.share or after.share == WHOLE)


def proposed(now: Rollout, after: Rollout, card: tuple[Shown, ...]) -> Rollout:
    """`after` waits for a second person instead of being taken: `after.step.by` asks, `card` is what speaks for it."""
    release, asked = after.challenger or after.release, after.step
    if asked is None or not needs_second(now, after):
        raise Conflict(f"this step of {release} needs no second person")
    if after.number != now.number + 1:
        raise Conflict(f"the rollout went on before {release} was proposed: look again")
    if now.proposed is not None and not now.proposed.is_over(asked.at):
        raise Conflict(f"{now.proposed.release} waits for a second person already: approve or refuse it first")
    proposal = Proposal(release, after.stage, after.share, asked, card, _digest(card), after.until)
    return _next(now, msgspec.structs.replace(asked, what="proposed"), since=now.since, proposed=proposal)


def approved(now: Rollout, step: Step) -> Rollout:
    """A second person agrees to what is proposed: it may be taken now, as long as its gates pass."""
    waits = now.proposed
    if waits is None:
        raise Conflict("nothing waits for a second person")
    if now.approved is not None:
        raise Conflict(f"{waits.release} was approved by {now.approved.by} already")
    if step.by in {waits.asked.by, now.begun_by}:
        did = "asked for this step" if step.by == waits.asked.by else "began this trial"
        raise Conflict(f"{step.by} {did}: it takes a second person to approve it")
    return _next(now, step, since=now.since, proposed=waits, approved=step)


def declined(now: Rollout, step: Step) -> Rollout:
    """What is proposed is not done; a challenger is withdrawn with it."""
    if now.proposed is None:
        raise Conflict("nothing waits for a second person")
    if now.challenger is not None:
        return rolled_back(now, step)
    return _next(now, step, since=now.since)


def is_proposed(now: Rollout, after: Rollout) -> bool:
    """Whether this very step waits for a second person, or has waited and may be taken."""
    waits = now.proposed
    wanted = after.challenger or after.release, after.stage, after.share, after.until
    return waits is not None and (waits.release, waits.stage, waits.share, waits.until) == wanted


def is_agreed(now: Rollout, after: Rollout) -> bool:
    """Whether a second person has agreed to this very step."""
    return now.approved is not None and is_proposed(now, after)


def promoted(now: Rollout, step: Step) -> Rollout:
    """The challenger is champion; who was stays at hand."""
    if now.challenger is None:
        raise Conflict("nothing is being tried")
    return named(now, now.challenger, step)


def rolled_back(now: Rollout, step: Step) -> Rollout:
    """The challenger is withdrawn; where there is none, the champion before this one is champion again."""
    if now.challenger is not None:
        return _next(now, step, **_NO_TRIAL)
    if now.previous is None:
        raise Conflict("there is no champion before this one to go back to")
    return _next(now, step, release=now.previous, previous=None)


_NO_TRIAL: Mapping[str, Any] = MappingProxyType(
    {"challenger": None, "stage": None, "share": 0, "until": None, "begun_by": "", "begun_at": 0}
)


def _next(now: Rollout, step: Step, **changes: Any) -> Rollout:
    moved = {"number": now.number + 1, "since": step.at, "step": step, "proposed": None, "approved": None}
    return msgspec.structs.replace(now, **{**moved, **changes})


def _digest(card: tuple[Shown, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(card)).hexdigest()


def is_chosen(now: Rollout, tenant_id: str, subject: str, mac: Callable[[bytes], bytes]) -> bool:
    """Whether the challenger decides for this subject.

    The same for one subject as long as the trial lasts, and still so when the share grows. `mac`: a keyed hash, so that
    nobody outside can tell, or choose, in which part they are. Another challenger draws other parts.
    """
    if not now.share or now.challenger is None:
        return False
    drawn = mac(f"rollout\0{now.challenger}\0{tenant_id}\0{subject}".encode())
    return int.from_bytes(drawn[:8], "big") * WHOLE < now.share * _UNITS
