"""An event log and its copy in an object store. Stricter than other shelves: a log only ever grows, in one line."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fradect.adapters.event_log import EventLog
from fradect.adapters.mirror import FileFacts, Found, Mirror
from fradect.errors import Conflict

LAST = "log.json"  # says what belongs to the log, so it is the last to appear and names nothing that is not there


class GrownApart(Conflict):
    """Home and store were both added to since they were alike."""


class LogMirror:
    """Adds to the log that the home has by what the store has, and the other way; never mixes two that grew apart."""

    def __init__(self, mirror: Mirror, log: EventLog, forget: Callable[[], None] = lambda: None) -> None:
        """`forget` is called before the log gives up what others may have counted on: it was in it for them."""
        self._mirror = mirror
        self._log = log
        self._forget = forget
        self._shelf = log.folder.relative_to(mirror.home).as_posix()

    @property
    def has_unsent(self) -> bool:
        return bool(self._mirror.unsent(self._shelf))

    def pull(self) -> bool:
        """Take over what was added in the store; whether anything was. Unsent additions of the home stay as they are.

        GrownApart when both were added to since they were alike; Conflict while an import into the home is running.
        """
        found = self._mirror.manifest(self._shelf)
        if found.version is None or self._is_here(found):
            return False
        with self._log.importing() as staging:
            unsent = self._mirror.unsent(self._shelf, found.manifest.files)
            if unsent and self._may_follow(found):
                return False
            if unsent - {LAST} or (unsent and self._mirror.synced(self._shelf).version):
                raise self._grown_apart()
            self._replace(found, staging)
        return True

    def push(self) -> bool:
        """Send what was added here; whether anything was. GrownApart when something was added there meanwhile."""
        if not self.has_unsent:
            return False
        self._mirror.prove()
        with self._log.importing():
            found = self._mirror.manifest(self._shelf)
            if not self._may_follow(found):
                raise self._grown_apart()
            sent = self._mirror.send(self._shelf, found.manifest, self._mirror.local(self._shelf))
            try:
                self._mirror.publish(self._shelf, found, sent)
            except Conflict as error:
                raise self._grown_apart() from error
        return True

    def give_way(self) -> None:
        """Make the home's log the store's, and forget what only the home has."""
        found = self._mirror.manifest(self._shelf)
        with self._log.importing() as staging:
            self._replace(found, staging)

    def _is_here(self, found: Found) -> bool:
        if found.version != self._mirror.synced(self._shelf).version:
            return False
        return self._mirror.local(self._shelf).keys() >= found.manifest.files.keys()

    def _may_follow(self, found: Found) -> bool:
        """Whether the home's log goes on from the store's."""
        if found.version is None or found.version == self._mirror.synced(self._shelf).version:
            return True
        here = self._mirror.local(self._shelf)
        theirs = _without_last(found.manifest.files)
        return not self._mirror.synced(self._shelf).version and all(
            path in here and self._mirror.is_theirs(self._shelf, path, facts) for path, facts in theirs.items()
        )

    def _replace(self, found: Found, staging: Path) -> None:
        """Files first, the list of them last."""
        files, shelf = found.manifest.files, self._log.folder
        fetched = dict(self._mirror.fetch(self._shelf, files, staging))
        if LAST in fetched:  # under the name by which the log itself finishes, or undoes, what was cut off
            fetched[LAST] = fetched[LAST].replace(staging / LAST)
        here = self._mirror.local(self._shelf).keys()
        if here - files.keys() or LAST not in here:
            self._forget()
        for path in here - files.keys():
            (shelf / path).unlink()
        for path in sorted(fetched, key=lambda path: (path == LAST, path.startswith("events/"), path)):
            self._mirror.settle(fetched[path], shelf / path)
        self._mirror.record(self._shelf, found.version or "", files)

    def _grown_apart(self) -> GrownApart:
        return GrownApart(
            f"{self._log.folder} was added to here, and its copy in {self._mirror.store.url} by another writer: move "
            "the folder away, run this again, and import again what only the folder has"
        )


def _without_last(files: Mapping[str, FileFacts]) -> dict[str, FileFacts]:
    return {path: facts for path, facts in files.items() if path != LAST}
