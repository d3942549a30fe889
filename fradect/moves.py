"""What people do to a rollout: each reads it, makes one step and stores it, or says why that cannot be.

Whoever stepped meanwhile goes before: then it is a Conflict, and nothing was changed.
"""

import time
from dataclasses import dataclass

from fradect.errors import Conflict, NotFound
from fradect.ports import ReleaseStore
from fradect.rollout import Rollout, Step, approved, rolled_back

LONGEST = 500  # characters of a reason that are kept


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, and why."""

    by: str
    reason: str


def step(what: str, act: Act) -> Step:
    """Taken now."""
    return Step(what, act.by, act.reason[:LONGEST], time.time_ns() // 1000)


def standing(store: ReleaseStore, module: str, tenant_id: str) -> Rollout:
    """NotFound where nothing decides for the tenant yet."""
    now = store.rollout(module, tenant_id)
    if now is None:
        raise NotFound(f"tenant {tenant_id!r} has no champion of {module}: `fradect promote` a release first")
    return now


def roll_back(store: ReleaseStore, module: str, tenant_id: str, act: Act) -> Rollout:
    """The challenger is withdrawn; where none is tried, the champion before is champion again."""
    now = standing(store, module, tenant_id)
    after = rolled_back(now, step("rolled back" if now.challenger is None else "withdrawn", act))
    store.move(module, tenant_id, after)
    return after


def approve(store: ReleaseStore, module: str, tenant_id: str, challenger: str, act: Act) -> Rollout:
    """A second person agrees; the next look at its evidence may make the challenger champion.

    `challenger`: which release they have looked at, so that nobody approves another one by being late.
    """
    now = standing(store, module, tenant_id)
    if now.challenger != challenger:
        tried = "nothing is" if now.challenger is None else f"{now.challenger} is"
        raise Conflict(f"{challenger} is not being tried for {tenant_id!r}, {tried}: see `fradect release history`")
    after = approved(now, step("approved", act))
    store.move(module, tenant_id, after)
    return after
