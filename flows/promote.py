"""Promote: a candidate that its gates on history let pass becomes champion at once, or is taken into the shadow."""

import logging
from collections.abc import Sequence

from flows.evaluate import evaluate
from flows.evidence import Candidate, Measured, Verdicts, leave, recall
from flows.progress import advance
from flows.progress import stage as announced
from flows.stage import stage
from flows.wiring import Workshop, workshop
from flows.wiring.derived import derive
from flows.wiring.registry import repeat
from flows.wiring.replaying import Play, play, stretch_of
from fradect import rules
from fradect.crash import crash_point
from fradect.errors import InvalidInput, NotFound, Refused
from fradect.features.layout import layout_of
from fradect.four_eyes import NeedsSecond
from fradect.moves import Act, propose, step
from fradect.policy import Stages
from fradect.rollout import Rollout, is_agreed, named, needs_second, shadowed
from fradect.types import Verdict
from training.gate import conclude
from training.gate import replay as replay_gate

LOG = logging.getLogger("fradect")
NOBODY = Act("pipeline", "")
AWAITED = "a second person has to agree: `fradect release approve`, or refuse"


@stage()
def promote(module: str, tenant: str, release_id: str, act: Act = NOBODY, *, at_once: bool = False) -> tuple[bool, str]:
    """Whether the release is champion now, and why, or why not.

    Where the champion's policy asks for stages it goes into the shadow, unless it is wanted `at_once`; where two have
    to agree it waits for the second, with its card.
    """
    shop = workshop(module, tenant)
    now = _standing(shop)
    stages = _stages(shop, now, release_id)
    if now is not None and now.challenger not in (None, release_id):
        return (
            False,
            f"{now.challenger} is being tried ({now.stage}): withdraw it (`fradect release rollback`), or wait",
        )
    if now is not None and stages is not None and stages.always and not at_once:
        entered, reason = _into_shadow(shop, now, release_id, act)
        return False, f"it is in the shadow: {reason}" if entered else reason
    return _at_once(shop, now, release_id, act)


@stage()
def begin(module: str, tenant: str, release_id: str, act: Act) -> tuple[bool, str]:
    """Whether the release is judged beside the champion from now on, and why, or why not.

    Conflict while another is tried; Refused for one that needs other windows than the champion: no service could ask
    both about one event.
    """
    shop = workshop(module, tenant)
    now = _standing(shop)
    if now is None:
        raise NotFound(f"{tenant!r} has no champion of {module} to be beside: `fradect promote {release_id} --now`")
    shadowed(now, release_id, step("shadow", act))  # before gates that take minutes: could it begin at all?
    return _into_shadow(shop, now, release_id, act)


def _standing(shop: Workshop) -> Rollout | None:
    """A damaged pointer is as good as none: promoting is what mends it."""
    try:
        return shop.releases.rollout(shop.module.name, shop.tenant)
    except Refused as error:
        LOG.warning("%s", error)
        return None


def _stages(shop: Workshop, now: Rollout | None, release_id: str) -> Stages | None:
    """The champion's, for another release than itself."""
    is_first = now is None or now.release == release_id
    return None if is_first or now is None else shop.releases.load(now.release).policy.limits.stages


def _into_shadow(shop: Workshop, now: Rollout, release_id: str, act: Act) -> tuple[bool, str]:
    ours, theirs = (
        layout_of(shop.module, shop.releases.load(one).contract).digest for one in (release_id, now.release)
    )
    if ours != theirs:
        raise Refused(
            f"{release_id} needs other windows than the live state is kept for, so it cannot be judged beside "
            f"{now.release}: `fradect promote {release_id} --now` makes it champion by its gates on history alone"
        )
    with announced("promote") as result:
        outcome = conclude(_proven(shop, now, release_id))
        if outcome.passed:
            after = shadowed(now, release_id, step("shadow", Act(act.by, act.reason or outcome.reason)))
            shop.releases.move(shop.module.name, shop.tenant, after)
            repeat(shop, after)
        result.words = f"{release_id} {'is in the shadow' if outcome.passed else 'stays a candidate'}: {outcome.reason}"
    return outcome.passed, outcome.reason


