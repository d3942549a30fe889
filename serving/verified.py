"""When each serving release was last known to be the right one and whole: kept on disk, so that a restart knows."""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)
DAY_SECONDS = 86_400.0
TRUSTED_SECONDS = 7 * DAY_SECONDS
"""For so long a model that cannot be verified goes on deciding; after that the rules decide alone."""


class Verified:
    """Seconds since the epoch at which a release was verified last, by its id."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._at = _read(path)

    def record(self, release_ids: Iterable[str]) -> None:
        """These are verified now; others than these are forgotten after their time."""
        now = self._now()
        self.reload()
        kept = {name: at for name, at in self._at.items() if now - at < 4 * TRUSTED_SECONDS}
        self._at = kept | dict.fromkeys(release_ids, now)
        staging = self._path.with_name(f".{self._path.name}.new")
        try:
            staging.write_bytes(msgspec.json.encode(self._at))
            staging.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror)

    def reload(self) -> None:
        """What another worker has verified counts here as well."""
        self._at = _read(self._path)

    def age(self, release_id: str) -> float:
        """Seconds; none for a release that is new here. A clock that was set back makes nothing older."""
        return max(0.0, self._now() - self._at.get(release_id, self._now()))

    def knows(self, release_id: str) -> bool:
        return release_id in self._at


def _read(path: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read, so that releases count as verified from now on: %s", path, error)
        return {}
