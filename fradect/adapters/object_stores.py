"""The object store that a URL's scheme chooses."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from fradect.adapters.objects_folder import FolderObjects
from fradect.errors import InvalidInput
from fradect.objects import SCHEME, ObjectStore, S3Url, shown
from fradect.settings import S3Access


class VersionedStore(ObjectStore, Protocol):
    """A store that can be asked for one version of an object."""

    def download(self, key: str, target: Path, version: str = "") -> None:
        """As any store; Conflict when the object is of that version no more."""
        ...


def open_store(url: str, access: S3Access) -> ObjectStore:
    """`s3://bucket/path`, `file:///path` or a path; nothing is asked or made yet."""
    if url.startswith(SCHEME):
        return open_s3(S3Url.parse(url), access)
    parts = urlsplit(url)
    if parts.scheme not in ("", "file") or parts.netloc:
        raise InvalidInput(f"{shown(url)!r}: give s3://bucket/path or file:///path")
    return FolderObjects(Path(unquote(parts.path) if parts.scheme else url).expanduser().resolve())


def open_s3(url: S3Url, access: S3Access) -> VersionedStore:
    """Loads Amazon's client, which nobody else has to wait for. InvalidInput when `access` cannot be right."""
    door = importlib.import_module("fradect.adapters.objects_s3")
    store: Callable[[S3Url, S3Access], VersionedStore] = door.S3Objects
    return store(url, access)
