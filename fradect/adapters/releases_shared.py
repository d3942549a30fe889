"""Releases of a home and of the store it shares: saved here, sent before they are promoted, fetched when asked for."""

import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from fradect.adapters.mirror import Mirror
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused
from fradect.objects import ObjectFacts
from fradect.release import Release
from fradect.rollout import Rollout, Step, named

_POINTERS, _HISTORY = "champions/", "history/"


class SharedReleases:
    """Implements the port ReleaseStore. The rollout in the store decides, one object a module and tenant, replaced by a
    conditional write; the home's repeats it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._folder = ReleasesFolder(mirror.home)
        self._seen: dict[str, str | None] = {}  # pointer -> version it had when this process read it
        self._steps: dict[tuple[str, str], tuple[str, Rollout | None]] = {}  # as last listed, for `follow_steps` alone

    def save(self, release: Release) -> None:
        self._folder.save(release)

    def load(self, release_id: str) -> Release:
        """From the home; from the store when the home has none, or a damaged one."""
        try:
            return self._folder.load(release_id)
        except (NotFound, Refused):
            self._mirror.pull(f"releases/{release_id}", keep=False)
            return self._folder.load(release_id)

    def champion(self, module: str, tenant_id: str) -> str | None:
        now = self.rollout(module, tenant_id)
        return None if now is None else now.release

    def champions(self) -> Mapping[tuple[str, str], str]:
        return {key: now.release for key, now in self.rollouts().items()}

    def rollout(self, module: str, tenant_id: str) -> Rollout | None:
        key = _pointer(module, tenant_id)
        content = self._mirror.store.read(key)
        self._seen[key] = None if content is None else content.version
        if content is None:
            return self._folder.rollout(module, tenant_id)
        return _decoded(key, content.raw)

    def rollouts(self) -> Mapping[tuple[str, str], Rollout]:
        """The store's, and those of the home that the store does not have."""
        found = dict(self._folder.rollouts())
        for key in self._pointers():
            with suppress(Refused, InvalidInput):
                now = self.rollout(*key)
                if now is not None:
                    found[key] = now
        return found

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        """Conflict when another release became champion since this one was compared with the champion."""
        key = _pointer(module, tenant_id)
        compared = key in self._seen, self._seen.get(key)
        now = self.rollout(module, tenant_id)
        if compared not in ((False, None), (True, self._seen[key])):
            raise _overtaken(module, tenant_id)
        step = Step("named", "", "promoted", time.time_ns() // 1000)
        self.move(module, tenant_id, named(now, release_id, step))

    def move(self, module: str, tenant_id: str, after: Rollout) -> None:
        key = _pointer(module, tenant_id)
        for release_id in filter(None, (after.release, after.challenger)):
            release = self.load(release_id)
            if release.module != module:
                raise InvalidInput(f"release {release_id} is for {release.module}, not for {module}", field="module")
            self._mirror.push(f"releases/{release_id}")
        now = self.rollout(module, tenant_id)
        version = self._seen.pop(key)
        if after.number != (0 if now is None else now.number) + 1:
            raise _overtaken(module, tenant_id)
        self._mirror.prove()
        self._keep(key, now)
        try:
            self._seen[key] = self._mirror.store.put(key, msgspec.json.encode(after), version)
        except Conflict as error:
            raise _overtaken(module, tenant_id) from error
        self._folder.repeat(module, tenant_id, after)

    def history(self, module: str, tenant_id: str) -> tuple[Rollout, ...]:
        """The store's alone: what homes did before they shared one is told by them."""
        key = _pointer(module, tenant_id)
        past = [facts.key for facts in self._mirror.store.list(_past(key, ""))]
        found = [(name, self._mirror.store.read(name)) for name in sorted(past)]
        now = self.rollout(module, tenant_id)
        return (*(_decoded(name, one.raw) for name, one in found if one is not None), *((now,) if now else ()))

    def ids(self) -> tuple[str, ...]:
        """Those that only the store has, by name, then the home's, oldest first."""
        here = self._folder.ids()
        there = [shelf.partition("/")[2] for shelf in self._mirror.shelves("releases/")]
        return (*(release_id for release_id in there if release_id not in here), *here)

    def follow(self) -> list[tuple[str, str, Rollout]]:
        """Rollouts that went on elsewhere, with module and tenant; `take` makes them the home's."""
        found = []
        for key in self._pointers():
            with suppress(Refused, InvalidInput):
                now = self.rollout(*key)
                if now is not None and now != self._here(*key):
                    found.append((*key, now))
        return found

    def take(self, module: str, tenant_id: str, rollout: Rollout) -> None:
        """Repeat in the home what the store says, once the releases are here whole. What went on in the store while
        they were fetched is left to the next look."""
        for release_id in filter(None, (rollout.release, rollout.challenger)):
            self.load(release_id)
        if self.rollout(module, tenant_id) == rollout:
            self._folder.repeat(module, tenant_id, rollout)

    def follow_steps(self) -> None:
        """Repeat in the home the steps between releases that it decides by already, such as every way back: nothing
        has to be fetched for them. One listing, and what did not change is not read; the rest is `follow`'s."""
        for facts in list(self._mirror.store.list(_POINTERS)):
            key = _key_of(facts.key)
            if key is None:
                continue
            with suppress(Refused, InvalidInput, NotFound):
                self._follow_step(facts, key)

    def _follow_step(self, facts: ObjectFacts, key: tuple[str, str]) -> None:
        version, now = self._steps.get(key, ("", None))
        if version != facts.version:
            content = self._mirror.store.read(facts.key)
            now = None if content is None else _decoded(facts.key, content.raw)
            self._steps[key] = facts.version, now
        here = self._here(*key)
        if now is not None and here is not None and now != here and set(now.releases) <= set(here.releases):
            self._folder.repeat(*key, now)

    def send(self, module: str, tenant_id: str) -> None:
        """Releases that the store does not have yet; and the home's champion, where the store has none."""
        for release_id in self._folder.ids():
            self._mirror.push(f"releases/{release_id}")
        champion = self._folder.champion(module, tenant_id)
        if champion is not None and self._mirror.store.read(_pointer(module, tenant_id)) is None:
            self.promote(module, tenant_id, champion)

    def _here(self, module: str, tenant_id: str) -> Rollout | None:
        with suppress(FradectError):
            return self._folder.rollout(module, tenant_id)
        return None

    def _keep(self, key: str, now: Rollout | None) -> None:
        """What is replaced is written down first. Whoever else steps now writes the same."""
        if now is not None:
            with suppress(Conflict):
                self._mirror.store.put(_past(key, f"{now.number:08}.json"), msgspec.json.encode(now), None)

    def _pointers(self) -> list[tuple[str, str]]:
        return [key for facts in self._mirror.store.list(_POINTERS) if (key := _key_of(facts.key)) is not None]


def _key_of(pointer: str) -> tuple[str, str] | None:
    """Module and tenant; None for what is no pointer."""
    parts = pointer.removeprefix(_POINTERS).split("/")
    return (parts[0], parts[1].removesuffix(".json")) if len(parts) == 2 and parts[1].endswith(".json") else None


def _pointer(module: str, tenant_id: str) -> str:
    return f"{_POINTERS}{module}/{tenant_id}.json"


def _past(pointer: str, name: str) -> str:
    return f"{_HISTORY}{pointer.removeprefix(_POINTERS).removesuffix('.json')}/{name}"


def _decoded(key: str, raw: bytes) -> Rollout:
    try:
        return msgspec.json.decode(raw, type=Rollout)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the champion pointer {key} in the store is damaged: promote a release again") from error


def _overtaken(module: str, tenant_id: str) -> Conflict:
    return Conflict(f"another release was made champion of {module} for {tenant_id}: promote again")
