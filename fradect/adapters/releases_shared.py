"""Releases of a home and of the store it shares: saved here, sent before they are promoted, fetched when asked for."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from fradect.adapters.mirror import Mirror
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Conflict, FradectError, InvalidInput, NotFound, Refused
from fradect.release import Release

_POINTERS = "champions/"


class Champion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is champion: one object a module and tenant, replaced by a conditional write."""

    release: str


class SharedReleases:
    """Implements the port ReleaseStore. The pointer in the store decides; the home's repeats it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._folder = ReleasesFolder(mirror.home)
        self._seen: dict[str, str | None] = {}  # pointer -> version it had when this process read it

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
        key = _pointer(module, tenant_id)
        content = self._mirror.store.read(key)
        self._seen[key] = None if content is None else content.version
        if content is None:
            return self._folder.champion(module, tenant_id)
        return _decoded(key, content.raw).release

    def champions(self) -> Mapping[tuple[str, str], str]:
        """The store's, and those of the home that the store does not have."""
        found = dict(self._folder.champions())
        for key in self._pointers():
            with suppress(Refused, InvalidInput):
                champion = self.champion(*key)
                if champion is not None:
                    found[key] = champion
        return found

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        """Conflict when another release became champion since this one was compared with the champion."""
        release = self.load(release_id)
        if release.module != module:
            raise InvalidInput(f"release {release_id} is for {release.module}, not for {module}", field="module")
        key = _pointer(module, tenant_id)
        if key not in self._seen:
            self.champion(module, tenant_id)
        self._mirror.push(f"releases/{release_id}")
        self._mirror.prove()
        try:
            raw = msgspec.json.encode(Champion(release_id))
            self._seen[key] = self._mirror.store.put(key, raw, self._seen[key])
        except Conflict as error:
            del self._seen[key]
            raise Conflict(f"another release was made champion of {module} for {tenant_id}: promote again") from error
        self._folder.promote(module, tenant_id, release_id)

    def ids(self) -> tuple[str, ...]:
        """Those that only the store has, by name, then the home's, oldest first."""
        here = self._folder.ids()
        there = [shelf.partition("/")[2] for shelf in self._mirror.shelves("releases/")]
        return (*(release_id for release_id in there if release_id not in here), *here)

    def follow(self) -> list[tuple[str, str, str]]:
        """What was promoted elsewhere, as module, tenant and release; `take` makes it the home's."""
        found = []
        for key in self._pointers():
            with suppress(Refused, InvalidInput):
                champion = self.champion(*key)
                if champion is not None and champion != self._here(*key):
                    found.append((*key, champion))
        return found

    def take(self, module: str, tenant_id: str, release_id: str) -> None:
        """Repeat in the home what the store's pointer says, once the release is here whole."""
        self.load(release_id)
        self._folder.promote(module, tenant_id, release_id)

    def send(self, module: str, tenant_id: str) -> None:
        """Releases that the store does not have yet; and the home's champion, where the store has none."""
        for release_id in self._folder.ids():
            self._mirror.push(f"releases/{release_id}")
        champion = self._folder.champion(module, tenant_id)
        if champion is not None and self._mirror.store.read(_pointer(module, tenant_id)) is None:
            self._seen[_pointer(module, tenant_id)] = None
            self.promote(module, tenant_id, champion)

    def _here(self, module: str, tenant_id: str) -> str | None:
        with suppress(FradectError):
            return self._folder.champion(module, tenant_id)
        return None

    def _pointers(self) -> list[tuple[str, str]]:
        parts = [facts.key.removeprefix(_POINTERS).split("/") for facts in self._mirror.store.list(_POINTERS)]
        return [(p[0], p[1].removesuffix(".json")) for p in parts if len(p) == 2 and p[1].endswith(".json")]


def _pointer(module: str, tenant_id: str) -> str:
    return f"{_POINTERS}{module}/{tenant_id}.json"


def _decoded(key: str, raw: bytes) -> Champion:
    try:
        return msgspec.json.decode(raw, type=Champion)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the champion pointer {key} in the store is damaged: promote a release again") from error
