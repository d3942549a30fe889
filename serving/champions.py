"""Which release decides now: one pointer for each module and tenant, swapped whole, never a mixture."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np

from fradect.decide import Champion
from fradect.errors import FradectError, Unavailable
from fradect.judgement import Loaded, judge, load
from fradect.ports import BatchFeatures, ReleaseStore
from fradect.types import Event, Vector

log = logging.getLogger(__name__)

Key = tuple[str, str]  # module, tenant


class Champions:
    """Follows the release store. A champion that does not load leaves the one before it in charge, and a reason."""

    def __init__(
        self,
        releases: ReleaseStore,
        batch_of: Callable[[Loaded, str], BatchFeatures],
        prepare: Callable[[Loaded, str], None],
    ) -> None:
        """`prepare` is called with a release and its tenant before it decides."""
        self._releases = releases
        self._batch_of = batch_of
        self._prepare = prepare
        self._current: Mapping[Key, Champion] = {}
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
        current, reasons = dict(self._current), {}
        wanted = self._releases.champions()
        for key, release_id in wanted.items():
            if key in current and current[key].release.id == release_id:
                continue
            try:
                current[key] = self._load(key, release_id)
                log.info("release %s decides %s for %s", release_id, *key)
            except FradectError as error:
                reasons[key] = f"release {release_id} of {key[0]} does not load: {error}"
            except Exception as error:  # noqa: BLE001  a damaged model must not stop the service, whatever its parser raises
                reasons[key] = f"release {release_id} of {key[0]} does not load: {type(error).__name__}"
        for key in reasons.keys() - self.reasons.keys():
            log.error(reasons[key])
        changed = current != self._current
        self._current, self.reasons = current, reasons
        return changed

    def _load(self, key: Key, release_id: str) -> Champion:
        release = load(self._releases.load(release_id))
        _warm_up(release)
        self._prepare(release, key[1])
        batch = self._batch_of(release, key[1])
        with suppress(Exception):  # without snapshots decisions are still made, whatever keeps them away
            batch.read(_nobody(release, key[1]))
        return Champion(release, batch)


def _nobody(release: Loaded, tenant_id: str) -> Event:
    fields = dict.fromkeys(release.module.entities.values(), "warm-up")
    return Event("warm-up", tenant_id, release.module.name, 0, 0, fields)


def _warm_up(release: Loaded) -> None:
    """A first judgement is slow, and no caller's business; one that fails shows before anybody relies on it."""
    names = release.contract.names
    event = _nobody(release, "")
    for value in (0.0, np.nan):
        judgement = judge(release, event, Vector(names, (value,) * len(names)), (), explain=True)
        if judgement.probability is None:
            raise Unavailable("the model gives no probability")
