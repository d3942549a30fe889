"""The tour's two trials: one that evidence takes to champion, and one that should never have begun."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flows.amend import Edit, amend
from flows.evidence import Look, last_look
from flows.progress import advance, quiet, stage
from flows.promote import take
from flows.rollout import Moved, Wish, go_on, look
from flows.tour_traffic import Made, Purchase, Tills
from flows.wiring import Workshop, workshop
from flows.wiring.traffic import decided_by
from fradect import moves
from fradect.errors import Refused, Unavailable
from fradect.moves import Act
from fradect.rollout import Rollout, shadowed, widened
from fradect.types import SECOND, Action
from training.stages import told

Of = tuple[str, str]

HURRY = Act("operator in a hurry", "straight to a quarter of the customers, it is only thresholds")
HURRIED_SHARE = 2_500
WORSE = (1, 2)  # reviewed from, declined from: nearly everybody's score is above
AFTERWARDS = 2.0  # seconds for which purchases go on after the verdict
LOOKED = 0.25  # seconds between two looks; the deployment looks every ten minutes


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of a trial as it went: purchases meanwhile, those that the challenger decided, why it went on, and the
    guardrails that held."""

    name: str
    purchases: int
    by_challenger: int
    fraud_told: int
    looks: int
    move: str
    reason: str
    held: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Sabotaged:
    """What came of the sabotage. Seconds from its first decision to the verdict, and from the verdict to its last one.

    `before`: who decided then, and has to again.
    """

    release_id: str
    before: str
    after: str
    gate: str
    reason: str
    looks: int
    decisions: int
    declined: int
    declined_honest: int
    customers: int
    to_verdict: float
    to_last: float


class Coming:
    """Purchases that are still to come."""

    def __init__(self, left: Sequence[Purchase]) -> None:
        self.left = list(left)

    def some(self, many: int) -> list[Purchase]:
        taken, self.left = self.left[:many], self.left[many:]
        if not taken:
            raise Unavailable("the tour ran out of purchases: give more, with --events, or ask for less, with --least")
        return taken


def trial(of: Of, tills: Tills, coming: Coming, release_id: str) -> Iterator[Step]:
    """Every step to champion, as it is taken by the gates. Refused where the release is withdrawn."""
    begun = go_on(*of, release_id, Wish(Act("tour", "")))
    if begun.move != "shadow":
        raise Refused(f"{release_id} was not let into the shadow: {begun.reason}")
    step = _stage(of, tills, coming, release_id)
    while step.move == "widen":
        yield step
        step = _stage(of, tills, coming, release_id)
    if step.move != "promote":
        raise Refused(f"{release_id} was withdrawn: {step.reason}")
    yield step


def _stage(of: Of, tills: Tills, coming: Coming, release_id: str) -> Step:
    """Purchases and looks, until a look moves it."""
    began, looks, made, fraud = time.monotonic(), 0, list[Made](), 0
    name = _name(moves.standing(workshop(*of).releases, *of))
    with stage(name) as result:
        while True:
            moved, looks = _looked(of, release_id), looks + 1
            if moved.move != "wait":
                break
            some = tills.pay(coming.some(tills.at_once if _is_seen(moved) else tills.many))
            fraud += tills.tell(some, fraud_alone=True)
            made += some
            advance(0, 0, f"{len(made):,} purchases; {moved.reason}")
            time.sleep(0 if _is_seen(moved) else LOOKED)
        ours = sum(one.release == release_id for one in made)
        result.words = f"{len(made):,} purchases, {ours:,} decided by the challenger"
    held = tuple(verdict.gate for verdict in moved.verdicts if verdict.result == "pass" and verdict.gate != "data")
    return Step(name, len(made), ours, fraud, looks, moved.move, moved.reason, held, time.monotonic() - began)


def _is_seen(moved: Moved) -> bool:
    """Whether the service has taken notice of the last step: it has recorded what both say."""
    return any(verdict.gate == "data" and verdict.evidence["pairs"] for verdict in moved.verdicts)


def _looked(of: Of, release_id: str) -> Moved:
    with quiet():
        return look(*of, release_id)


def _name(now: Rollout) -> str:
    return f"canary {told(now.share)}" if now.share else str(now.stage)


def sabotage(of: Of, tills: Tills, coming: Coming) -> Sabotaged:
    """By hand past shadow and gates onto a share of the customers; what takes it back is the guardrails alone."""
    shop = workshop(*of)
    before = moves.standing(shop.releases, *of)
    release_id = amend(*of, Edit(thresholds=WORSE)).release_id
    with stage("sabotage") as result, quiet():
        now = take(shop, before, shadowed(before, release_id, moves.step("shadow", HURRY)), ())
        take(shop, now, widened(now, HURRIED_SHARE, moves.step(f"canary {told(HURRIED_SHARE)}", HURRY)), ())
        result.words = f"{release_id} decides for {told(HURRIED_SHARE)} of the customers"
    with stage("guardrails") as result:
        first = _first(tills, coming, release_id)
        with tills.paying(coming.left) as answered:
            looks = _until_withdrawn(of, release_id, answered)
            time.sleep(AFTERWARDS)
        answered += first
        last = last_look(shop.evidence(release_id))
        if last is None or last.move != "withdraw":
            raise Unavailable(f"{release_id} was not caught on {len(answered):,} purchases: give more, with --events")
        result.words = f"withdrawn after {looks} looks, {len(answered):,} purchases meanwhile"
    return _told(shop, before, last, looks, answered)


def _first(tills: Tills, coming: Coming, release_id: str) -> list[Made]:
    """A few at a time until the service has taken notice."""
    made: list[Made] = []
    while not any(one.release == release_id for one in made):
        made += tills.pay(coming.some(tills.many))
        time.sleep(LOOKED)
    return made


def _until_withdrawn(of: Of, release_id: str, answered: Sequence[Made], patience: float = 30.0) -> int:
    """How often it was looked at."""
    looks, deadline = 0, time.monotonic() + patience
    while time.monotonic() < deadline:
        moved, looks = _looked(of, release_id), looks + 1
        if moved.move == "withdraw":
            break
        advance(0, 0, f"{len(answered):,} purchases; look {looks}: {moved.move}")
        time.sleep(LOOKED)
    return looks


def _told(shop: Workshop, before: Rollout, last: Look, looks: int, answered: Sequence[Made]) -> Sabotaged:
    release_id = last.release_id
    stored = decided_by(shop, shop.releases.load(release_id).contract, release_id).decided_at
    hurt = [one.purchase for one in answered if one.release == release_id and one.action is Action.DECLINE]
    return Sabotaged(
        release_id=release_id,
        before=before.release,
        after=moves.standing(shop.releases, shop.module.name, shop.tenant).release,
        gate=", ".join(verdict.gate for verdict in last.verdicts if not verdict.passed),
        reason=last.reason,
        looks=looks,
        decisions=int(stored.size),
        declined=len(hurt),
        declined_honest=sum(not one.fraud for one in hurt),
        customers=len({one.customer for one in hurt}),
        to_verdict=(last.at - int(stored.min())) / SECOND,
        to_last=max(0.0, (int(stored.max()) - last.at) / SECOND),
    )
