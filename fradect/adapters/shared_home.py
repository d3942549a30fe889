"""A home whose log, derived files, releases and what was found out about them live in a store that others share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fradect.adapters.event_log import EventLog
from fradect.adapters.log_mirror import GrownApart, LogMirror
from fradect.adapters.mirror import Mirror
from fradect.adapters.releases_shared import SharedReleases
from fradect.adapters.vault import HomeVault
from fradect.errors import Conflict, FradectError, Refused, Unavailable
from fradect.features.contract import Contract
from fradect.modules import contract_of
from fradect.objects import ObjectStore
from fradect.rollout import Rollout

DERIVED = ("features", "offline")
TABLES = "ip_ranges"  # that events were looked up in, and requests must be
FACTS = (".json", ".md")  # of evidence: what lists show; plots and references are fetched with their release


class SharedHome:
    """What is fetched before a piece of work, and sent after it. Keys, ledger and live state are never shared."""

    def __init__(self, home: Path, store: ObjectStore, forget: Callable[[str, str], None] = lambda *_: None) -> None:
        """`forget` is told the module and tenant whose log gives something up."""
        self._forget = forget
        self.mirror = Mirror(home, store)
        self.releases = SharedReleases(self.mirror)

    @contextmanager
    def working(self, module: str, tenant: str, release_id: str | None = None) -> Iterator[None]:
        """The home as the store has it, and afterwards the store as the home has it.

        Unavailable before any work while the store is away. When it goes away during the work, what was made stays
        here, and the next work sends it. Conflict when another added to the log meanwhile: then what this work added
        is taken back, and it may be done again.
        """
        log = self.log(module, tenant)
        log.pull()
        was_sent = not log.has_unsent
        self._fetch(module, tenant, release_id)
        yield
        try:
            self._send_log(log, was_sent)
            self.send(module, tenant)
        except Unavailable as error:
            raise Unavailable(f"{error}. What was made is kept here; the next command sends it") from error

    def _send_log(self, log: LogMirror, was_sent: bool) -> None:
        try:
            log.push()
        except GrownApart as error:
            if not was_sent:
                raise
            log.give_way()
            raise Conflict(
                f"another writer added to the log in {self.mirror.store.url} meanwhile: what was added here was taken "
                "back, do the same again"
            ) from error

    def _fetch(self, module: str, tenant: str, release_id: str | None) -> None:
        facts = EventLog(self.mirror.home, module, tenant).facts()
        contracts = {} if facts is None else {facts.contract: contract_of(facts.contract)}
        for chosen in {release_id, self.releases.champion(module, tenant)} - {None}:
            self.mirror.pull(f"releases/{chosen}", keep=False)
            self.mirror.pull(f"evidence/{chosen}")
        if release_id is not None:
            contract = self.releases.load(release_id).contract
            contracts[contract.name] = contract
        for contract in contracts.values():
            self.fetch_derived(module, tenant, contract)
        self.mirror.pull(f"{TABLES}/{module}")

    def log(self, module: str, tenant: str) -> LogMirror:
        log = EventLog(self.mirror.home, module, tenant)
        return LogMirror(self.mirror, log, lambda: self._forget(module, tenant))

    def fetch_derived(self, module: str, tenant: str, contract: Contract) -> bool:
        """Features, snapshots and training set of a contract; whether any was fetched."""
        fetched = [self.mirror.pull(f"{kind}/{module}/{tenant}/{contract.hash}") for kind in DERIVED]
        return any(fetched)

    def fetch_evidence(self, release_id: str | None = None) -> None:
        """All of one release's, or what fits on a screen of every one's."""
        if release_id is not None:
            self.mirror.pull(f"evidence/{release_id}")
            return
        for shelf in self.mirror.shelves("evidence/"):
            self.mirror.pull(shelf, FACTS)

    def send(self, module: str, tenant: str) -> None:
        """All that was made here beside the log: first what later things name."""
        home = self.mirror.home
        for kind in DERIVED:
            for folder in _folders(home / kind / module / tenant):
                self.mirror.push(f"{kind}/{module}/{tenant}/{folder}")
        for folder in _folders(home / "evidence"):
            self.mirror.push(f"evidence/{folder}")
        self.mirror.push(f"{TABLES}/{module}")
        self.mirror.push(f"reports/{module}/{tenant}")
        self.releases.send(module, tenant)

    def follow(self) -> None:
        """Take over what was promoted elsewhere: first all that deciding by it needs, the pointer last.

        One that cannot be taken over keeps no other from it; the first such error is raised in the end.
        """
        errors = []
        for module, tenant, rollout in self.releases.follow():
            try:
                self._take(module, tenant, rollout)
            except FradectError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _take(self, module: str, tenant: str, rollout: Rollout) -> None:
        self.releases.load(rollout.release)
        self.log(module, tenant).pull()
        facts = EventLog(self.mirror.home, module, tenant).facts()
        if facts is not None and facts.key_id is not None:
            self._check_key(tenant, facts.key_id)
        self.mirror.pull(f"{TABLES}/{module}")
        self.releases.take(module, tenant, rollout)

    def _check_key(self, tenant: str, key_id: str) -> None:
        """A service under another key would not know the customers of the log by their tokens."""
        file = self.mirror.home / "keys" / "vault.json"
        if not file.is_file() or HomeVault(self.mirror.home).key_id != key_id:
            raise Refused(
                f"personal fields of tenant {tenant!r} are sealed under another key than this home's: bring {file} "
                "from the home that imported them, then start again"
            )


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("[!.]*") if path.is_dir()) if root.is_dir() else []
