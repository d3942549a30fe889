"""The service's part of moving releases, put together: where rollouts are true, and who may agree."""

import importlib

from fradect.adapters.object_stores import open_store
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.four_eyes import FourEyes
from fradect.ports import ReleaseStore
from fradect.settings import S3Access, Settings
from fradect.turns import OwnThread
from serving.champions import Champions
from serving.releases import Releases


class ReleaseParts:
    """`routes` is what the routes stand on."""

    def __init__(self, settings: Settings, champions: Champions) -> None:
        self._thread = OwnThread("releases")
        self.routes = Releases(FourEyes(_store(settings), settings.four_eyes), champions, self._thread)

    def close(self) -> None:
        self._thread.close()


def _store(settings: Settings) -> ReleaseStore:
    """The home's; with a store that machines share, that one's, which the home repeats at once. It is opened once more
    than for following: a step compares with what its own reader has seen. Its door is loaded where it is needed only.
    """
    if settings.store_url is None:
        return ReleasesFolder(settings.home)
    mirror = importlib.import_module("fradect.adapters.mirror").Mirror
    shared = importlib.import_module("fradect.adapters.releases_shared").SharedReleases
    store: ReleaseStore = shared(mirror(settings.home, open_store(settings.store_url, S3Access.from_env())))
    return store
