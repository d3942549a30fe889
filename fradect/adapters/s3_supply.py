"""Files to import from S3: listed, downloaded one at a time into a spool under the home, removed once read."""

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from fradect.adapters.object_stores import VersionedStore, open_s3
from fradect.adapters.places import publishing
from fradect.adapters.sources import ENDINGS, Source
from fradect.adapters.supply import Supplied
from fradect.errors import InvalidInput, Unavailable
from fradect.objects import ObjectFacts, S3Url, is_plain
from fradect.settings import S3Access

REMEMBERED = 200_000  # objects whose content is known by their version


class S3Supply:
    """The object itself, or every CSV, Parquet or other data file below the path; as a folder's, in order of name.

    What an object's content was is remembered under its version, so that one imported before is not downloaded
    again; whether it was imported is decided by the content's digest alone. `tables`: files that a mapping looks
    up beside those it maps.
    """

    def __init__(self, url: S3Url, access: S3Access, spool: Path, seen: Path, tables: Sequence[str] = ()) -> None:
        """NotFound or InvalidInput when there is nothing to import, Unavailable when S3 cannot be reached."""
        self.place = spool
        self._seen_file = seen
        self._seen = _read_seen(seen)
        self._store, self._found = _found(url, access, set(tables))
        for table in tables:
            if not is_plain(table):
                raise InvalidInput(f"lookup table {table!r}: give a path below {url}", field="lookups")
            (spool / table).parent.mkdir(parents=True, exist_ok=True)
            self._store.download(table, spool / table)

    @property
    def files(self) -> int:
        return len(self._found)

    @property
    def size(self) -> int:
        return sum(facts.size for facts in self._found)

    def wanted(self, is_wanted: Callable[[str], bool]) -> Iterator[Supplied]:
        before = 0
        try:
            for number, facts in enumerate(self._found):
                digest = self._seen.get(self._mark(facts))
                if digest is None or is_wanted(digest):
                    path = self.place / f"object-{number:06d}{_ending(facts.key)}"
                    self._store.download(facts.key, path, facts.version)
                    with path.open("rb") as file:
                        content = hashlib.file_digest(file, "sha256").hexdigest()
                    if digest not in (None, content):
                        raise Unavailable(f"{self._store.url}/{facts.key} was replaced as it was read: import again")
                    self._seen[self._mark(facts)] = content
                    if digest is not None or is_wanted(content):
                        yield Supplied(Source(path, facts.key, content), before)
                    path.unlink()
                before += facts.size
        finally:
            with publishing(self._seen_file) as staging:
                staging.write_bytes(msgspec.json.encode(dict(list(self._seen.items())[-REMEMBERED:])))

    def _mark(self, facts: ObjectFacts) -> str:
        return f"{self._store.url}/{facts.key} {facts.size} {facts.version}"


@contextmanager
def spooled(url: str, access: S3Access, home: Path, tables: Sequence[str] = ()) -> Iterator[S3Supply]:
    """A supply whose spool is gone at the end; one that a killed import left behind goes when the next begins."""
    folder = home / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    spool = folder / f"spool-{secrets.token_hex(6)}"
    with _held(spool.with_suffix(".lock"), fcntl.LOCK_EX):
        try:
            spool.mkdir()
            yield S3Supply(S3Url.parse(url), access, spool, home / "store" / "seen.json", tables)
        finally:
            shutil.rmtree(spool, ignore_errors=True)
            spool.with_suffix(".lock").unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    for lock in folder.glob("spool-*.lock"):
        with suppress(BlockingIOError, FileNotFoundError), _held(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


@contextmanager
def _held(lock: Path, way: int) -> Iterator[None]:
    """The system lets go of it when this process ends, however it ends."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, way)
        yield
    finally:
        os.close(handle)


def _found(url: S3Url, access: S3Access, tables: set[str]) -> tuple[VersionedStore, list[ObjectFacts]]:
    """The store below the path, and what it holds; of a single object the store around it."""
    folder, _, name = url.path.rpartition("/")
    if name.endswith(ENDINGS):
        around = open_s3(S3Url(url.bucket, folder), access)
        alone = [facts for facts in around.list(name) if facts.key == name]
        if alone:
            return around, alone
    below = open_s3(url, access)
    found = [facts for facts in below.list("") if _is_data(facts.key) and facts.key not in tables]
    if not found:
        raise InvalidInput(f"{below.url} holds no file that ends in {', '.join(ENDINGS)}")
    return below, found


def _is_data(key: str) -> bool:
    return key.endswith(ENDINGS) and not any(part.startswith((".", "_")) for part in key.split("/"))


def _ending(key: str) -> str:
    return max((ending for ending in ENDINGS if key.endswith(ending)), key=len)


def _read_seen(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
