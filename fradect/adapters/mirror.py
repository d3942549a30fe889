"""Folders of the home and their copies in an object store: pulled before they are read, pushed once they are written.

A shelf is such a folder. Its manifest in the store is one small object that names every file with its digest and is
replaced by a conditional write, after the files; files are stored under names that hold their digest and are never
overwritten. So a reader sees one whole state or another, and of two writers one is told.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from fradect.adapters.places import publishing, scratch
from fradect.errors import Conflict, NotFound, Refused, Unavailable
from fradect.objects import ObjectStore, is_plain

MANIFEST = "manifest.json"
KEPT_SECONDS = 86_400  # that replaced files stay for readers who hold an older manifest
_PROBE = "fradect-store.json"
_TRIES = 5
_PATH = re.compile(r"[A-Za-z0-9_][^\\\x00-\x1f]{0,400}")


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file is. Its time of change travels with it, since files that are made from others go by it."""

    size: int
    mtime_ns: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`retired`: objects that no manifest names any more, and since when (seconds)."""

    files: dict[str, FileFacts] = {}
    retired: dict[str, int] = {}
    format: int = 1


class Synced(msgspec.Struct, frozen=True):
    """The manifest that the home met last, and of each file what it was when home and store had the same."""

    version: str = ""
    files: dict[str, FileFacts] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest as the store has it; version None while there is none."""

    manifest: Manifest
    version: str | None


