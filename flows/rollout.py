"""Rollout: a challenger goes as far as what is known of it lets it; its verdicts are stored before anything moves.

Killed at any place, it leaves one champion, and the next look sees the same pairs and decides the same.
"""

import time
from dataclasses import dataclass
from operator import itemgetter

from prefect import flow

from flows.evidence import Look, leave_look
from flows.progress import advance
from flows.progress import stage as announced
from flows.promote import AWAITED, begin, promote, take
from flows.stage import stage
from flows.wiring import Workshop, workshop
from flows.wiring.promotion import label_delay, observed
from flows.wiring.registry import repeat
from fradect import moves
from fradect.crash import crash_point
from fradect.errors import Conflict, FradectError
from fradect.moves import Act
from fradect.rollout import Rollout, Stage, promoted, rolled_back, split, widened
from fradect.types import Verdict
from training.gate import matured
from training.stages import Move, Promote, Wait, Widen, Withdraw, day, enough, next_move, told
from training.watching import Terms, Watch

SEED = 7
SCHEDULE = Act("schedule", "")


@dataclass(frozen=True, slots=True)
class Split:
    """An A/B trial that is wished for: `share` in hundredths of a percent, `until` in microseconds."""

    share: int
    until: int


@dataclass(frozen=True, slots=True)
class Wish:
    """How somebody wants a release to go on. `at_once`: by its gates on history alone."""

    act: Act
    at_once: bool = False
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a release, and why: `move` is candidate, shadow, wait, widen, split, promote or withdraw.

    `now`: who decides after it, None while nobody does; `verdicts`: of the trial, none where it was not looked at.
    """

    release_id: str
    move: str
    reason: str
    now: Rollout | None
    verdicts: tuple[Verdict, ...] = ()


def go_on(module: str, tenant: str, release_id: str, wish: Wish) -> Moved:
    """The next step that evidence allows: its gates on history and into the shadow, then wider and wider, champion.

    A tenant's first release becomes champion at once: there is nobody to be beside.
    """
    releases = workshop(module, tenant).releases
    now = None if wish.at_once else releases.rollout(module, tenant)
    if now is None or now.release == release_id:
        passed, reason = promote(module, tenant, release_id, wish.act, at_once=True)
        move = "promote" if passed else "candidate"
    elif now.challenger == release_id:
        return look(module, tenant, release_id, wish.act, wish.split)
    else:
        passed, reason = begin(module, tenant, release_id, wish.act)
        move = "shadow" if passed else "candidate"
    return Moved(release_id, move, reason, releases.rollout(module, tenant))


@stage()
def look(module: str, tenant: str, release_id: str, act: Act = SCHEDULE, wanted: Split | None = None) -> Moved:
    """Judge the challenger by all that its trial has shown, keep the verdicts, and move it on if they say so.

    `wanted`: where the shadow lets it go on, it goes into this split, or the one that two have agreed to. Conflict
    where another is tried, or somebody moved it meanwhile.
    """
    with announced("promotion") as result:
        shop = workshop(module, tenant)
        now = moves.standing(shop.releases, module, tenant)
        if now.challenger != release_id:
            raise Conflict(f"{release_id} is not being tried for {tenant!r}: see `fradect release history`")
        at = time.time_ns() // 1000
        verdicts = _judged(shop, now, at)
        limits = shop.releases.load(now.release).policy.limits
        chosen = _Chosen(next_move(now, verdicts, limits.stages, at), wanted or _agreed(now, at))
        moved = _moved(shop, now, verdicts, chosen, act)
        result.words = f"{release_id}: {moved.move}, {moved.reason}"
    return moved


def look_everywhere() -> list[Moved]:
    """At every challenger of this home, or of the store that it shares, and every step that a second person has agreed
    to. One that cannot be looked at holds up no other; the first such error is raised in the end. What was done over
    HTTP since is told to MLflow too."""
    found, errors = [], list[FradectError]()
    for (module, tenant), now in sorted(workshop("ecommerce", "any").releases.rollouts().items(), key=itemgetter(0)):
        try:
            if now.challenger is not None:
                found.append(look(module, tenant, now.challenger))
            elif now.proposed is not None and now.approved is not None:
                found.append(go_on(module, tenant, now.proposed.release, Wish(SCHEDULE, at_once=True)))
            shop = workshop(module, tenant)
            repeat(shop, moves.standing(shop.releases, module, tenant))
        except FradectError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return found


def roll_back(module: str, tenant: str, act: Act) -> Rollout:
    """Who decides after it; the way back is fradect/moves.py's."""
    shop = workshop(module, tenant)
    after = moves.roll_back(shop.releases, module, tenant, act)
    repeat(shop, after)
    return after


