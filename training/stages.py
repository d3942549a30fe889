"""What becomes of a challenger now: a pure function of where it stands, what its gates say, and the time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fradect.policy import Stages
from fradect.rollout import WHOLE, Rollout, Stage
from fradect.types import HOUR, Verdict
from training.watching import Seen

NOT_AWAITED = ("matured",)
"""Where labels are slow or never told, a shadow goes on without them: cost is judged on the canary."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is moved; the reason says for what it waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class Widen:
    """The challenger decides for this share (hundredths of a percent)."""

    share: int
    reason: str


@dataclass(frozen=True, slots=True)
class Promote:
    """The challenger becomes champion."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The challenger decides nothing any more."""

    reason: str


Move = Wait | Widen | Promote | Withdraw


def enough(now: Rollout, seen: Mapping[int, Seen], stages: Stages) -> Verdict:
    """Whether this stage has seen enough to be judged by: pairs in the shadow, else the challenger's decisions at the
    present share."""
    here = seen.get(now.share, Seen())
    is_shadow = now.stage is Stage.SHADOW
    found, least = (here.pairs, stages.shadow_pairs) if is_shadow else (here.by_challenger, stages.canary_decisions)
    what = "events judged by both" if is_shadow else f"decisions of its own on {told(now.share)}"
    evidence = {"found": found, "least": least, "pairs": here.pairs, "by_challenger": here.by_challenger}
    return Verdict("data", "pass" if found >= least else "not enough data", f"{found:,} of {least:,} {what}", evidence)


def next_move(now: Rollout, verdicts: Sequence[Verdict], stages: Stages, at: int) -> Move:
    """`verdicts`: of every gate of the stage; `at`: microseconds.

    A gate that fails withdraws the challenger at once, but for those that are not awaited, which count when all else
    would let it go on: they are no sequential tests, and are asked once. What lacks data waits; a split that ends
    without enough is withdrawn.
    """
    failed = [v for v in verdicts if not v.passed]
    if any(v.gate not in NOT_AWAITED for v in failed):
        return Withdraw(_said(v for v in failed if v.gate not in NOT_AWAITED))
    if now.stage is Stage.SPLIT and now.until is not None and at < now.until:
        return Wait(f"the split ends {day(now.until)}; nothing speaks against it so far")
    lacking = _said(v for v in verdicts if v.result == "not enough data" and v.gate in _awaited(now, verdicts, stages))
    if now.stage is Stage.SPLIT and lacking:
        return Withdraw(f"the split ended without enough data: {lacking}")
    open_ = [*filter(None, (lacking, _too_soon(now, stages, at)))]
    if open_:
        return Wait("; ".join(open_))
    if failed:
        return Withdraw(_said(failed))
    return _onwards(now, stages, _passed(now, verdicts))


def next_share(now: Rollout, stages: Stages) -> int | None:
    """None where the next step is the last: champion."""
    return None if now.stage is Stage.SPLIT else next((share for share in stages.shares if share > now.share), None)


def told(share: int) -> str:
    return f"{100 * share / WHOLE:g} %"


def day(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _onwards(now: Rollout, stages: Stages, passed: str) -> Move:
    wider = next_share(now, stages)
    return Promote(passed) if wider is None else Widen(wider, passed)


def _passed(now: Rollout, verdicts: Sequence[Verdict]) -> str:
    names = ", ".join(v.gate for v in verdicts if v.result == "pass" and v.gate != "data")
    return f"{_said(v for v in verdicts if v.gate == 'data')}; passed in the {now.stage}: {names}"


def _awaited(now: Rollout, verdicts: Sequence[Verdict], stages: Stages) -> set[str]:
    """Gates that have to pass before it goes on. Labels take long: cost is waited for before the last step alone."""
    not_yet = {"cost"} if next_share(now, stages) is not None or not stages.labels else set()
    return {v.gate for v in verdicts} - {*NOT_AWAITED, *not_yet}


def _too_soon(now: Rollout, stages: Stages, at: int) -> str:
    """A split has an end of its own."""
    until = now.since + int(stages.hours * HOUR)
    is_early = now.stage is not Stage.SPLIT and at < until
    return f"{stages.hours:g} hours in this stage are over {day(until)}" if is_early else ""


def _said(verdicts: Iterator[Verdict] | Sequence[Verdict]) -> str:
    return "; ".join(f"{v.gate}: {v.reason}" for v in verdicts)
