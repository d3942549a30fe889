"""Which release decides now: a champion for each module and tenant, and perhaps a challenger on a share of it.

All that is needed to decide is swapped in one step: whoever holds a `Deciding` holds one of before or of now, whole.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from fradect.decide import Champion
from fradect.errors import FradectError, Refused, Unavailable
from fradect.features.layout import layout_of
from fradect.judgement import Loaded, load
from fradect.ports import BatchFeatures, ReleaseStore
from fradect.rollout import Rollout, is_chosen
from fradect.scoring import NoModel
from fradect.trial import examine, nobody
from fradect.types import Event
from serving.trial import Trials
from serving.verified import TRUSTED_SECONDS, Verified

log = logging.getLogger(__name__)

Key = tuple[str, str]  # module, tenant
AGAIN_SECONDS = 30.0  # until a release that did not load, and that nobody waits for, is tried again


@dataclass(frozen=True, slots=True)
class Checks:
    """What a release must pass before it decides, and how it is known to be still the right one.

    `confirmed`: whether whoever names the champions was heard lately.
    """

    trials: Trials
    verified: Verified
    confirmed: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Deciding:
    """Who decides a module's events for a tenant. `part` is a keyed hash: see fradect/rollout.py."""

    champion: Champion
    rollout: Rollout
    part: Callable[[bytes], bytes]
    challenger: Champion | None = None

    def of(self, event: Event) -> Champion:
        """For this event: the same for all events of one subject, as long as the share does not grow over it."""
        if self.challenger is None or not self.rollout.share:
            return self.champion
        chosen = is_chosen(self.rollout, event.tenant_id, self.subject(event), self.part)
        return self.challenger if chosen else self.champion

    def subject(self, event: Event) -> str:
        """Who is drawn: the customer, or the event where it names none."""
        subject = event.fields.get(self.champion.release.module.entities["customer"])
        return event.event_id if subject is None else str(subject)


