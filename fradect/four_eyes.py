"""Four eyes: a release store in which some steps wait until a second person has agreed to them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from fradect.errors import FradectError, Refused
from fradect.ports import ReleaseStore
from fradect.release import Release
from fradect.rollout import Rollout, Step, is_agreed, named, needs_second

EVERY = "*"


class NeedsSecond(Refused):
    """The step was not taken: it may be proposed, and a second person may agree to it."""


class FourEyes:
    """Implements the port ReleaseStore over another one, which it leaves all else to.

    Two have to agree where the operator says so of a tenant (FRADECT_FOUR_EYES), or the champion's policy does. The
    operator's word is above any policy: whoever makes releases does not choose how many look at them.
    """

    def __init__(self, store: ReleaseStore, tenants: Collection[str]) -> None:
        self._store, self._tenants = store, tenants
        self._asked: dict[str, bool] = {}  # by release, whose id is its content

    def asks(self, tenant_id: str, now: Rollout | None) -> bool:
        """Whether two have to agree before more is decided by another release than by the present champion."""
        if EVERY in self._tenants or tenant_id in self._tenants:
            return True
        return now is not None and self._policy_asks(now.release)

    def _policy_asks(self, release_id: str) -> bool:
        """A champion that cannot be read asks for nothing, but to be replaced."""
        if release_id not in self._asked:
            try:
                asked = self._store.load(release_id).policy.limits.stages.four_eyes
            except (FradectError, OSError):
                return False
            self._asked[release_id] = asked
        return self._asked[release_id]

    def move(self, module: str, tenant_id: str, after: Rollout) -> None:
        """NeedsSecond where two have to agree, and have not. A damaged pointer may be replaced."""
        now: Rollout | None = None
        with suppress(Refused):
            now = self._store.rollout(module, tenant_id)
        self._check(tenant_id, now, after)
        self._store.move(module, tenant_id, after)

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        """NeedsSecond as of `move`."""
        now = self._store.rollout(module, tenant_id)
        self._check(tenant_id, now, named(now, release_id, Step("named", "", "", 0)))
        self._store.promote(module, tenant_id, release_id)

    def _check(self, tenant_id: str, now: Rollout | None, after: Rollout) -> None:
        if now is None or not needs_second(now, after) or is_agreed(now, after) or not self.asks(tenant_id, now):
            return
        release = after.challenger or after.release
        raise NeedsSecond(f"two people have to agree before {release} decides more for {tenant_id!r}: propose the step")

    def save(self, release: Release) -> None:
        self._store.save(release)

    def load(self, release_id: str) -> Release:
        return self._store.load(release_id)

    def champion(self, module: str, tenant_id: str) -> str | None:
        return self._store.champion(module, tenant_id)

    def champions(self) -> Mapping[tuple[str, str], str]:
        return self._store.champions()

    def rollout(self, module: str, tenant_id: str) -> Rollout | None:
        return self._store.rollout(module, tenant_id)

    def rollouts(self) -> Mapping[tuple[str, str], Rollout]:
        return self._store.rollouts()

    def history(self, module: str, tenant_id: str) -> Sequence[Rollout]:
        return self._store.history(module, tenant_id)

    def ids(self) -> tuple[str, ...]:
        return self._store.ids()
