"""Releases in a folder: one sub-folder each, named by content, and a small file that points at each champion."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from fradect.errors import InvalidInput, NotFound, Refused
from fradect.release import ALL_PARTS, Release, assemble, digests, name_of

_ID = re.compile(r"rel_[0-9a-f]{16}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class _Pointer(msgspec.Struct, frozen=True):
    release: str


class ReleasesFolder:
    """`<home>/releases/<id>/` holds a release's parts, `<home>/releases/champions/` who is champion of what.

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
        try:
            raw = self._pointer(module, tenant_id).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(raw, type=_Pointer).release
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(
                f"the champion pointer of {module} for {tenant_id} is damaged: promote a release again"
            ) from error

    def champions(self) -> Mapping[tuple[str, str], str]:
        """Every champion by module and tenant; a pointer that is damaged is left out."""
        found: dict[tuple[str, str], str] = {}
        for path in (self._root / "champions").glob("*/[!.]*.json"):
            key = (path.parent.name, path.stem)
            with suppress(Refused, InvalidInput):
                release_id = self.champion(*key)
                if release_id is not None:
                    found[key] = release_id
        return found

    def promote(self, module: str, tenant_id: str, release_id: str) -> None:
        """Point at a release, once it has been read whole."""
        release = self.load(release_id)
        if release.module != module:
            raise InvalidInput(f"release {release_id} is for {release.module}, not for {module}", field="module")
        pointer = self._pointer(module, tenant_id)
        pointer.parent.mkdir(parents=True, exist_ok=True)
        staging = pointer.with_name(f".{pointer.name}.{os.getpid()}")
        _write_synced(staging, msgspec.json.encode(_Pointer(release_id)))
        staging.replace(pointer)
        _sync_folder(pointer.parent)

    def ids(self) -> tuple[str, ...]:
        """Every release here, oldest first."""
        found = [path for path in self._root.iterdir() if _ID.fullmatch(path.name)]
        return tuple(path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name)))

    def _folder(self, release_id: str) -> Path:
        if not _ID.fullmatch(release_id):
            raise InvalidInput(f"{release_id!r} is no release id: rel_ and 16 hex digits", field="release")
        return self._root / release_id

    def _pointer(self, module: str, tenant_id: str) -> Path:
        for field, name in (("module", module), ("tenant", tenant_id)):
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"{field} {name!r}: letters, digits, '_', '-' and '.' only", field=field)
        return self._root / "champions" / module / f"{tenant_id}.json"


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
