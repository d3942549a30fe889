"""The ledger as a state machine: in whatever groups decisions come, and whatever fails, each event is decided once."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import structs

from fradect.adapters import ledger_sql
from fradect.adapters.ledger_checkpoints import Checkpoints
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.ledger_verify import End, verify
from fradect.adapters.tables import events, idempotency_keys, outbox, risk_decisions
from fradect.errors import FradectError, Unavailable
from fradect.ports import Asked, Record, Stored
from tests.factories_decision import record

TENANTS, EVENTS, KEYS = ("demo", "other"), ("tx0", "tx1", "tx2", "tx3", "tx4"), (None, None, "k" * 64, "m" * 64)
REQUESTS = st.tuples(st.sampled_from(TENANTS), st.sampled_from(EVENTS), st.sampled_from(KEYS))
BOUNDED = settings(phases=[Phase.generate], stateful_step_count=20)  # shrinking a group of groups takes minutes
GROUPS = st.lists(REQUESTS, min_size=1, max_size=6)


class Ledgers(RuleBasedStateMachine):
    """`decided`: what is stored of each event; `keys`: the event that each key stands for. By tenant, both."""

    writers = 1
    new_url: Callable[[], str]

    @initialize()
    def begin(self) -> None:
        self.url = type(self).new_url()
        self.ledgers = [SqlLedger(self.url) for _ in range(self.writers)]
        self.checkpoints = Checkpoints(self.ledgers[0].engine)
        self.decided: dict[tuple[str, str], Stored] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.kept: tuple[End, ...] = ()
        self.made = self.days = 0

    @rule(group=GROUPS, which=st.integers(0, 1))
    def commit(self, group: list[tuple[str, str, str | None]], which: int) -> None:
        records = [self._record(*request) for request in group]
        taken_before = set(self.keys)
        answers = self._ledger(which).commit_many(records)
        for one, answer in zip(records, answers, strict=True):
            if isinstance(answer, Stored) and answer.decision_id == one.decision.decision_id:
                self._take(one, answer)
        for one, answer in zip(records, answers, strict=True):
            tenant, event_id, key = one.event.tenant_id, one.event.event_id, one.idempotency_key
            allowed = [self._expected(tenant, event_id, key)]
            if (tenant, key) not in taken_before:  # it may have come before whoever took the key beside it
                allowed.append(self.decided.get((tenant, event_id)))
            assert isinstance(answer, Stored), f"it was neither decided nor there: {answer}"
            assert answer in allowed

    @rule(group=GROUPS, which=st.integers(0, 1), point=st.sampled_from(["before-insert", "before-commit"]))
    def fail(self, group: list[tuple[str, str, str | None]], which: int, point: str) -> None:
        """The database goes away at that point: who is not answered is not decided, and who is answered was before."""
        records = [self._record(*request) for request in group]
        answers = self._failing(point, lambda: self._ledger(which).commit_many(records))
        for one, answer in zip(records, answers, strict=True):
            if isinstance(answer, Stored):
                assert answer == self._expected(one.event.tenant_id, one.event.event_id, one.idempotency_key)
            else:
                assert isinstance(answer, Unavailable)

    @rule(group=GROUPS, which=st.integers(0, 1))
    def find(self, group: list[tuple[str, str, str | None]], which: int) -> None:
        asked = [Asked(tenant, "ecommerce", event, key) for tenant, event, key in group]
        assert self._ledger(which).find_many(asked) == [self._expected(*request) for request in group]

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        which %= self.writers
        self.ledgers[which].close()
        self.ledgers[which] = SqlLedger(self.url)
        self.checkpoints = Checkpoints(self.ledgers[0].engine)

    @rule()
    def checkpoint(self) -> None:
        self.days += 1
        self.checkpoints.take(f"2026-01-{self.days:02}")

    @rule()
    def proof(self) -> None:
        """Its chains hold, also those ends that somebody kept."""
        checked = verify(self.url, self.kept)
        assert (checked.broken, checked.decisions) == (None, len(self.decided))
        self.kept = checked.ends

    @invariant()
    def every_table_tells_the_same(self) -> None:
        if not hasattr(self, "decided"):
            return
        d, e, k = risk_decisions.c, events.c, idempotency_keys.c
        with self.ledgers[0].engine.connect() as connection:
            stored = connection.execute(sa.select(d.tenant_id, d.entity_id, d.id, d.answer)).all()
            told = connection.execute(sa.select(outbox.c.tenant_id, outbox.c.decision_id)).all()
            happened = connection.execute(sa.select(e.tenant_id, e.event_id)).all()
            keys = connection.execute(sa.select(k.tenant_id, k.key, k.entity_id)).all()
        mine = [(tenant, event, one.decision_id, one.answer) for (tenant, event), one in self.decided.items()]
        assert sorted((row[0], row[1], row[2], bytes(row[3])) for row in stored) == sorted(mine)
        assert sorted(map(tuple, told)) == sorted((tenant, id_) for tenant, _, id_, _ in mine)
        assert sorted(map(tuple, happened)) == sorted(self.decided)
        assert sorted(map(tuple, keys)) == sorted((*key, event) for key, event in self.keys.items())

    def teardown(self) -> None:
        if hasattr(self, "ledgers"):
            self.proof()
            for ledger in self.ledgers:
                ledger.close()

    def _ledger(self, which: int) -> SqlLedger:
        return self.ledgers[which % self.writers]

    def _record(self, tenant: str, event_id: str, key: str | None) -> Record:
        self.made += 1
        made = record(event_id, tenant=tenant, decision_id=f"dec_{self.made}", digest=f"{self.made:064}")
        return structs.replace(made, idempotency_key=key, answer=b'{"made":%d}' % self.made)

    def _take(self, won: Record, answer: Stored) -> None:
        tenant, event_id = won.event.tenant_id, won.event.event_id
        assert (tenant, event_id) not in self.decided, "an event was decided twice"
        assert answer == Stored(won.decision.decision_id, won.request_digest, won.answer, event_id)
        self.decided[tenant, event_id] = answer
        if won.idempotency_key is not None:
            assert (tenant, won.idempotency_key) not in self.keys, "a key stands for two events"
            self.keys[tenant, won.idempotency_key] = event_id

    def _expected(self, tenant: str, event_id: str, key: str | None) -> Stored | None:
        under_key = None if key is None else self.keys.get((tenant, key))
        return self.decided.get((tenant, event_id if under_key is None else under_key))

    @staticmethod
    def _failing(point: str, do: Callable[[], list[Stored | FradectError]]) -> list[Stored | FradectError]:
        def crash(here: str) -> None:
            if here == point:
                raise sa.exc.OperationalError("", {}, Exception("gone"))

        module, kept = vars(ledger_sql), ledger_sql.crash_point
        module["crash_point"] = crash
        try:
            return do()
        finally:
            module["crash_point"] = kept


def test_one_writer_on_sqlite() -> None:
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10_000))

        class OnSqlite(Ledgers):
            new_url = staticmethod(lambda: f"sqlite:///{Path(folder)}/{next(numbers)}.db")

        run_state_machine_as_test(OnSqlite, settings=settings(BOUNDED, max_examples=60))


def test_two_writers_on_postgresql(postgres: Any) -> None:
    class OnPostgres(Ledgers):
        writers = 2
        new_url = staticmethod(postgres.new_database)

    run_state_machine_as_test(OnPostgres, settings=settings(BOUNDED, max_examples=6))


def test_who_shares_an_event_with_one_whose_key_was_taken_is_decided(ledger_url: str) -> None:
    """What the machine found: both lost, the second to nobody."""
    ledger = SqlLedger(ledger_url)
    ledger.commit(structs.replace(record("tx0"), idempotency_key="k" * 64))
    taken = structs.replace(record("tx4", decision_id="dec_first"), idempotency_key="k" * 64)
    answers = ledger.commit_many([taken, record("tx4", decision_id="dec_second")])
    assert [one.decision_id for one in answers if isinstance(one, Stored)] == ["dec_tx0", "dec_second"]
    known = structs.replace(record("tx4", decision_id="dec_third"), idempotency_key="m" * 64)
    other = structs.replace(record("tx5"), idempotency_key="m" * 64)
    assert [one.decision_id for one in ledger.commit_many([known, other]) if isinstance(one, Stored)][-1] == "dec_tx5"
    ledger.close()
