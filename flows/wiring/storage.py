"""The store that several machines share, where FRADECT_STORE_URL names one."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

from fradect.adapters.compaction_marks import unmark
from fradect.adapters.object_stores import open_store
from fradect.adapters.shared_home import SharedHome
from fradect.settings import S3Access, Settings


def shared_home(settings: Settings) -> SharedHome | None:
    """None: the home is all there is."""
    if settings.store_url is None:
        return None
    store = open_store(settings.store_url, S3Access.from_env())
    return SharedHome(settings.home, store, partial(unmark, settings.ledger_url))


def working(module: str, tenant: str, release_id: str | None = None) -> AbstractContextManager[None]:
    """Around work on one tenant's module: the home brought up to date before, the store after."""
    shared = shared_home(Settings.from_env())
    return nullcontext() if shared is None else shared.working(module, tenant, release_id)


def fetch_evidence(settings: Settings, release_id: str | None = None) -> None:
    """What is known of a release, or in short of every one, that was made elsewhere."""
    shared = shared_home(settings)
    if shared is not None:
        shared.fetch_evidence(release_id)
