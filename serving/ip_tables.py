"""Which table of IP ranges answers for a tenant: the operator's, or the one that its log was imported with."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fradect.errors import InvalidInput
from fradect.intake import IpRanges

log = logging.getLogger(__name__)

Key = tuple[str, str]  # module, tenant
_Stamp = tuple[int, int]


class IpTables:
    """Read before a tenant's first decision, and again when the file changes; a file is read once for all tenants."""

    def __init__(self, kept: Callable[[str, str], Path], everywhere: Path | None) -> None:
        """`kept`: where imports leave the table of a module and tenant. `everywhere`: the table of all instead;
        InvalidInput when it cannot be read."""
        self._kept = kept
        self._everywhere = everywhere
        self._tables: Mapping[Key, IpRanges] = {}
        self._files: dict[Path, tuple[_Stamp | None, IpRanges | None]] = {}
        if everywhere is not None:
            self._files[everywhere] = _stamp(everywhere), IpRanges.read(everywhere)

    def of(self, module: str, tenant_id: str) -> IpRanges | None:
        return self._tables.get((module, tenant_id))

    def refresh(self, keys: Iterable[Key]) -> None:
        """Follow the files of these tenants; what cannot be read leaves the table before it. Call from one thread."""
        tables = dict(self._tables)
        for key in keys:
            ranges = self._read(self._everywhere or self._kept(*key))
            if ranges is not None:
                tables[key] = ranges
        self._tables = tables

    def _read(self, path: Path) -> IpRanges | None:
        before, ranges = self._files.get(path, (None, None))
        stamp = _stamp(path)
        if stamp is not None and stamp != before:
            try:
                ranges = IpRanges.read(path)
            except InvalidInput as error:
                log.error("addresses are looked up as before: %s", error)
            self._files[path] = stamp, ranges
        return ranges


def _stamp(path: Path) -> _Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
