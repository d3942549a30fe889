"""Objects by key, as S3 keeps them: the place that several machines share. Adapters are chosen by the URL's scheme."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from urllib.parse import unquote

from fradect.errors import InvalidInput

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
SCHEME = "s3://"


class ObjectFacts(NamedTuple):
    """An object as a listing shows it. `version` is opaque: other content under the same key has another."""

    key: str
    size: int
    version: str


class Content(NamedTuple):
    """A small object, whole."""

    raw: bytes
    version: str


class ObjectStore(Protocol):
    """What is written is there, whole, for every reader from then on; nobody sees a part of an object.

    Every method may raise Unavailable (try again later), NotFound (no such bucket) or Refused (not allowed).
    """

    @property
    def url(self) -> str:
        """For people, and to tell stores apart; without secrets."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        """Every object whose key begins so, in the order of keys."""
        ...

    def read(self, key: str) -> Content | None:
        """None when there is none."""
        ...

    def download(self, key: str, target: Path) -> None:
        """Stream into a file; NotFound when there is no such object."""
        ...

    def upload(self, key: str, content: BinaryIO) -> None:
        """Stream from where `content` stands to its end, in place of whatever is there."""
        ...

    def put(self, key: str, raw: bytes, instead_of: str | None) -> str:
        """Replace the version `instead_of` (None: there must be none) and return the new one's; else Conflict.

        Of any number of writers who try to replace the same version, one succeeds.
        """
        ...

    def delete(self, key: str) -> None:
        """Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class S3Url:
    """`s3://bucket/path`, without slashes around the path."""

    bucket: str
    path: str

    @classmethod
    def parse(cls, url: str) -> "S3Url":
        """InvalidInput for anything that is not a bucket and a path of plain segments."""
        bucket, _, path = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket):
            raise InvalidInput(f"{shown(url)!r}: give s3://bucket/path; credentials come from the environment")
        path = path.strip("/")
        if not is_plain(path) or not path.isprintable():
            raise InvalidInput(f"{shown(url)!r}: an empty segment, '.' or '..' has no place in an s3 path")
        return cls(bucket, path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.path}".rstrip("/")


def is_plain(key: str) -> bool:
    """Whether no segment is empty, '.' or '..', which URLs and folders would read as something else."""
    return not key or all(segment not in ("", ".", "..") for segment in key.split("/"))


def shown(url: str) -> str:
    """A URL fit for messages: what stands before an @ may be a password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{unquote(rest).rsplit('@', maxsplit=1)[-1]}" if separator else url
