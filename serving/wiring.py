"""The service's composition root: settings become adapters here and nowhere else under serving/."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fradect.adapters.decision_outcomes import SqlOutcomes
from fradect.adapters.decision_pages import DecisionPages
from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.keys import ApiKeys
from fradect.adapters.ledger_checkpoints import Checkpoints
from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.lists_sql import SqlLists
from fradect.adapters.online_snapshots import OnlineSnapshots
from fradect.adapters.outcome_feed import OutcomeFeed
from fradect.adapters.pairs_sql import SqlPairs
from fradect.adapters.places import Places
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.adapters.state_upkeep import StoredEvents, Upkeep
from fradect.adapters.states import is_embedded, open_state
from fradect.adapters.tokens import JwtTokens
from fradect.breaker import Breaker
from fradect.decide import FEATURES_SHARE, Decider, Ports, Source
from fradect.errors import FradectError, Unavailable
from fradect.judgement import Loaded
from fradect.ports import BatchFeatures
from fradect.settings import Settings
from fradect.sight import BATCH_FEATURES, LIVE_STATE
from fradect.turns import OwnThread
from serving.admission import Admission
from serving.auth import Guard
from serving.batch import NoBatch
from serving.batch_runner import Loop
from serving.beside import Beside
from serving.champions import Champions, Checks
from serving.decisions import Past
from serving.drawn import drawn_hex
from serving.housekeeping import Chore, Housekeeping, settle_memory
from serving.ip_tables import IpTables
from serving.metrics import Metrics, shared_folder
from serving.openapi import document
from serving.routes import Wired
from serving.trial import Trials
from serving.verified import Verified
from serving.wiring_batch import BatchParts
from serving.wiring_customers import CustomerParts
from serving.wiring_doors import limits_of, rebuilder, shared_home
from serving.wiring_exploring import Exploring
from serving.wiring_releases import ReleaseParts
from serving.wiring_webhooks import WebhookParts
from serving.workers import ALONE, Worker, check_shareable, one_at_a_time

log = logging.getLogger(__name__)


class Service:
    """Every adapter of a running service, and what is done with them beside answering."""

    def __init__(self, settings: Settings, worker: Worker = ALONE) -> None:
        """Refused when another process has the ledger; the release and the live state come with `start`."""
        check_shareable(settings)
        self._worker = worker
        self._home = settings.home
        self._online_url = settings.online_url
        self._state_url = settings.state_url
        self._closers: list[Callable[[], object]] = []
        self._ledger = SqlLedger(settings.ledger_url)
        self._closers.append(self._ledger.close)
        self._checkpoints = Checkpoints(self._ledger.engine)
        try:
            self._open(settings)
        except BaseException:
            self.close()
            raise

    def _open(self, settings: Settings) -> None:
        shared = open_shared(settings.ledger_url)
        self._closers.append(shared.dispose)
        self._keys = ApiKeys(shared, settings.home / "keys", settings.test_tenants)
        self._tokens = JwtTokens(settings.issuers, settings.home / "keys")
        self._limits = limits_of(settings)
        self._lists = SqlLists(shared)
        self._measurements = SqlMeasurements(shared)
        self._state = open_state(settings.state_url, wait=settings.budget_ms / 1000 * FEATURES_SHARE)
        self._closers.append(self._state.close)
        stored = StoredEvents(settings.ledger_url, shared, LedgerReads(self._ledger.engine))
        self._closers.append(stored.close)
        all_of_it = (self._state, settings.home, shared, stored)
        self._upkeep = Upkeep(
            self._state,
            settings.home,
            stored,
            lambda tenant_id, layout: rebuilder(*all_of_it).rebuild(tenant_id, layout),
            alone=is_embedded(settings.state_url),
        )
        self._feed = OutcomeFeed(self._ledger.engine, shared, self._state)
        self._metrics = Metrics(shared_folder() if settings.workers > 1 else None)
        self._admission = Admission(settings.budget_ms / 1000)
        self._breakers = {LIVE_STATE: Breaker("the live state"), BATCH_FEATURES: Breaker("the feature store")}
        self._ip_tables = IpTables(self._kept_table, settings.ip_ranges)
        self._shared = shared_home(settings)
        self._behind = ""
        worker = self._worker
        checks = Checks(
            Trials(), Verified(settings.home / "verified.json"), lambda: worker.is_first and not self._behind
        )
        releases = ReleasesFolder(settings.home)
        self._champions = Champions(releases, self._batch_of, self._prepare, checks, self._part_of)
        self._threads = (
            OwnThread("live state"),
            OwnThread("feature store"),
            OwnThread("ledger"),
            OwnThread("ledger reads"),
        )
        self._past_thread = OwnThread("past decisions")
        self._closers += [thread.close for thread in (*self._threads, self._past_thread)]
        databases = (self._ledger.engine, shared)
        self._customers = CustomerParts(settings, databases, self._state, self._champions.all, now_micros)
        self._webhooks = WebhookParts(settings, self._ledger.engine, self._customers.vault, self._metrics)
        self._releases = ReleaseParts(settings, self._champions)
        self._closers += [self._customers.close, self._webhooks.close, self._releases.close]
        self._exploring = Exploring(self._ledger.engine, self._part_of, now_micros, self._champions)
        self._beside = Beside(SqlPairs(shared), self._part_of, now_micros, self._metrics.laid_beside)
        self._closers.append(self._beside.close)
        self._batch = BatchParts(settings, shared, self._customers.vault, self._metrics, now_micros)
        self._housekeeping = Housekeeping(self._chores())
        turning = Chore("going back while a release is loaded", 1, self._champions.turn_while_loading)
        self._sharing = Housekeeping([Chore("sharing rate limits", 1, self._limits.share), turning])
        self._closers += [self._note_uses, self._housekeeping.stop, self._sharing.stop, self._batch.close]
        self._budget_ms = settings.budget_ms

    def start(self) -> Wired:
        """Load the champions, bring the live state up to date, begin housekeeping. Takes as long as the log's tail."""
        self._read_lists()
        self._tokens.follow()
        self._share()
        self._follow()
        self._show()
        self._housekeeping.start()
        self._sharing.start()
        if self._worker.is_first:
            self._releases.follow()
        source = Source(now_micros, _new_decision_id)
        engine = self._ledger.engine
        state_thread, batch_thread, ledger_thread, finding_thread = self._threads
        ports = Ports(
            state=self._state,
            ledger=self._ledger,
            state_thread=state_thread,
            batch_thread=batch_thread,
            ledger_thread=ledger_thread,
            finding_thread=finding_thread,
            state_breaker=self._breakers[LIVE_STATE],
            batch_breaker=self._breakers[BATCH_FEATURES],
            signals=self._lists,
            explorer=self._exploring.explorer,
        )
        return Wired(
            decider=Decider(ports, self._budget_ms, source),
            beside=self._beside,
            champions=self._champions,
            guard=Guard(self._keys, self._tokens, self._limits),
            vault=self._customers.vault,
            metrics=self._metrics,
            ip_tables=self._ip_tables,
            admission=self._admission,
            past=Past(DecisionReads(engine), SqlOutcomes(engine), DecisionPages(engine), self._past_thread),
            webhooks=self._webhooks.routes,
            batch=self._batch.routes,
            customers=self._customers.routes,
            releases=self._releases.routes,
            source=source,
            not_ready=self._not_ready,
            openapi=document(),
        )

    def work(self, wired: Wired, loop: Loop) -> None:
        """Work on batches beside answering, on the loop that requests are answered on."""
        self._batch.begin(wired, lambda: self._breakers[LIVE_STATE].is_open, loop)

    def close(self) -> None:
        """Finish what was accepted, then let go of everything, last opened first."""
        while self._closers:
            self._closers.pop()()

    def _chores(self) -> tuple[Chore, ...]:
        everybody = (
            Chore("following promotions", 1, self._follow),
            Chore("verifying releases", 1200, self._champions.verify),
            Chore("following lists", 2, self._lists.reload),
            Chore("following keys", 4, self._keys.reload),
            Chore("noting uses of keys", 60, self._note_uses),
            Chore("following issuers", 4, self._tokens.follow),
            Chore("following IP tables", 20, self._follow_tables),
            Chore("following erasures", 2, self._customers.follow),
            Chore("showing measurements", 20, self._show),
            Chore("showing batches", 10, self._batch.show),
            Chore("following what was let through", 4, self._exploring.follow),
        )
        one_is_enough = (
            Chore("following the shared store", 20, self._share),
            Chore("reconciling", 2, self._reconcile),
            Chore("finishing erasures", 20, self._customers.settle),
            Chore("handing outcomes on", 4, self._hand_on),
            Chore("following imports", 20, self._catch_up),
            Chore("sweeping the live state", 4, self._state.sweep),
            Chore("checkpoint of the chains", 120, self._checkpoint),
            Chore("sweeping up behind batches", 120, self._batch.sweep),
            Chore("sweeping up behind trials", 7200, self._beside.sweep),
            Chore("tending the relay of webhooks", 1, self._webhooks.tending(now_micros)),
        )
        return (*everybody, *one_is_enough) if self._worker.is_first else everybody

    def _checkpoint(self) -> None:
        written = self._checkpoints.take(datetime.now(UTC).date().isoformat())
        if written:
            log.info("the ends of %s chains of the ledger were written down", written)

    def _note_uses(self) -> None:
        """When keys were used is worth no error, least of all as the service ends."""
        try:
            self._keys.note_uses()
        except FradectError as error:
            log.warning("%s", error)

    def _read_lists(self) -> None:
        """Decisions that need the lists say that they were made without, until they can be read."""
        try:
            self._lists.reload()
        except FradectError as error:
            log.error("%s", error)

    def _share(self) -> None:
        """Take over what was promoted elsewhere. Without the store the home's own releases go on deciding."""
        said, self._behind = self._behind, ""
        try:
            if self._shared is not None and self._worker.is_first:
                self._shared.follow()
        except FradectError as error:
            self._behind = f"the shared store: {error}"
            if self._behind != said:
                log.warning(self._behind)

    def _follow(self) -> None:
        if self._champions.refresh():
            settle_memory()
        self._metrics.ready(not self._not_ready())
        self._metrics.pressure(self._admission.limit, {name: b.is_open for name, b in self._breakers.items()})
        self._metrics.releases(len(self._champions.reasons), self._champions.unverified_seconds())

    def _kept_table(self, module: str, tenant_id: str) -> Path:
        return Places(self._home, module, tenant_id).ip_ranges

    def _follow_tables(self) -> None:
        self._ip_tables.refresh(self._champions.all())

    def _show(self) -> None:
        self._metrics.measured.take(self._measurements.latest())

    def _reconcile(self) -> None:
        for module, tenant_id in self._champions.all():
            repaired = self._upkeep.reconcile(tenant_id, module)
            self._metrics.compared(module, repaired)
            if repaired:
                log.warning("live state of %s for %s: %s", module, tenant_id, repaired)

    def _hand_on(self) -> None:
        """What decisions turned out to be reaches windows and log. What is away now is asked again at the next turn."""
        for module, tenant_id in self._champions.all():
            try:
                self._feed.hand_on(tenant_id, module)
            except Unavailable as error:
                log.warning("outcomes of %s for %s: %s", module, tenant_id, error)

    def _catch_up(self) -> None:
        for (module, tenant_id), champion in self._champions.all().items():
            rebuilt = self._upkeep.catch_up(tenant_id, champion.release.reader.layout)
            if rebuilt is not None:
                log.info("live state of %s for %s after an import: %s", module, tenant_id, rebuilt)

    def _prepare(self, release: Loaded, tenant_id: str) -> None:
        """Before a release decides for a tenant: the live state as it reads it, as log and ledger have it; the tenant's
        IP ranges, and a key to call with."""
        with one_at_a_time(self._home):
            self._prepare_alone(release, tenant_id)

    def _prepare_alone(self, release: Loaded, tenant_id: str) -> None:
        module = release.module.name
        self._ip_tables.refresh([(module, tenant_id)])
        prepared = self._upkeep.prepare(tenant_id, release.reader.layout)
        if prepared.rebuilt is not None:
            log.info("live state of %s for %s: %s", module, tenant_id, prepared.rebuilt)
        if prepared.repaired:
            log.warning("live state of %s for %s: %s", module, tenant_id, prepared.repaired)
        self._keys.reload()
        key_file = self._keys.first(tenant_id, now_micros())
        if key_file is not None:
            log.info("the API key of tenant %s is in %s", tenant_id, key_file)

    def _batch_of(self, release: Loaded, tenant_id: str) -> BatchFeatures:
        if not release.reads_batch:
            return NoBatch()
        places = Places(self._home, release.module.name, tenant_id)
        contract, freshness = release.contract, release.policy.freshness_days
        return OnlineSnapshots(self._online_url, places, release.module, contract, freshness, self._state_url)

    def _part_of(self, subject: bytes) -> bytes:
        return self._customers.vault.part(subject)

    def _not_ready(self) -> tuple[str, ...]:
        reasons = tuple(self._champions.reasons.values())
        if self._champions.all():
            return reasons
        return (*reasons, self._behind or "no release decides anything yet: promote one")


def now_micros() -> int:
    return time.time_ns() // 1000


def _new_decision_id() -> str:
    """Sorts by time, so that the ledger's index grows at its end."""
    return f"dec_{now_micros():013x}{drawn_hex(5)}"
