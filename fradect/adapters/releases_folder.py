"""Releases in a folder: one sub-folder each, named by content, and a small file that says who decides for whom."""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from fradect.errors import Conflict, InvalidInput, NotFound, Refused
from fradect.release import ALL_PARTS, Release, assemble, digests, name_of
from fradect.rollout import Rollout, Step, named

_ID = re.compile(r"rel_[0-9a-f]{16}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class ReleasesFolder:
    """In `<home>/releases`: `<id>/` holds a release's parts, `champions/` a rollout for each module and tenant,
    `history/` those before it, by number.

    Everything appears by rename after its bytes are synced: a reader sees the old or the new, never a part.
    """

    def __init__(self, home: Path) -> None:
        self._root = home / "releases"
        self._root.mkdir(parents=True, exist_ok=True)

    def save(self, release: Release) -> None:
        """Idempotent: a release that is there and whole is left alone, a damaged copy of it is replaced."""
        parts = release.parts()
        target = self._root / release.id
        if _is_whole(target, release.id):
            return
        staging = Path(tempfile.mkdtemp(prefix=".new-", dir=self._root))
        for name, raw in parts.items():
            _write_synced(staging / name, raw)
        _sync_folder(staging)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
        _sync_folder(self._root)

    def load(self, release_id: str) -> Release:
        """NotFound when there is none of that id, Refused when its bytes are not those its id was made of."""
        folder = self._folder(release_id)
        if not folder.is_dir():
            raise NotFound(f"release {release_id} is not in {self._root}: see `fradect release list`")
        return assemble(release_id, _read_parts(folder))

    def champion(self, module: str, tenant_id: str) -> str | None:
        now = self.rollout(module, tenant_id)
        return None if now is None else now.release

    def champions(self) -> Mapping[tuple[str, str], str]:
        return {key: now.release for key, now in self.rollouts().items()}

    def rollout(self, module: str, tenant_id: str) -> Rollout | None:
        return _read(self._pointer(module, tenant_id), f"{module} for {tenant_id}")

    def rollouts(self) -> Mapping[tuple[str, str], Rollout]:
        found: dict[tuple[str, str], Rollout] = {}
        for path in (self._root / "champions").glob("*/[!.]*.json"):
            key = (path.parent.name, path.stem)
            with suppress(Refused, InvalidInput):
                now = self.rollout(*key)
                if now is not None:
                    found[key] = now
        return found

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        now = self.rollout(module, tenant_id)
        step = Step("named", "", "promoted", time.time_ns() // 1000)
        self.move(module, tenant_id, named(now, release_id, step))

    def move(self, module: str, tenant_id: str, after: Rollout) -> None:
        self._check(module, after)
        pointer = self._pointer(module, tenant_id)
        with _one_at_a_time(pointer):
            now = self._at_hand(module, tenant_id)
            if after.number != (0 if now is None else now.number) + 1:
                raise Conflict(f"the rollout of {module} for {tenant_id} went on meanwhile: look again")
            self._point(pointer, now, after)

    def repeat(self, module: str, tenant_id: str, rollout: Rollout) -> None:
        """Take over what another place has decided, whatever was here."""
        self._check(module, rollout)
        pointer = self._pointer(module, tenant_id)
        with _one_at_a_time(pointer):
            self._point(pointer, self._at_hand(module, tenant_id), rollout)

    def history(self, module: str, tenant_id: str) -> tuple[Rollout, ...]:
        folder = self._history(self._pointer(module, tenant_id))
        past = [_read(path, path.name) for path in sorted(folder.glob("[0-9]*.json"))]
        now = self.rollout(module, tenant_id)
        return tuple(one for one in (*past, now) if one is not None)

    def ids(self) -> tuple[str, ...]:
        """Every release here, oldest first."""
        found = [path for path in self._root.iterdir() if _ID.fullmatch(path.name)]
        return tuple(path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name)))

    def _check(self, module: str, rollout: Rollout) -> None:
        """Who decides has been read whole. Who did before may be damaged: that would be a reason to go on."""
        for release_id in filter(None, (rollout.release, rollout.challenger)):
            release = self.load(release_id)
            if release.module != module:
                raise InvalidInput(f"release {release_id} is for {release.module}, not for {module}", field="module")

    def _at_hand(self, module: str, tenant_id: str) -> Rollout | None:
        """A damaged pointer is replaced as if there were none: nothing else could mend it."""
        with suppress(Refused):
            return self.rollout(module, tenant_id)
        return None

    def _point(self, pointer: Path, now: Rollout | None, after: Rollout) -> None:
        """What is replaced is written down first: a crash between leaves it in charge, and in its history."""
        if now is not None:
            _replace(self._history(pointer) / f"{now.number:08}.json", msgspec.json.encode(now))
        _replace(pointer, msgspec.json.encode(after))

    def _history(self, pointer: Path) -> Path:
        return self._root / "history" / pointer.parent.name / pointer.stem

    def _folder(self, release_id: str) -> Path:
        if not _ID.fullmatch(release_id):
            raise InvalidInput(f"{release_id!r} is no release id: rel_ and 16 hex digits", field="release")
        return self._root / release_id

    def _pointer(self, module: str, tenant_id: str) -> Path:
        for field, name in (("module", module), ("tenant", tenant_id)):
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"{field} {name!r}: letters, digits, '_', '-' and '.' only", field=field)
        return self._root / "champions" / module / f"{tenant_id}.json"


def _read(path: Path, what: str) -> Rollout | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(raw, type=Rollout)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the champion pointer of {what} is damaged: promote a release again") from error


@contextmanager
def _one_at_a_time(pointer: Path) -> Iterator[None]:
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with pointer.with_name(f".{pointer.stem}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    _write_synced(staging, raw)
    staging.replace(path)
    _sync_folder(path.parent)


def _read_parts(folder: Path) -> Mapping[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ALL_PARTS if (folder / name).is_file()}


def _is_whole(folder: Path, release_id: str) -> bool:
    parts = _read_parts(folder) if folder.is_dir() else {}
    return name_of(digests(parts)) == release_id


def _write_synced(path: Path, raw: bytes) -> None:
    with path.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
