"""Where the files of one tenant's module lie under FRADECT_HOME, and how a file is published."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fradect.errors import InvalidInput, NotFound
from fradect.features.contract import Contract

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Places:
    """Every path of one (module, tenant). Nothing is made before something is written there."""

    home: Path
    module: str
    tenant: str

    def __post_init__(self) -> None:
        for field, name in (("module", self.module), ("tenant", self.tenant)):
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"{field} {name!r}: letters, digits, '_', '-' and '.' only", field=field)

    @property
    def log(self) -> Path:
        return self.home / "log" / self.module / self.tenant

    def features(self, contract: Contract) -> Path:
        """One row per event: its request, live and derived features."""
        return self.home / "features" / self.module / self.tenant / contract.hash / "features.parquet"

    def snapshots(self, contract: Contract) -> Path:
        """Customer snapshots: one row per customer and midnight before which something changed."""
        return self.home / "offline" / self.module / self.tenant / contract.hash / "customer_features.parquet"

    def training_set(self, contract: Contract) -> Path:
        return self.home / "offline" / self.module / self.tenant / contract.hash / "training_set.parquet"

    @property
    def told_labels(self) -> Path:
        """What decisions turned out to be, as it stands now, where anybody told it."""
        return self.home / "offline" / self.module / self.tenant / "told_labels.parquet"

    @property
    def ip_ranges(self) -> Path:
        """The table of IP ranges of the last import that used one; the service looks addresses up in it."""
        return self.home / "ip_ranges" / self.module / f"{self.tenant}.csv"

    @property
    def feast(self) -> Path:
        return self.home / "feast" / f"{self.module}_{self.tenant}"

    def events(self) -> list[str]:
        """The log's event files; NotFound while nothing has been imported."""
        files = self._parquet("events")
        if not files:
            raise NotFound(f"no events under {self.log}: import or simulate some first")
        return files

    def outcomes(self) -> list[str]:
        return self._parquet("outcomes")

    def fingerprint(self) -> str:
        """Changes whenever the log does."""
        return fingerprint(self.events() + self.outcomes())

    def _parquet(self, kind: str) -> list[str]:
        return sorted(str(path) for path in (self.log / kind).glob("*.parquet"))


def fingerprint(files: Sequence[str | Path]) -> str:
    """Changes whenever one of the files does."""
    digest = hashlib.sha256()
    for file in files:
        stat = os.stat(file)
        digest.update(f"{Path(file).name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def publishing(target: Path) -> Iterator[Path]:
    """A path to write to; what stands there at the end replaces the target at once, an error leaves it alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=".new", dir=target.parent)
    os.close(handle)
    staging = Path(name)
    try:
        yield staging
        with staging.open("rb") as written:
            os.fsync(written.fileno())
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A folder for intermediate files, on the home's own disk, gone at the end."""
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="history-", dir=home / "tmp") as folder:
        yield Path(folder)
