"""Files of which nothing lies on the disk in clear: frames of AES-256-GCM under a key of the file's own.

Every frame but the last holds as many bytes. Its nonce is its number, its associated data the file's name and whether
it is the last: frames cannot be changed, moved, left out or cut off unseen, and any of them can be read by itself.
"""

import io
import os
import re
import struct
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fradect.errors import NotFound, Refused, Unavailable

FRAME = 64 * 1024
_TAG = 16
_NAME = re.compile(r"upl_[0-9a-f]{13,40}")


class SealedFiles:
    """A folder of them, each by its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self, name: str, key: bytes) -> "SealedWriter":
        return SealedWriter(self._path(name), name, key)

    def open(self, name: str, key: bytes) -> "SealedReader":
        """NotFound where there is no such file, which may lie on another machine. Refused when it was changed."""
        return SealedReader(self._path(name), name, key)

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._folder.glob("upl_*"))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound(f"no upload {name[:64]!r}")
        return self._folder / name


class SealedWriter:
    """Takes bytes as they come; nothing of it counts before `close`. Unavailable when the disk takes no more."""

    def __init__(self, path: Path, name: str, key: bytes) -> None:
        self._path, self._name = path, name
        self._cipher = AESGCM(key)
        self._waiting = bytearray()
        self._number = 0
        self.size = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def write(self, data: bytes) -> None:
        self._waiting += data
        self.size += len(data)
        while len(self._waiting) > FRAME:  # the last frame is never empty unless the file is
            self._put(bytes(self._waiting[:FRAME]), is_last=False)
            del self._waiting[:FRAME]

    def close(self) -> None:
        """Durable when it returns."""
        self._put(bytes(self._waiting), is_last=True)
        self._waiting.clear()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _sync(self._path.parent)
        except OSError as error:
            raise _full(error) from error

    def abandon(self) -> None:
        """Whatever happened: nothing of it stays."""
        try:
            self._file.close()
        except OSError:  # what could not be written is what goes
            pass
        finally:
            self._path.unlink(missing_ok=True)

    def _put(self, clear: bytes, *, is_last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number), clear, _place(self._name, is_last=is_last))
        self._number += 1
        try:
            self._file.write(sealed)
        except OSError as error:
            raise _full(error) from error


class SealedReader(io.RawIOBase):
    """Reads from anywhere in the file, a frame at a time. Refused where it was changed."""

    def __init__(self, path: Path, name: str, key: bytes) -> None:
        super().__init__()
        try:
            self._file = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"upload {name} is not on this machine") from error
        self._name, self._cipher = name, AESGCM(key)
        length = os.fstat(self._file.fileno()).st_size
        self._frames = max(1, -(-length // (FRAME + _TAG)))
        self._size = max(0, length - self._frames * _TAG)
        self._at = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """As much as the frame under the position has."""
        if self._at >= self._size or not len(buffer):
            return 0
        number, offset = divmod(self._at, FRAME)
        some = self._frame(number)[offset : offset + len(buffer)]
        buffer[: len(some)] = some
        self._at += len(some)
        return len(some)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _frame(self, number: int) -> bytes:
        if self._held[0] != number:
            self._file.seek(number * (FRAME + _TAG))
            sealed = self._file.read(FRAME + _TAG)
            place = _place(self._name, is_last=number == self._frames - 1)
            try:
                self._held = number, self._cipher.decrypt(_nonce(number), sealed, place)
            except InvalidTag as error:
                raise Refused(f"upload {self._name} was changed on the disk: send it again") from error
        return self._held[1]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _nonce(number: int) -> bytes:
    return struct.pack(">4xQ", number)


def _place(name: str, *, is_last: bool) -> bytes:
    return name.encode() + (b"/last" if is_last else b"/more")


def _full(error: OSError) -> Unavailable:
    return Unavailable(f"the upload cannot be kept ({error.strerror}): ask again later")