class Champions:
    """Follows the release store. A champion that does not load leaves the one before it in charge, and a reason; a
    challenger that does not load decides nothing.

    The champion before the present one stays loaded, so that the way back is one step.
    """

    def __init__(
        self,
        releases: ReleaseStore,
        batch_of: Callable[[Loaded, str], BatchFeatures],
        prepare: Callable[[Loaded, str], None],
        checks: Checks,
        part: Callable[[bytes], bytes],
    ) -> None:
        """`prepare` is called with a release and its tenant before it decides."""
        self._releases = releases
        self._batch_of = batch_of
        self._prepare = prepare
        self._checks = checks
        self._part = part
        self._current: Mapping[Key, Deciding] = {}
        self._models: dict[Key, Deciding] = {}  # as they were loaded; rules may decide alone in their place
        self._at_hand: dict[tuple[Key, str], Champion] = {}  # by release: all that the rollouts name and that loaded
        self.reasons: Mapping[Key, str] = {}
        self.idle: Mapping[Key, str] = {}
        """Why a challenger that is to be tried is not."""
        self._failed: dict[tuple[Key, str], float] = {}  # when, of those that nobody waits for
        self._swapping = threading.Lock()
        self._is_loading = False

    def deciding(self, module: str, tenant_id: str) -> Deciding:
        deciding = self._current.get((module, tenant_id))
        if deciding is None:
            raise Unavailable(f"no release decides {module} for this tenant yet: promote one")
        return deciding

    def of(self, module: str, tenant_id: str) -> Champion:
        return self.deciding(module, tenant_id).champion

    def all(self) -> Mapping[Key, Champion]:
        return {key: deciding.champion for key, deciding in self._current.items()}

    def refresh(self) -> bool:
        """Load what was promoted since; whether anything changed. Call from one thread."""
        models, found = self._models, dict[Key, Deciding]()
        reasons, idle = dict[Key, str](), dict[Key, str]()
        rollouts = self._releases.rollouts()
        for key, rollout in rollouts.items():
            if (
                key in models
                and models[key].rollout == rollout
                and (rollout.challenger is None or models[key].challenger)
            ):
                continue
            champion = self._found(key, rollout.release, reasons)
            if champion is not None:
                challenger = rollout.challenger and self._beside(key, rollout.challenger, champion, idle)
                found[key] = Deciding(champion, rollout, self._part, challenger or None)
                log.info("%s for %s: %s", *key, _told(rollout))
        self._tell(reasons, {**{key: why for key, why in self.idle.items() if self._is_idle(key, rollouts)}, **idle})
        with self._swapping:
            standing = {key: one for key, one in found.items() if self._stands(key, one.rollout)}
            self._models = {**self._models, **standing}
            changed = self._point()
        if not changed:
            self._fetch_one_before(rollouts)
        with self._swapping:
            self._let_go()
        return changed

    def turn(self, module: str, tenant_id: str) -> bool:
        """Decide by the rollout of now, at once, where all of it is loaded, as it is for the way back; whether it was.

        From any thread: who loads a release meanwhile holds nothing up.
        """
        key = (module, tenant_id)
        with self._swapping:
            rollout = self._releases.rollout(*key)
            if rollout is None or key not in self._models:
                return False
            champion = self._at_hand.get((key, rollout.release))
            challenger = None if rollout.challenger is None else self._at_hand.get((key, rollout.challenger))
            if champion is None or (rollout.challenger is not None and challenger is None):
                return False
            self._models = {**self._models, key: Deciding(champion, rollout, self._part, challenger)}
            self._point()
        log.info("%s for %s: %s", *key, _told(rollout))
        return True

    def turn_while_loading(self) -> None:
        """A release may take minutes to be prepared; whoever is rolled back for another tenant does not wait for it."""
        if not self._is_loading:
            return
        for key, rollout in self._releases.rollouts().items():
            deciding = self._models.get(key)
            if deciding is not None and deciding.rollout != rollout:
                self.turn(*key)

    def numbered(self, module: str, tenant_id: str) -> int | None:
        """Of the rollout that decides here."""
        deciding = self._current.get((module, tenant_id))
        return None if deciding is None else deciding.rollout.number

    def _stands(self, key: Key, rollout: Rollout) -> bool:
        """It may have gone on while its releases were loaded: then the next look loads what is wanted by now."""
        try:
            return self._releases.rollout(*key) == rollout
        except FradectError:
            return True

    def verify(self) -> None:
        """Read again what decides, and see that it is what its name says. Call from the thread that refreshes."""
        if not self._checks.confirmed():
            self._checks.verified.reload()
            return
        self._checks.verified.record({release_id for release_id in self._deciding_ids() if self._is_whole(release_id)})

    def unverified_seconds(self) -> float:
        """For how long the release that was verified longest ago was not."""
        return max(map(self._checks.verified.age, self._deciding_ids()), default=0.0)

    def _deciding_ids(self) -> set[str]:
        both = ((deciding.champion, deciding.challenger) for deciding in self._models.values())
        return {one.release.id for pair in both for one in pair if one is not None}

    def _found(self, key: Key, release_id: str, reasons: dict[Key, str]) -> Champion | None:
        """Loaded; where it cannot be, the reason is noted."""
        held = self._at_hand.get((key, release_id))
        if held is not None:
            return held
        self._is_loading = True
        try:
            self._at_hand[key, release_id] = loaded = self._load(key, release_id)
        except FradectError as error:
            reasons[key] = f"release {release_id} of {key[0]} does not load: {error}"
        except Exception as error:  # noqa: BLE001  a damaged model must not stop the service, whatever its parser raises
            reasons[key] = f"release {release_id} of {key[0]} does not load: {type(error).__name__}"
        else:
            return loaded
        finally:
            self._is_loading = False
        return None

    def _lacks_challenger(self, key: Key) -> bool:
        """And it is time to try again."""
        deciding = self._models[key]
        wanted = deciding.rollout.challenger
        return wanted is not None and deciding.challenger is None and not self._failed_lately(key, wanted)

    def _beside(self, key: Key, release_id: str, champion: Champion, idle: dict[Key, str]) -> Champion | None:
        """A challenger, which reads the live state as the champion has it kept."""
        try:
            layout = layout_of(champion.release.module, self._releases.load(release_id).contract)
        except (FradectError, OSError) as error:
            idle[key] = f"the challenger {release_id} does not load: {error}"
        else:
            if layout.digest == champion.release.reader.layout.digest:
                found = self._found(key, release_id, idle)
                if found is not None:
                    return found
            else:
                idle[key] = f"the challenger {release_id} needs other windows than the live state is kept for"
        self._failed[key, release_id] = time.monotonic()
        return None

    def _is_idle(self, key: Key, rollouts: Mapping[Key, Rollout]) -> bool:
        """What was said of its challenger still holds."""
        return key in rollouts and key in self._models and rollouts[key] == self._models[key].rollout

    def _failed_lately(self, key: Key, release_id: str) -> bool:
        failed = self._failed.get((key, release_id))
        return failed is not None and time.monotonic() - failed < AGAIN_SECONDS

    def _tell(self, reasons: dict[Key, str], idle: dict[Key, str]) -> None:
        for found, before in ((reasons, self.reasons), (idle, self.idle)):
            for key, reason in found.items():
                if before.get(key) != reason:
                    log.error(reason)
        self.reasons, self.idle = reasons, idle

    def _fetch_one_before(self, rollouts: Mapping[Key, Rollout]) -> None:
        """After a restart the way back is loaded too, when there is nothing else to do."""
        for key, rollout in rollouts.items():
            before = rollout.previous
            if before is None or (key, before) in self._at_hand or self._failed_lately(key, before):
                continue
            if self._found(key, before, {}) is None:
                self._failed[key, before] = time.monotonic()
            return

    def _let_go(self) -> None:
        wanted = {(key, name) for key, deciding in self._models.items() for name in deciding.rollout.releases}
        self._at_hand = {name: held for name, held in self._at_hand.items() if name in wanted}

    def _point(self) -> bool:
        """Swap all at once: who decides holds what was before or what is now, whole."""
        current = {key: self._trusted(key, deciding) for key, deciding in self._models.items()}
        changed = current != self._current
        self._current = current
        return changed

    def _trusted(self, key: Key, deciding: Deciding) -> Deciding:
        """What was not verified for too long decides by its rules alone, or, as a challenger, nothing."""
        challenger = deciding.challenger
        if challenger is not None and not self._is_trusted(challenger):
            deciding = replace(deciding, challenger=None)
        if self._is_trusted(deciding.champion):
            return deciding
        now, wanted = self._current.get(key), deciding.champion.release
        if now is not None and now.champion.release.id == wanted.id and isinstance(now.champion.release.model, NoModel):
            return replace(deciding, champion=now.champion)
        log.error("release %s was not verified for too long: the rules of it decide %s alone", wanted.id, key)
        return replace(deciding, champion=replace(deciding.champion, release=replace(wanted, model=NoModel())))

    def _is_trusted(self, champion: Champion) -> bool:
        return self._checks.verified.age(champion.release.id) <= TRUSTED_SECONDS

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


def _told(rollout: Rollout) -> str:
    beside = f", {rollout.challenger} in {rollout.stage} on {rollout.share / 100:g} %" if rollout.challenger else ""
    return f"{rollout.release} decides{beside}"
