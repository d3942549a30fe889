"""The service's part of batches, put together: routes' stores, the runner, and what is swept up behind them."""

from collections.abc import Callable

import sqlalchemy as sa

from fradect.adapters.batch_jobs import SqlJobs
from fradect.adapters.batch_leases import SqlLeases
from fradect.adapters.batch_uploads import SqlUploads
from fradect.adapters.sealed_files import SealedFiles
from fradect.ports import Vault
from fradect.settings import Settings
from fradect.turns import OwnThread
from serving.batch_room import SpareRoom
from serving.batch_routes import Batch
from serving.batch_runner import Loop, Runner, Sources
from serving.batch_uploads import Receiver
from serving.batch_work import Deciding
from serving.metrics import Metrics
from serving.routes import READERS, Wired


class BatchParts:
    """`routes` is what the routes stand on; `begin` starts the runner; `sweep` is for one worker of the service."""

    def __init__(
        self, settings: Settings, shared: sa.Engine, vault: Vault, metrics: Metrics, now: Callable[[], int]
    ) -> None:
        self._files = SealedFiles(settings.home / "batch")
        allowed, self._kept = settings.batches, settings.batches_kept
        self._uploads = SqlUploads(shared, vault, allowed)
        self._jobs = SqlJobs(shared, vault, self._files.delete, allowed)
        self._leases = SqlLeases(shared, vault, self._files.delete, allowed)
        self._metrics, self._now = metrics, now
        self._is_alone = shared.dialect.name == "sqlite"  # its ledger has one service
        self._thread = OwnThread("batches of callers")
        self._runner: Runner | None = None
        self.routes = Batch(
            jobs=self._jobs,
            receiver=Receiver(self._uploads, self._files, now),
            thread=self._thread,
            wake=self._wake,
            speed=self._speed,
            modules=frozenset(READERS),
            now=now,
            kept=self._kept,
        )

    def begin(self, wired: Wired, is_blind: Callable[[], bool], loop: Loop) -> None:
        """Work on batches as soon as there is a loop that requests are decided on."""
        deciding = Deciding(wired, is_blind, SpareRoom(wired.admission))
        sources = Sources(self._leases, self._files, deciding.rows, self._now, loop)
        if self._is_alone:
            self._leases.inherit(self._now())
        self._runner = Runner(sources, self._metrics.worked)
        self._runner.start()

    def sweep(self) -> None:
        """Forget what was kept long enough; of files, those that are nobody's."""
        now, kept, names = self._now(), self._kept, self._files.names()
        self._jobs.prune(kept, now)
        self._uploads.prune(kept, now)
        for name in names - self._uploads.ids():
            self._files.delete(name)

    def show(self) -> None:
        self._metrics.batches(*self._jobs.unfinished())

    def close(self) -> None:
        if self._runner is not None:
            self._runner.stop()
        self._thread.close()

    def _wake(self) -> None:
        if self._runner is not None:
            self._runner.wake()

    def _speed(self) -> float | None:
        return None if self._runner is None else self._runner.speed
