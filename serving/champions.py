"""Which release decides now: one pointer for each module and tenant, swapped whole, never a mixture."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from fradect.decide import Champion
from fradect.errors import FradectError, Refused, Unavailable
from fradect.judgement import Loaded, load
from fradect.ports import BatchFeatures, ReleaseStore
from fradect.scoring import NoModel
from fradect.trial import examine, nobody
from serving.trial import Trials
from serving.verified import TRUSTED_SECONDS, Verified

log = logging.getLogger(__name__)

Key = tuple[str, str]  # module, tenant


@dataclass(frozen=True, slots=True)
class Checks:
    """What a release must pass before it decides, and how it is known to be still the right one.

    `confirmed`: whether whoever names the champions was heard lately.
    """

    trials: Trials
    verified: Verified
    confirmed: Callable[[], bool] = lambda: True


class Champions:
    """Follows the release store. A champion that does not load leaves the one before it in charge, and a reason."""

    def __init__(
        self,
        releases: ReleaseStore,
        batch_of: Callable[[Loaded, str], BatchFeatures],
        prepare: Callable[[Loaded, str], None],
        checks: Checks,
    ) -> None:
        """`prepare` is called with a release and its tenant before it decides."""
        self._releases = releases
        self._batch_of = batch_of
        self._prepare = prepare
        self._checks = checks
        self._current: Mapping[Key, Champion] = {}
        self._models: dict[Key, Champion] = {}  # as they were loaded; rules may decide alone in their place
        self.reasons: Mapping[Key, str] = {}

    def of(self, module: str, tenant_id: str) -> Champion:
        champion = self._current.get((module, tenant_id))
        if champion is None:
            raise Unavailable(f"no release decides {module} for this tenant yet: promote one")
        return champion

    def all(self) -> Mapping[Key, Champion]:
        return self._current

    def refresh(self) -> bool:
        """Load what was promoted since; whether anything changed. Call from one thread."""
        models, reasons = dict(self._models), {}
        for key, release_id in self._releases.champions().items():
            if key in models and models[key].release.id == release_id:
                continue
            try:
                models[key] = self._load(key, release_id)
                log.info("release %s decides %s for %s", release_id, *key)
            except FradectError as error:
                reasons[key] = f"release {release_id} of {key[0]} does not load: {error}"
            except Exception as error:  # noqa: BLE001  a damaged model must not stop the service, whatever its parser raises
                reasons[key] = f"release {release_id} of {key[0]} does not load: {type(error).__name__}"
        for key, reason in reasons.items():
            if self.reasons.get(key) != reason:
                log.error(reason)
        self._models, self.reasons = models, reasons
        return self._point()

    def verify(self) -> None:
        """Read again what decides, and see that it is what its name says. Call from the thread that refreshes."""
        if not self._checks.confirmed():
            self._checks.verified.reload()
            return
        whole = {champion.release.id for champion in self._models.values() if self._is_whole(champion.release.id)}
        self._checks.verified.record(whole)

    def unverified_seconds(self) -> float:
        """For how long the release that was verified longest ago was not."""
        return max((self._checks.verified.age(c.release.id) for c in self._models.values()), default=0.0)

    def _point(self) -> bool:
        """Swap all at once: who decides holds a champion of before or of now, whole."""
        current = {key: self._trusted(key, champion) for key, champion in self._models.items()}
        changed = current != self._current
        self._current = current
        return changed

    def _trusted(self, key: Key, champion: Champion) -> Champion:
        if self._checks.verified.age(champion.release.id) <= TRUSTED_SECONDS:
            return champion
        now = self._current.get(key)
        if now is not None and now.release.id == champion.release.id and isinstance(now.release.model, NoModel):
            return now
        log.error("release %s was not verified for too long: the rules of it decide %s alone", champion.release.id, key)
        return replace(champion, release=replace(champion.release, model=NoModel()))

    def _load(self, key: Key, release_id: str) -> Champion:
        """In another process first; then here, where it must say the same."""
        stored = self._releases.load(release_id)
        answers = self._checks.trials.of(stored)
        release = load(stored)
        if examine(release, stored.canary) != answers:  # a first judgement is slow, and no caller's business
            raise Refused("the model answers otherwise here than in its trial")
        self._prepare(release, key[1])
        batch = self._batch_of(release, key[1])
        with suppress(Exception):  # without snapshots decisions are still made, whatever keeps them away
            batch.read(nobody(release, key[1]))
        if self._checks.confirmed() or not self._checks.verified.knows(release_id):
            self._checks.verified.record([release_id])
        return Champion(release, batch)

    def _is_whole(self, release_id: str) -> bool:
        try:
            self._releases.load(release_id)
        except (FradectError, OSError) as error:
            log.error("release %s, which decides, cannot be verified: %s", release_id, error)
            return False
        return True
