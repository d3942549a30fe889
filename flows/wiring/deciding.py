"""What a look back at decisions needs: the ledger to read, releases by id, engines as they are, a vault that opens."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from flows.wiring import workshop
from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.sql_keys import SqlKeys
from fradect.adapters.vault import HomeVault, has_key
from fradect.errors import Refused
from fradect.ports import ReleaseStore, Vault
from fradect.settings import Settings
from fradect.types import Event

CIPHER = "_cipher"


@dataclass(frozen=True, slots=True)
class Archive:
    """Ledger and releases. `opens`: whether personal data of an event can be read, or its key was destroyed."""

    reads: DecisionReads
    releases: ReleaseStore
    opens: Callable[[Event], bool]
    threads: int


@contextmanager
def archive() -> Iterator[Archive]:
    """NotFound while there is no ledger."""
    settings = Settings.from_env()
    reads = DecisionReads.at(settings.ledger_url)
    kept = has_key(settings.home)  # a vault would make itself a key
    keys = SqlKeys.at(settings.ledger_url)
    opens = _opener(HomeVault(settings.home, keys) if kept else None)
    try:
        yield Archive(reads, workshop("ecommerce", "any").releases, opens, max(1, os.cpu_count() or 1))
    finally:
        keys.close()
        reads.close()


def other_engines(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Engines that are not the release's: its version, and the one that is here."""
    here = {name: _version(name) for name in recorded}
    return {name: (was, here[name]) for name, was in recorded.items() if here[name] != was}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _opener(vault: Vault | None) -> Callable[[Event], bool]:
    def opens(event: Event) -> bool:
        for name, value in event.fields.items():
            if name.endswith(CIPHER) and isinstance(value, str):
                return vault is not None and _does_open(vault, event, name.removesuffix(CIPHER), value)
        return True

    return opens


def _does_open(vault: Vault, event: Event, field: str, cipher: str) -> bool:
    try:
        vault.open(event.tenant_id, field, event.event_id, cipher)
    except Refused:
        return False
    return True