def _at_once(shop: Workshop, now: Rollout | None, release_id: str, act: Act) -> tuple[bool, str]:
    with announced("promote") as result:
        verdicts = _proven(shop, now, release_id)
        outcome = conclude(verdicts)
        promoted, reason = outcome.passed, outcome.reason
        if promoted:
            advance(0.8, 1, "champion")
            after = named(now, release_id, step("named", Act(act.by, act.reason or reason)))
            promoted = take(shop, now, after, verdicts) == after
            reason = reason if promoted else f"{AWAITED}; {reason}"
        result.words = f"{release_id} {'is champion' if promoted else 'stays a candidate'}: {reason}"
    return promoted, reason


def take(shop: Workshop, now: Rollout | None, after: Rollout, verdicts: Sequence[Verdict]) -> Rollout:
    """`after`, once it is so; where two have to agree the step waits for the second, with `verdicts` as its card, and
    the rollout in which it waits is the answer."""
    module, tenant = shop.module.name, shop.tenant
    if now is not None and _is_waited_for(now, after):
        return now
    try:
        shop.releases.move(module, tenant, after)
    except NeedsSecond:
        return propose(shop.releases, module, tenant, after, verdicts)
    crash_point("promotion-moved")
    repeat(shop, after)
    return after


def _is_waited_for(now: Rollout, after: Rollout) -> bool:
    """Whether a second person has yet to answer before `after` can be taken, or proposed."""
    at = 0 if after.step is None else after.step.at
    is_open = now.proposed is not None and not now.proposed.is_over(at)
    return is_open and needs_second(now, after) and not is_agreed(now, after)


def _proven(shop: Workshop, now: Rollout | None, release_id: str) -> Sequence[Verdict]:
    """Of every gate on history; each is stored with its evidence before anything is moved."""
    stored = shop.releases.load(release_id)  # an id that is none, or damaged parts, are told as such
    rules.load(stored.rulebook, shop.module)
    candidate = recall(shop.evidence(release_id), Candidate)
    if (candidate.module, candidate.tenant) != (shop.module.name, shop.tenant):
        raise InvalidInput(
            f"release {release_id} was made for {candidate.tenant} ({candidate.module}): promote it there",
            field="tenant",
        )
    if _is_out_of_date(shop, now, release_id):
        evaluate(shop.module.name, shop.tenant, release_id)
    advance(0.2, 1, "live equals history?")
    measured = _without_replay(shop, release_id)
    verdicts = [*measured, _replayed(shop, candidate)]
    leave(shop.evidence(release_id), Verdicts(release_id, verdicts))
    return verdicts


def _is_out_of_date(shop: Workshop, now: Rollout | None, release_id: str) -> bool:
    """It was never measured, or against a champion that is none any more."""
    try:
        measured = recall(shop.evidence(release_id), Measured)
    except NotFound:
        return True
    return now is not None and now.release not in (measured.champion, release_id)


def _without_replay(shop: Workshop, release_id: str) -> list[Verdict]:
    return [v for v in recall(shop.evidence(release_id), Verdicts).verdicts if v.gate != "replay"]


def _replayed(shop: Workshop, candidate: Candidate) -> Verdict:
    """Some of its test events in a row, through the live path after a rebuild, against history as it is now."""
    release = shop.releases.load(candidate.release_id)
    derive(shop, release.contract)
    tested, many = candidate.training.boundaries.chosen_at, release.policy.limits.replay_events
    between = stretch_of(shop, release.contract, tested, many, candidate.training.seed)
    report = play(shop, Play(release.contract, between)).report
    found = [f"{example} ({report.by_feature[example.feature]:,} such events)" for example in report.examples]
    return replay_gate([*found, *report.unmatched], report.events, report.differing + report.missing + report.extra)
