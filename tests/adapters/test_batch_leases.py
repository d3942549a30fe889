"""Jobs and their leases: one holder at a time, no chunk twice and none left out, whoever dies, sleeps or comes late."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from fradect.adapters.batch_jobs import SqlJobs
from fradect.adapters.batch_leases import SqlLeases
from fradect.adapters.batch_tables import batch_chunks, batch_jobs
from fradect.adapters.batch_uploads import SqlUploads
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.vault import HomeVault
from fradect.decide import DifferentBody
from fradect.errors import Conflict, NotFound, Refused
from fradect.jobs import LEASE, Allowed, Chunk, Format, JobState, Kept, Leased, LeaseLost, NewJob, QuotaExceeded, Tally
from fradect.types import DAY, HOUR, SECOND

NOW = 1_700_000_000_000_000
ROWS = 12


@dataclass
class Store:
    """All that is kept of batches, over one database."""

    engine: sa.Engine
    jobs: SqlJobs
    leases: SqlLeases
    uploads: SqlUploads
    forgotten: list[str]

    def submit(self, tenant: str = "demo", **changes: Any) -> str:
        held: dict[str, Any] = {"request_digest": "d", "total": ROWS, "created_at": NOW, "items": b"{}\n" * ROWS}
        return self.jobs.submit(NewJob(tenant, "ecommerce", **(held | changes))).id


def _store(url: str, home: Path, allowed: Allowed | None = None) -> Store:
    engine, vault, forgotten = open_shared(url), HomeVault(home), list[str]()
    uploads = SqlUploads(engine, vault, allowed)
    jobs = SqlJobs(engine, vault, forgotten.append, allowed)
    return Store(engine, jobs, SqlLeases(engine, vault, forgotten.append, allowed), uploads, forgotten)


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made: list[Store] = []

    def store(**allowed: int) -> Store:
        made.append(_store(url, tmp_path, Allowed(**allowed)))
        return made[-1]

    yield store
    for one in made:
        one.engine.dispose()


def _chunk(leased: Leased, rows: int = 4) -> Chunk:
    numbers = range(leased.taken + 1, leased.taken + rows + 1)
    lines = b"".join(f"{leased.job_id} {n}\n".encode() for n in numbers)
    is_last = leased.taken + rows >= ROWS
    return Chunk(lines, Tally(approved=rows), leased.position + rows, SECOND, is_last)


def test_a_job_goes_from_hand_to_hand_and_nobody_writes_after_its_lease(make: Callable[..., Store]) -> None:
    store = make()
    job_id = store.submit()
    first = store.leases.lease("demo", "a", NOW)
    assert first is not None
    assert (first.job_id, first.items) == (job_id, b"{}\n" * ROWS)
    assert store.leases.lease("demo", "b", NOW + LEASE - 1) is None
    first = store.leases.commit(first, _chunk(first), NOW + SECOND)
    assert store.leases.due(NOW + LEASE) == [], "a chunk begins the lease anew"
    second = store.leases.lease("demo", "b", NOW + SECOND + LEASE)
    assert second is not None
    assert (second.taken, second.position, second.chunks) == (4, 4, 1)
    for late in (
        lambda: store.leases.commit(first, _chunk(first), NOW),
        lambda: store.leases.renew(first, NOW),
        lambda: store.leases.give_back(first, NOW),
        lambda: store.leases.fail(first, "no", NOW),
    ):
        with pytest.raises(LeaseLost):
            late()
    for _ in range(2):
        second = store.leases.commit(second, _chunk(second), NOW)
    with pytest.raises(LeaseLost):
        store.leases.renew(second, NOW)
    job = store.jobs.shown("demo", job_id)
    assert (job.state, job.tally.rows, job.chunks, job.worked_us) == (JobState.DONE, 12, 3, 3 * SECOND)
    assert store.jobs.results(job_id, 0) == b"".join(f"{job_id} {n}\n".encode() for n in range(1, 5))
    assert store.jobs.results(job_id, 3) is None
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(batch_jobs.c["items"])).scalar_one() is None, "what was sent is not kept"


def test_what_is_estimated_follows_from_what_was_measured(make: Callable[..., Store]) -> None:
    store = make()
    job_id = store.submit()
    assert store.jobs.shown("demo", job_id).completes_at(NOW) is None
    leased = store.leases.lease("demo", "a", NOW)
    assert leased is not None
    store.leases.commit(leased, _chunk(leased), NOW)
    job = store.jobs.shown("demo", job_id)
    assert (job.per_second(), job.completes_at(NOW)) == (4.0, NOW + 2 * SECOND)
    assert store.jobs.unfinished() == (1, 8)


def test_jobs_of_a_tenant_take_turns(make: Callable[..., Store]) -> None:
    store = make()
    ids = [store.submit(created_at=NOW + n) for n in range(3)]
    store.submit("other", created_at=NOW + 9)
    assert sorted(store.leases.due(NOW + 10)) == ["demo", "other"]
    taken = []
    for turn in range(6):
        leased = store.leases.lease("demo", "a", NOW + 10 + turn)
        assert leased is not None
        taken.append(leased.job_id)
        store.leases.give_back(leased, NOW + 10 + turn)
    assert taken == ids * 2


def test_the_same_again_is_the_same_job(make: Callable[..., Store]) -> None:
    store = make()
    job_id = store.submit(idempotency_key="k")
    assert store.submit(idempotency_key="k") == job_id
    assert store.submit("other", idempotency_key="k") != job_id
    with pytest.raises(DifferentBody):
        store.submit(idempotency_key="k", request_digest="e")
    upload = store.uploads.begin("demo", Format.CSV, NOW)
    store.uploads.finish(_sized(upload, 10))
    first = store.submit(upload_id=upload.id, items=None)
    assert store.submit(upload_id=upload.id, items=None) == first
    with pytest.raises(DifferentBody):
        store.submit(upload_id=upload.id, items=None, request_digest="e")
    with pytest.raises(NotFound):
        store.submit("other", upload_id=upload.id, items=None)


def _sized(upload: Any, size: int) -> Any:
    return type(upload)(upload.id, upload.tenant_id, upload.format, size, 2, upload.created_at, upload.key)


def test_what_a_tenant_may_have_here_is_bounded_and_nobody_elses(make: Callable[..., Store]) -> None:
    store = make(tenant_bytes=100, receiving=2, unfinished=2)
    first, second = (store.uploads.begin("demo", Format.CSV, NOW + n) for n in range(2))
    with pytest.raises(QuotaExceeded):
        store.uploads.begin("demo", Format.CSV, NOW)
    store.uploads.finish(_sized(first, 60))
    with pytest.raises(QuotaExceeded):
        store.uploads.finish(_sized(second, 60))
    store.uploads.drop("demo", second.id)
    store.uploads.finish(_sized(store.uploads.begin("demo", Format.CSV, NOW + 5), 40))
    with pytest.raises(QuotaExceeded):
        store.uploads.begin("demo", Format.CSV, NOW)
    store.uploads.begin("other", Format.CSV, NOW)
    store.submit()
    store.submit()
    with pytest.raises(QuotaExceeded):
        store.submit()
    store.submit("other")


def test_a_cancelled_job_is_nobodys_and_its_upload_is_gone(make: Callable[..., Store]) -> None:
    store = make()
    upload = store.uploads.begin("demo", Format.CSV, NOW)
    with pytest.raises(NotFound):
        store.submit(upload_id=upload.id, items=None)
    store.uploads.finish(_sized(upload, 10))
    job_id = store.submit(upload_id=upload.id, items=None)
    with pytest.raises(Conflict):
        store.uploads.drop("demo", upload.id)
    leased = store.leases.lease("demo", "a", NOW)
    assert leased is not None
    assert leased.upload is not None
    assert leased.upload.key == upload.key
    with pytest.raises(NotFound):
        store.jobs.cancel("other", job_id, NOW)
    store.jobs.cancel("demo", job_id, NOW)
    store.jobs.cancel("demo", job_id, NOW)
    with pytest.raises(LeaseLost):
        store.leases.commit(leased, _chunk(leased), NOW)
    assert store.leases.due(NOW + HOUR) == []
    assert set(store.forgotten) == {upload.id}
    with pytest.raises(NotFound):
        store.uploads.shown("demo", upload.id)
    failed = store.submit()
    leased = store.leases.lease("demo", "a", NOW)
    assert leased is not None
    store.leases.fail(leased, "broken", NOW)
    assert store.jobs.shown("demo", failed).problem == "broken"
    with pytest.raises(Refused):
        store.jobs.cancel("demo", failed, NOW)


def test_what_is_old_goes(make: Callable[..., Store]) -> None:
    store = make()
    job_id = store.submit()
    leased = store.leases.lease("demo", "a", NOW)
    for _ in range(3):
        assert leased is not None
        leased = store.leases.commit(leased, _chunk(leased), NOW)
    waiting = store.submit()
    broken = store.uploads.begin("demo", Format.CSV, NOW)
    unused = _sized(store.uploads.begin("demo", Format.CSV, NOW), 5)
    store.uploads.finish(unused)
    store.jobs.prune(Kept(), NOW + 30 * DAY)
    store.uploads.prune(Kept(), NOW + HOUR)
    assert store.uploads.ids() == {broken.id, unused.id}
    store.uploads.prune(Kept(), NOW + HOUR + 1)
    assert store.uploads.ids() == {unused.id}
    store.uploads.prune(Kept(), NOW + DAY + 1)
    assert store.uploads.ids() == set()
    with pytest.raises(Conflict):
        store.uploads.finish(_sized(broken, 1))
    store.jobs.prune(Kept(), NOW + 30 * DAY + 1)
    assert [job.id for job in store.jobs.listed("demo", 9)] == [waiting]
    assert store.jobs.results(job_id, 0) is None


class Leases(RuleBasedStateMachine):
    """Workers that lease, commit, renew, give back, sleep and die, in any order, and a clock that goes on."""

    held: Bundle[Leased] = Bundle("held")

    @initialize()
    def open(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        home = Path(self._folder.name)
        self.store, self.now, self.workers = _store(f"sqlite:///{home}/ledger.db", home), NOW, 0
        self.ids = sorted(self.store.submit() for _ in range(2))  # as they are leased: drawn ids are no choice of ours
        self.last: dict[str, tuple[int, int]] = {}
        self.ended: dict[str, int] = {}

    @rule(target=held)
    def lease(self) -> Any:
        self.workers += 1
        leased = self.store.leases.lease("demo", f"w{self.workers}", self.now)
        if leased is None:
            assert not [job for job in self.ids if job not in self.ended and self.last.get(job, (0, 0))[1] <= self.now]
            return multiple()
        assert self.last.get(leased.job_id, (0, 0))[1] <= self.now, "somebody has it"
        self._keep(leased)
        return leased

    @rule(target=held, leased=consumes(held), rows=st.integers(0, 5))
    def commit(self, leased: Leased, rows: int) -> Any:
        rows = min(rows, ROWS - leased.taken)
        try:
            after = self.store.leases.commit(leased, _chunk(leased, rows), self.now)
        except LeaseLost:
            assert not self._is_current(leased)
            return multiple()
        assert self._is_current(leased)
        if after.taken == ROWS:
            self.ended[leased.job_id] = ROWS
            return multiple()
        self._keep(after)
        return after

    @rule(target=held, leased=consumes(held))
    def renew(self, leased: Leased) -> Any:
        try:
            after = self.store.leases.renew(leased, self.now)
        except LeaseLost:
            assert not self._is_current(leased)
            return multiple()
        self._keep(after)
        return after

    @rule(leased=held)
    def give_back(self, leased: Leased) -> None:
        try:
            self.store.leases.give_back(leased, self.now)
        except LeaseLost:
            assert not self._is_current(leased)
        else:
            self.last[leased.job_id] = (-1, self.now)

    @rule(leased=consumes(held))
    def die(self, leased: Leased) -> None:
        pass

    @rule(seconds=st.sampled_from([1, 20, 31, 100]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(which=st.integers(0, 1))
    def cancel(self, which: int) -> None:
        job_id = self.ids[which]
        if job_id not in self.ended:
            job = self.store.jobs.cancel("demo", job_id, self.now)
            self.ended[job_id] = job.tally.rows

    @invariant()
    def chunks_are_whole(self) -> None:
        """One after the other, each row once."""
        for job_id in self.ids:
            job = self.store.jobs.shown("demo", job_id)
            lines = b"".join(self.store.jobs.results(job_id, n) or b"" for n in range(job.chunks)).splitlines()
            assert lines == [f"{job_id} {n}".encode() for n in range(1, job.tally.rows + 1)]
            assert job.state.is_over == (job_id in self.ended)
            assert self.ended.get(job_id, job.tally.rows) == job.tally.rows
        with self.store.engine.connect() as connection:
            kept = connection.execute(sa.select(sa.func.count()).select_from(batch_chunks)).scalar_one()
        assert kept == sum(self.store.jobs.shown("demo", job_id).chunks for job_id in self.ids)

    def _keep(self, leased: Leased) -> None:
        self.last[leased.job_id] = (leased.fence, leased.until)

    def _is_current(self, leased: Leased) -> bool:
        return leased.job_id not in self.ended and self.last[leased.job_id][0] == leased.fence

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.engine.dispose()
            self._folder.cleanup()


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_of_a_tenant_no_more_jobs_are_worked_on_at_once_than_may_be(make: Callable[..., Store]) -> None:
    store = make(working=2)
    for tenant in ("demo", "demo", "demo", "other"):
        store.submit(tenant)
    first = store.leases.lease("demo", "one", NOW)
    assert first is not None
    assert sorted(store.leases.due(NOW)) == ["demo", "other"]
    store.leases.lease("demo", "two", NOW)
    assert store.leases.due(NOW) == ["other"], "others' jobs are others'"
    assert sorted(store.leases.due(NOW + LEASE)) == ["demo", "other"], "those two are nobody's any more"
    store.leases.give_back(first, NOW)
    assert sorted(store.leases.due(NOW)) == ["demo", "other"]
