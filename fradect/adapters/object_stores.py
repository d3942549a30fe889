"""The object store that a URL's scheme chooses."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.objects_s3 import S3Objects
from fradect.errors import InvalidInput
from fradect.objects import SCHEME, ObjectStore, S3Url, shown
from fradect.settings import S3Access


def open_store(url: str, access: S3Access) -> ObjectStore:
    """`s3://bucket/path`, `file:///path` or a path; nothing is asked or made yet."""
    if url.startswith(SCHEME):
        return S3Objects(S3Url.parse(url), access)
    parts = urlsplit(url)
    if parts.scheme not in ("", "file") or parts.netloc:
        raise InvalidInput(f"{shown(url)!r}: give s3://bucket/path or file:///path")
    return FolderObjects(Path(unquote(parts.path) if parts.scheme else url).expanduser().resolve())
