"""What a service only sometimes needs: its doors are loaded when it does, and never otherwise."""

import importlib
from typing import Protocol

from fradect.adapters.object_stores import open_store
from fradect.adapters.state_parts import Rebuilt
from fradect.adapters.states import is_embedded
from fradect.features.layout import Layout
from fradect.settings import S3Access, Settings
from serving.limits import Counts, Limits, Quotas


class Follower(Protocol):
    """Where releases come from that are promoted elsewhere."""

    def follow(self) -> None: ...


def limits_of(settings: Settings) -> Limits:
    """Counted together where workers have a Redis in common; its door is loaded by no other service."""
    quotas = Quotas(settings.key_quota, settings.tenant_quota, settings.tenant_quotas)
    if is_embedded(settings.state_url) or quotas == Quotas():
        return Limits(quotas)
    counts: Counts = importlib.import_module("fradect.adapters.rate_counts").RedisCounts(settings.state_url)
    return Limits(quotas, counts, settings.workers)


def shared_home(settings: Settings) -> Follower | None:
    """The store that other machines share with this home; its door, which knows the log, is loaded by no other."""
    if settings.store_url is None:
        return None
    store = open_store(settings.store_url, S3Access.from_env())
    home: Follower = importlib.import_module("fradect.adapters.shared_home").SharedHome(settings.home, store)
    return home


class Builder(Protocol):
    """Fills a live state from log and SQL."""

    def rebuild(self, tenant_id: str, layout: Layout) -> Rebuilt: ...


def rebuilder(*all_of_it: object) -> Builder:
    """Its door, which knows the log, is loaded by a service whose live state is not up to date."""
    builder: Builder = importlib.import_module("fradect.adapters.state_sources").Rebuilder(*all_of_it)
    return builder