def _agreed(now: Rollout, at: int) -> Split | None:
    """The split that a second person has agreed to, as long as it can begin."""
    waits = now.proposed
    if waits is None or now.approved is None or waits.stage is not Stage.SPLIT or waits.until is None:
        return None
    return None if waits.is_over(at) else Split(waits.share, waits.until)


def _judged(shop: Workshop, now: Rollout, at: int) -> tuple[Verdict, ...]:
    policy = shop.releases.load(now.release).policy
    stages, limits = policy.limits.stages, policy.limits
    matured_before = at - label_delay(shop, now.release, stages)
    watch = Watch(Terms(limits.guardrails, policy.costs, matured_before, stages.silence_is_honest))
    with observed(shop, now) as seen:
        for page in seen.pages:
            watch.add(page, seen.told)
            advance(0, 0, f"{sum(one.pairs for one in watch.seen.values()):,} events judged by both")
    data = enough(now, watch.seen, stages)
    if now.stage is Stage.SHADOW:
        return (data, *watch.shadow_verdicts(), matured(watch.compared(SEED), limits))
    return (data, *watch.verdicts())


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The move, and the split that it may be instead."""

    move: Move
    wanted: Split | None

    @property
    def name(self) -> str:
        goes_on = isinstance(self.move, Widen | Promote)
        return "split" if goes_on and self.wanted is not None else type(self.move).__name__.lower()


def _moved(shop: Workshop, now: Rollout, verdicts: tuple[Verdict, ...], chosen: _Chosen, act: Act) -> Moved:
    """The verdicts first: whoever reads that the pointer moved finds why."""
    release_id, reason = now.challenger or "", act.reason or chosen.move.reason
    after = _after(now, chosen, Act(act.by, reason))
    leave_look(shop.evidence(release_id), _look(shop, now, verdicts, chosen))
    crash_point("promotion-judged")
    if after is None:
        return Moved(release_id, chosen.name, chosen.move.reason, now, verdicts)
    taken = take(shop, now, after, verdicts)
    if taken != after:
        return Moved(release_id, "wait", f"{AWAITED}; {chosen.move.reason}", taken, verdicts)
    return Moved(release_id, chosen.name, chosen.move.reason, after, verdicts)


def _after(now: Rollout, chosen: _Chosen, act: Act) -> Rollout | None:
    """None where nothing is moved."""
    match chosen.move:
        case Wait():
            return None
        case Withdraw():
            return rolled_back(now, moves.step("withdrawn", act))
        case Widen() | Promote() if chosen.wanted is not None:
            wanted = chosen.wanted
            what = f"split {told(wanted.share)} until {day(wanted.until)}"
            return split(now, wanted.share, wanted.until, moves.step(what, act))
        case Widen(share):
            return widened(now, share, moves.step(f"canary {told(share)}", act))
        case Promote():
            return promoted(now, moves.step("promoted", act))


def _look(shop: Workshop, now: Rollout, verdicts: tuple[Verdict, ...], chosen: _Chosen) -> Look:
    return Look(
        release_id=now.challenger or "",
        module=shop.module.name,
        tenant=shop.tenant,
        champion=now.release,
        number=now.number,
        stage=str(now.stage),
        share=now.share,
        at=time.time_ns() // 1000,
        move=chosen.name,
        reason=chosen.move.reason,
        verdicts=list(verdicts),
    )


promotion_flow = flow(name="promotion", log_prints=True)(look_everywhere)
