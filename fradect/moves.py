"""What people do to a rollout: each reads it, makes one step and stores it, or says why that cannot be.

Whoever stepped meanwhile goes before: then it is a Conflict, and nothing was changed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fradect.errors import Conflict, NotFound
from fradect.ports import ReleaseStore
from fradect.rollout import Rollout, Shown, Step, approved, declined, proposed, rolled_back
from fradect.types import Verdict

LONGEST = 500  # characters of a reason that are kept


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, and why."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Looked:
    """Which release somebody looked at, and which card of it: nobody agrees to another one by being late."""

    release: str
    evidence: str | None = None


def step(what: str, act: Act) -> Step:
    """Taken now."""
    return Step(what, act.by, act.reason[:LONGEST], time.time_ns() // 1000)


def standing(store: ReleaseStore, module: str, tenant_id: str) -> Rollout:
    """NotFound where nothing decides for the tenant yet."""
    now = store.rollout(module, tenant_id)
    if now is None:
        raise NotFound(f"tenant {tenant_id!r} has no champion of {module}: `fradect promote` a release first")
    return now


def roll_back(store: ReleaseStore, module: str, tenant_id: str, act: Act, release: str | None = None) -> Rollout:
    """The challenger is withdrawn; where none is tried, the champion before is champion again.

    `release`: the one that is to give way, where asking twice must not go two steps back.
    """
    now = standing(store, module, tenant_id)
    first = now.challenger or now.release
    if release not in (None, first):
        raise Conflict(f"{release} is not the one to give way for {tenant_id!r}, {first} is: look again")
    after = rolled_back(now, step("rolled back" if now.challenger is None else "withdrawn", act))
    store.move(module, tenant_id, after)
    return after


def propose(store: ReleaseStore, module: str, tenant_id: str, after: Rollout, verdicts: Sequence[Verdict]) -> Rollout:
    """`after`, which two have to agree to, waits for the second; `verdicts` are the card that they are shown."""
    card = tuple(Shown(one.gate, one.result, one.reason) for one in verdicts)
    waiting = proposed(standing(store, module, tenant_id), after, card)
    store.move(module, tenant_id, waiting)
    return waiting


def approve(store: ReleaseStore, module: str, tenant_id: str, looked: Looked, act: Act) -> Rollout:
    """A second person agrees; the next look at its evidence takes the step that was proposed."""
    now = _looked_at(store, module, tenant_id, looked)
    after = approved(now, step("approved", act))
    store.move(module, tenant_id, after)
    return after


def refuse(store: ReleaseStore, module: str, tenant_id: str, looked: Looked, act: Act) -> Rollout:
    """What is proposed is not done, and its challenger is withdrawn. One person is enough to say no."""
    now = _looked_at(store, module, tenant_id, looked)
    after = declined(now, step("refused", act))
    store.move(module, tenant_id, after)
    return after


def _looked_at(store: ReleaseStore, module: str, tenant_id: str, looked: Looked) -> Rollout:
    now = standing(store, module, tenant_id)
    waits = now.proposed
    if waits is None:
        raise Conflict(f"nothing waits for a second person for {tenant_id!r}: see `fradect release history`")
    if waits.release != looked.release:
        raise Conflict(f"{looked.release} does not wait for a second person, {waits.release} does: look at its card")
    if looked.evidence not in (None, waits.evidence):
        raise Conflict(f"the card of {waits.release} is another one now, {waits.evidence}: look at it again")
    return now