class Mirror:
    """The shelves of one home in one store."""

    def __init__(self, home: Path, store: ObjectStore) -> None:
        self.home = home
        self.store = store
        self._records = home / "store" / hashlib.sha256(store.url.encode()).hexdigest()[:12]
        self._is_proven = False

    def shelves(self, prefix: str) -> list[str]:
        """Every shelf in the store whose name begins so."""
        return [f.key.removesuffix(f"/{MANIFEST}") for f in self.store.list(prefix) if f.key.endswith(f"/{MANIFEST}")]

    def pull(self, shelf: str, endings: tuple[str, ...] = ("",), *, keep: bool = True) -> bool:
        """Bring the home's files to the store's; whether any was fetched.

        A file that was changed here since stays as it is (`keep`) for the next push to send. Files that only the
        home has stay in any case.
        """
        found = self.manifest(shelf)
        if found.version is None:
            return False
        wanted = {path: facts for path, facts in found.manifest.files.items() if path.endswith(endings)}
        if keep:
            unsent = self.unsent(shelf, wanted)
            wanted = {path: facts for path, facts in wanted.items() if path not in unsent}
        with scratch(self.home) as folder:
            fetched = dict(self.fetch(shelf, wanted, folder))
            for path, staged in fetched.items():
                self.settle(staged, self.home / shelf / path)
        self.record(shelf, found.version, wanted)
        return bool(fetched)

    def push(self, shelf: str) -> bool:
        """Send what was changed here; whether anything was. Of two who change one file at once, the later stays."""
        if not self.unsent(shelf):
            return False
        self.prove()
        for last in range(1, _TRIES + 1):
            found = self.manifest(shelf)
            sent = self.send(shelf, found.manifest, self.unsent(shelf))
            try:
                self.publish(shelf, found, sent)
            except Conflict:
                if last == _TRIES:
                    raise
            else:
                break
        return True

    def manifest(self, shelf: str) -> Found:
        """Refused when it is none: its paths become files here."""
        content = self.store.read(f"{shelf}/{MANIFEST}")
        if content is None:
            return Found(Manifest(), None)
        try:
            manifest = msgspec.json.decode(content.raw, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"{self.store.url}/{shelf}/{MANIFEST} is damaged or of a later version ({error})") from error
        strange = [path for path in manifest.files if not _is_ours(path)]
        if strange or manifest.format != 1:
            raise Refused(f"{self.store.url}/{shelf}/{MANIFEST} names what cannot be a file here: {strange[:1]}")
        return Found(manifest, content.version)

    def local(self, shelf: str) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file of the home's side, but hidden ones and what is still staged."""
        root, found = self.home / shelf, {}
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if _is_ours(name) and not name.startswith("staging/"):
                with suppress(FileNotFoundError):  # replaced as we look
                    stat = path.lstat()
                    if os.path.isfile(path):
                        found[name] = (stat.st_size, stat.st_mtime_ns)
        return found

    def unsent(self, shelf: str, theirs: Mapping[str, FileFacts] | None = None) -> set[str]:
        """Files that are not as they were when home and store met last, nor (`theirs`) as the store has them now."""
        known = self.synced(shelf).files
        changed = {path for path, stat in self.local(shelf).items() if not _is_as(stat, known.get(path))}
        return {path for path in changed if not self.is_theirs(shelf, path, (theirs or {}).get(path))}

    def is_theirs(self, shelf: str, path: str, facts: FileFacts | None) -> bool:
        if facts is None:
            return False
        file = self.home / shelf / path
        if _is_as((file.stat().st_size, file.stat().st_mtime_ns), facts):
            return True
        return file.stat().st_size == facts.size and _sha256(file) == facts.sha256

    def fetch(self, shelf: str, wanted: Mapping[str, FileFacts], folder: Path) -> Iterator[tuple[str, Path]]:
        """Download those of the wanted files that the home does not have, checked, into a folder beside."""
        here = self.local(shelf)
        for number, (path, facts) in enumerate(wanted.items()):
            if path in here and self.is_theirs(shelf, path, facts):
                os.utime(self.home / shelf / path, ns=(facts.mtime_ns, facts.mtime_ns))
                continue
            staged = folder / f"fetched-{number:06d}"
            try:
                self.store.download(_key(shelf, path, facts.sha256), staged)
            except NotFound as error:
                raise Unavailable(f"{self.store.url}/{shelf} changed while it was read: try again") from error
            if _sha256(staged) != facts.sha256:
                raise Refused(f"{self.store.url}/{shelf}/{path} is damaged: its digest is not what the manifest says")
            os.utime(staged, ns=(facts.mtime_ns, facts.mtime_ns))
            yield path, staged

    def settle(self, staged: Path, target: Path) -> None:
        """A fetched file into its place, whole or not at all, its time of change kept."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(target)

    def send(self, shelf: str, there: Manifest, paths: Iterable[str]) -> dict[str, FileFacts]:
        """Upload these files, unless the store has the very same; what they are."""
        sent: dict[str, FileFacts] = {}
        for path in sorted(paths):
            with suppress(FileNotFoundError), (self.home / shelf / path).open("rb") as file:
                stat = os.fstat(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                before = there.files.get(path)
                if before is None or before.sha256 != digest:
                    file.seek(0)
                    self.store.upload(_key(shelf, path, digest), file)
                sent[path] = FileFacts(stat.st_size, stat.st_mtime_ns, digest)
        return sent

    def publish(self, shelf: str, before: Found, sent: Mapping[str, FileFacts]) -> None:
        """Add to the manifest that was found, and to no other: Conflict when there is another by now."""
        files = {**before.manifest.files, **sent}
        now = int(time.time())
        kept = {_key(shelf, path, facts.sha256) for path, facts in files.items()}
        dropped = {_key(shelf, path, facts.sha256): now for path, facts in before.manifest.files.items()}
        retired = {key: at for key, at in {**dropped, **before.manifest.retired}.items() if key not in kept}
        old = {key for key, at in retired.items() if at < now - KEPT_SECONDS}
        manifest = Manifest(files, {key: at for key, at in retired.items() if key not in old})
        raw = msgspec.json.encode(manifest, order="deterministic")
        version = self.store.put(f"{shelf}/{MANIFEST}", raw, before.version)
        self.record(shelf, version, sent)
        for key in old:
            if key.startswith(f"{shelf}/"):
                self.store.delete(key)

    def synced(self, shelf: str) -> Synced:
        try:
            return msgspec.json.decode(self._record(shelf).read_bytes(), type=Synced)
        except (FileNotFoundError, msgspec.DecodeError):
            return Synced()  # without it every file is compared by its digest

    def record(self, shelf: str, version: str, alike: Mapping[str, FileFacts]) -> None:
        """Remember which files are alike here and there; of others, what they were when they were alike last."""
        with publishing(self._record(shelf)) as staging:
            staging.write_bytes(msgspec.json.encode(Synced(version, {**self.synced(shelf).files, **alike})))

    def prove(self) -> None:
        """Refused when the store lets a conditional write pass whose condition does not hold: writers would lose."""
        if self._is_proven:
            return
        if self.store.read(_PROBE) is None:
            with suppress(Conflict):
                self.store.put(_PROBE, b'{"format":1}', None)
        for condition in ("0" * 32, None):
            with suppress(Conflict):
                self.store.put(_PROBE, b'{"format":1,"unsafe":true}', condition)
                raise Refused(f"{self.store.url} ignores the conditions of writes: two writers would lose work there")
        self._is_proven = True

    def _record(self, shelf: str) -> Path:
        return self._records / f"{shelf}.json"


def _key(shelf: str, path: str, digest: str) -> str:
    """Where a file's content lies: its name with the beginning of its digest before the ending."""
    pure = PurePosixPath(path)
    return (PurePosixPath(shelf) / pure.with_name(f"{pure.stem}.{digest[:20]}{pure.suffix}")).as_posix()


def _is_ours(path: str) -> bool:
    """A path below a shelf that is plain and not hidden."""
    return bool(_PATH.fullmatch(path)) and is_plain(path) and not any(part[0] == "." for part in path.split("/"))


def _is_as(stat: tuple[int, int] | None, facts: FileFacts | None) -> bool:
    return stat is not None and facts is not None and stat == (facts.size, facts.mtime_ns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
