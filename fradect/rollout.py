"""Who decides for a tenant now, who is being tried beside it, and on what share: one value, replaced whole.

    named -> (shadow -> canary, wider and wider | split) -> promoted, or withdrawn; and back from a promotion.

What people do to it is in fradect/moves.py, for the command line as for HTTP; what evidence does, in flows/rollout.py.

Every step makes the next number, so that two who step at once cannot both; what a step replaces is kept as history.
"""

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


class Rollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`release` is champion; `previous` was before it, and is what a rollback returns to.

    `share`: of subjects, in hundredths of a percent, for whom the challenger decides. `until`: when a split ends.
    `begun_by`: who began the trial; `approved`: by whom the challenger may become champion, where two have to agree.
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
    return _next(now, step, **{**_NO_TRIAL, "challenger": challenger, "stage": Stage.SHADOW, "begun_by": step.by})


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


def approved(now: Rollout, step: Step) -> Rollout:
    """A second person agrees that the challenger becomes champion, once its gates pass."""
    if now.challenger is None:
        raise Conflict("nothing is being tried")
    if step.by == now.begun_by:
        raise Conflict(f"{step.by} began this trial: it takes a second person to approve it")
    return _next(now, step, since=now.since, approved=step)


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
    {"challenger": None, "stage": None, "share": 0, "until": None, "begun_by": "", "approved": None}
)


def _next(now: Rollout, step: Step, **changes: Any) -> Rollout:
    return msgspec.structs.replace(now, **{"number": now.number + 1, "since": step.at, "step": step, **changes})


def is_chosen(now: Rollout, tenant_id: str, subject: str, mac: Callable[[bytes], bytes]) -> bool:
    """Whether the challenger decides for this subject.

    The same for one subject as long as the trial lasts, and still so when the share grows. `mac`: a keyed hash, so that
    nobody outside can tell, or choose, in which part they are. Another challenger draws other parts.
    """
    if not now.share or now.challenger is None:
        return False
    drawn = mac(f"rollout\0{now.challenger}\0{tenant_id}\0{subject}".encode())
    return int.from_bytes(drawn[:8], "big") * WHOLE < now.share * _UNITS
