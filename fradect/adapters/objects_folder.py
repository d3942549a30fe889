"""A folder, local or on a network disk, as an ObjectStore."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fradect.adapters.places import publishing
from fradect.errors import Conflict, InvalidInput, NotFound
from fradect.objects import Content, ObjectFacts, is_plain


class FolderObjects:
    """One file an object. Conditional writes take turns by a lock, which every machine that mounts the folder sees."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = root.as_uri()

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        folder = self._root / prefix.rpartition("/")[0]
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        for key, path in sorted((path.relative_to(self._root).as_posix(), path) for path in found):
            content = self.read(key) if key.startswith(prefix) else None
            if content is not None:
                yield ObjectFacts(key, path.stat().st_size, content.version)

    def read(self, key: str) -> Content | None:
        try:
            raw = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        return Content(raw, hashlib.sha256(raw).hexdigest())

    def download(self, key: str, target: Path) -> None:
        try:
            shutil.copyfile(self._path(key), target)
        except FileNotFoundError as error:
            raise NotFound(f"{self.url}/{key}: there is no such file") from error

    def upload(self, key: str, content: BinaryIO) -> None:
        with publishing(self._path(key)) as staging, staging.open("wb") as file:
            shutil.copyfileobj(content, file)

    def put(self, key: str, raw: bytes, instead_of: str | None) -> str:
        with self._turn():
            there = self.read(key)
            if (None if there is None else there.version) != instead_of:
                if there is not None and there.raw == raw:
                    return there.version
                raise Conflict(f"{self.url}/{key}: somebody else has written it meanwhile")
            with publishing(self._path(key)) as staging:
                staging.write_bytes(raw)
        return hashlib.sha256(raw).hexdigest()

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if not key or not is_plain(key) or any(part.startswith(".") for part in key.split("/")):
            raise InvalidInput(f"{self.url}: {key!r} is no key of a file here")
        return self._root / key

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
