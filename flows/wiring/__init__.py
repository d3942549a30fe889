"""The batch's composition root: settings and names become adapters here and nowhere else under flows/.

What is heavy to import has a file of its own, loaded by the stage that needs it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from flows.wiring.storage import shared_home
from fradect.adapters.event_log import EventLog, Facts
from fradect.adapters.places import Places, publishing
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import InvalidInput, NotFound
from fradect.features.contract import Contract
from fradect.four_eyes import FourEyes
from fradect.modules import contract_of, module_of
from fradect.modules.declaration import Module
from fradect.ports import ReleaseStore
from fradect.settings import PROJECT, Settings


@dataclass(frozen=True, slots=True)
class Workshop:
    """All that a stage needs for one tenant of one module."""

    settings: Settings
    module: Module
    places: Places
    log: EventLog
    releases: ReleaseStore
    threads: int

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def tenant(self) -> str:
        return self.places.tenant

    @property
    def contract(self) -> Contract:
        """The contract that the log's mapping feeds."""
        return contract_of(self.facts.contract)

    @property
    def facts(self) -> Facts:
        """What is true of the log; NotFound while there is none."""
        facts = self.log.facts()
        if facts is None:
            raise NotFound(
                f"tenant {self.tenant!r} has no events of {self.module.name}: `fradect import` some, or name another"
            )
        return facts

    @property
    def study_url(self) -> str:
        return f"sqlite:///{self.home}/optuna.db"

    def evidence(self, release_id: str) -> Path:
        """Where what was found out about a release lies; not a part of it, so not in its folder."""
        return self.home / "evidence" / release_id

    @property
    def reports(self) -> Path:
        return self.home / "reports" / self.module.name / self.tenant


def workshop(module: str, tenant: str) -> Workshop:
    """InvalidInput for a module or a tenant's name that cannot be."""
    settings = Settings.from_env()
    declared = module_of(module)
    shared = shared_home(settings)
    return Workshop(
        settings=settings,
        module=declared,
        places=Places(settings.home, module, tenant),
        log=EventLog(settings.home, module, tenant),
        releases=FourEyes(ReleasesFolder(settings.home) if shared is None else shared.releases, settings.four_eyes),
        threads=max(1, os.cpu_count() or 1),
    )


def leave_bytes(path: Path, raw: bytes) -> None:
    """Write a file, whole or not at all. InvalidInput where that cannot be."""
    try:
        with publishing(path) as staging:
            staging.write_bytes(raw)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}): name another place") from error


def raw_folder(name: str) -> Path:
    """Where made data lies before it is imported."""
    return Settings.from_env().home / "raw" / name


def key_file(home: Path, tenant: str) -> Path:
    """The file with the API key that the service made for a tenant; NotFound while it has made none."""
    for name in (f"api-key-{tenant}", "api-key"):
        if (home / "keys" / name).is_file():
            return home / "keys" / name
    raise NotFound(f"no API key under {home / 'keys'}: `fradect serve` makes one once a release is champion")


def mapping_file(name: str) -> Path:
    """A mapping by path, or by the name of one that ships."""
    for candidate in (Path(name), PROJECT / "mappings" / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    shipped = ", ".join(sorted(path.stem for path in (PROJECT / "mappings").glob("*.yaml")))
    raise InvalidInput(f"mapping {name!r} is neither a file nor one of: {shipped}", field="mapping")
