"""The service's part of moving releases, put together: where rollouts are true, who may agree, and who follows."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fradect.adapters.object_stores import open_store
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import FradectError
from fradect.four_eyes import FourEyes
from fradect.objects import ObjectStore
from fradect.ports import ReleaseStore
from fradect.settings import S3Access, Settings
from fradect.turns import OwnThread
from serving.champions import Champions
from serving.housekeeping import Chore, Housekeeping
from serving.releases import Releases


class Shared(ReleaseStore, Protocol):
    """As fradect.adapters.releases_shared.SharedReleases."""

    def follow_steps(self) -> None: ...


class ReleaseParts:
    """`routes` is what the routes stand on."""

    def __init__(self, settings: Settings, champions: Champions) -> None:
        self._home = settings.home
        self._objects = None if settings.store_url is None else open_store(settings.store_url, S3Access.from_env())
        self._thread = OwnThread("releases")
        store = ReleasesFolder(self._home) if self._objects is None else _shared(self._home, self._objects)
        self.routes = Releases(FourEyes(store, settings.four_eyes), champions, self._thread)
        self._following: Housekeeping | None = None

    def follow(self) -> None:
        """What other machines that share the store did to their rollouts: for one worker of the home."""
        if self._objects is not None:
            follow = quietly(_shared(self._home, self._objects).follow_steps)
            self._following = Housekeeping([Chore("following steps made elsewhere", 2, follow)])
            self._following.start()

    def close(self) -> None:
        if self._following is not None:
            self._following.stop()
        self._thread.close()


def quietly(do: Callable[[], None]) -> Callable[[], None]:
    """Without a word when the store is away: who follows it in full has said so."""

    def doing() -> None:
        try:
            do()
        except FradectError:
            return

    return doing


def _shared(home: Path, objects: ObjectStore) -> Shared:
    """The store that machines share, which the home repeats; one for each who uses it: a step compares with what its
    own reader has seen. Its door is loaded where it is needed only."""
    mirror = importlib.import_module("fradect.adapters.mirror").Mirror
    shared: Shared = importlib.import_module("fradect.adapters.releases_shared").SharedReleases(mirror(home, objects))
    return shared
