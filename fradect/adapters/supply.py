"""What an import reads: files that lie here, or that come one at a time and go again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from fradect.adapters.sources import Source, find_sources


class Supplied(NamedTuple):
    """A file, readable until the next is asked for; `before`: bytes of all files that came before it."""

    source: Source
    before: int


class Supply(Protocol):
    """Files to import, in order of name. `place`: the file or folder that relative paths of a mapping start from."""

    @property
    def place(self) -> Path: ...

    @property
    def files(self) -> int: ...

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        ...

    def wanted(self, is_wanted: Callable[[str], bool]) -> Iterator[Supplied]:
        """Those whose digest is wanted; it is asked once for each file."""
        ...


class FolderSupply:
    """A file, or a folder of files, on this machine."""

    def __init__(self, path: Path) -> None:
        self.place = path
        self._sources = find_sources(path)
        self._sizes = [source.path.stat().st_size for source in self._sources]

    @property
    def files(self) -> int:
        return len(self._sources)

    @property
    def size(self) -> int:
        return sum(self._sizes)

    def wanted(self, is_wanted: Callable[[str], bool]) -> Iterator[Supplied]:
        before = 0
        for source, size in zip(self._sources, self._sizes, strict=True):
            if is_wanted(source.digest):
                yield Supplied(source, before)
            before += size
