"""The running service as batches are sent to it: where it is, and with whose key."""

from dataclasses import dataclass, field
from pathlib import Path

from flows.wiring import key_file
from fradect.adapters.places import publishing
from fradect.errors import InvalidInput
from fradect.settings import Settings

__all__ = ["Door", "door", "publishing"]


@dataclass(frozen=True, slots=True)
class Door:
    """Where the service is, and a key to it."""

    url: str
    key: str = field(repr=False)


def door(tenant: str, url: str | None, key: Path | None) -> Door:
    """By default this home's service, with the key that it made for the tenant."""
    settings = Settings.from_env()
    path = key or key_file(settings.home, tenant)
    try:
        return Door(url or f"http://{settings.host}:{settings.port}", path.read_text().strip())
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}): give a file that holds an API key") from error
