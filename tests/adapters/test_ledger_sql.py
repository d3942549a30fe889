"""The ledger: written once, durable, chained over what is stored, one writer, the same answer to every racer."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from msgspec import structs

from fradect.adapters import batch_tables, pairs_tables, tables, webhook_tables  # noqa: F401  whose tables are declared there
from fradect.adapters.database import migrate, open_database
from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.ledger_verify import verify
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable
from fradect.features.contract import Contract
from fradect.ports import Asked, Stored
from fradect.types import Action
from tests.factories_decision import record


@pytest.fixture
def opened(ledger_url: str) -> Iterator[Callable[[], SqlLedger]]:
    """Opens the ledger; closes what is still open at the end."""
    ledgers: list[SqlLedger] = []

    def open_ledger() -> SqlLedger:
        ledgers.append(SqlLedger(ledger_url))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Callable[[], SqlLedger]) -> SqlLedger:
    return opened()


def _rows(ledger: SqlLedger, table: sa.Table) -> list[dict[str, Any]]:
    with ledger.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


def test_one_commit_writes_event_transaction_decision_and_outbox(ledger: SqlLedger) -> None:
    stored = ledger.commit(record("tx1", seq=7))
    assert ledger.find("demo", "ecommerce", "tx1") == stored
    (event,) = _rows(ledger, tables.events)
    (bought,) = _rows(ledger, tables.transactions)
    (decided,) = _rows(ledger, tables.risk_decisions)
    (told,) = _rows(ledger, tables.outbox)
    assert (event["event_id"], event["seq"]) == ("tx1", 7)
    assert (bought["amount"], bought["currency"], bought["status"]) == (100_000, "RUB", "in_review")
    assert (decided["entity_type"], decided["decision"], decided["score"]) == ("transaction", "REVIEW", 640)
    assert decided["vector"][:8] == bytes.fromhex("000000000000f83f")  # 1.5, little-endian
    assert (told["event"], told["decision_id"], told["delivered_at"]) == ("risk.decision.created", "dec_tx1", None)


def test_the_loser_of_a_race_gets_what_the_winner_stored(ledger: SqlLedger) -> None:
    results: list[str] = []

    def commit(n: int) -> None:
        results.append(ledger.commit(record("tx1", decision_id=f"dec_{n}")).decision_id)

    racers = [threading.Thread(target=commit, args=(n,)) for n in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(set(results)) == 1
    assert len(_rows(ledger, tables.risk_decisions)) == len(_rows(ledger, tables.outbox)) == 1


def test_the_same_id_of_another_tenant_is_another_decision(ledger: SqlLedger) -> None:
    ledger.commit(record("tx1", decision_id="dec_a", tenant="one"))
    assert ledger.find("two", "ecommerce", "tx1") is None
    assert ledger.commit(record("tx1", decision_id="dec_b", tenant="two")).decision_id == "dec_b"


def test_rows_are_chained_also_after_a_restart_and_a_lost_race(
    ledger: SqlLedger, opened: Callable[[], SqlLedger], ledger_url: str
) -> None:
    for i in range(3):
        ledger.commit(record(f"tx{i}"))
    ledger.commit(record("tx1", decision_id="dec_again"))  # loses, and must not break the chain
    ledger.close()
    opened().commit(record("tx3"))
    checked = verify(ledger_url)
    assert (checked.decisions, checked.broken) == (4, None)
    assert sorted(end.chain_seq for end in checked.ends) == ([4] if ledger_url.startswith("sqlite") else [1, 3])


def test_a_commit_is_synced_to_disk(ledger: SqlLedger) -> None:
    with ledger.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        else:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_on_sqlite_a_second_process_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = SqlLedger(url)
    code = f"from fradect.adapters.ledger_sql import SqlLedger; SqlLedger({url!r})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "has its one writer already (process" in second.stderr
    with pytest.raises(Refused, match="one writer"):
        SqlLedger(url)
    ledger.close()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["ledger", "shared"])
def test_migrations_make_exactly_the_tables_that_are_declared(ledger_url: str, name: str) -> None:
    engine = open_database(ledger_url)
    migrate(engine, name)
    migrate(engine, name)
    declared = {"ledger": tables.LEDGER, "shared": tables.SHARED}[name]
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": f"{name}_version"})
        assert compare_metadata(context, declared) == []
    engine.dispose()


def test_what_cannot_be_written_whole_is_not_written_and_says_nothing_of_the_values(ledger: SqlLedger) -> None:
    ledger.commit(record("tx1"))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
    with pytest.raises(Unavailable) as caught:
        ledger.commit(record("tx2"))
    assert "c1" not in str(caught.value)
    assert ledger.find("demo", "ecommerce", "tx2") is None, "the transaction is all or nothing"
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO outbox")
    ledger.commit(record("tx2"))
    assert [row["chain_seq"] for row in _rows(ledger, tables.risk_decisions)] == [1, 2]


def test_many_are_one_transaction_in_the_order_given(ledger: SqlLedger) -> None:
    commits = _transactions_of(ledger)
    group = [record(f"tx{n:02}", seq=100 - n) for n in reversed(range(40))]
    stored = ledger.commit_many(group)
    assert [one.decision_id for one in stored if isinstance(one, Stored)] == [r.decision.decision_id for r in group]
    assert commits() == 1
    linked = sorted(_rows(ledger, tables.risk_decisions), key=lambda row: row["chain_seq"])
    assert [row["id"] for row in linked] == [r.decision.decision_id for r in group]
    assert ledger.find_many([Asked("demo", "ecommerce", "tx07"), Asked("demo", "ecommerce", "none")]) == [
        Stored("dec_tx07", "d" * 64, b'{"score":640}', "tx07"),
        None,
    ]


def _transactions_of(ledger: SqlLedger) -> Callable[[], int]:
    """How many transactions wrote decisions since."""
    if ledger.engine.dialect.name == "postgresql":
        return lambda: _scalar(ledger, "SELECT count(DISTINCT xmin::text) FROM risk_decisions")
    said: list[str] = []
    sa.event.listen(ledger.engine, "checkout", lambda driver, *_: driver.set_trace_callback(said.append))
    return lambda: said.count("COMMIT")


def _scalar(ledger: SqlLedger, statement: str) -> Any:
    with ledger.engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


def test_in_a_group_the_loser_gets_what_is_stored(ledger: SqlLedger) -> None:
    ledger.commit(record("tx0"))
    group = [record("tx0", decision_id="dec_late"), record("tx1"), record("tx1", decision_id="dec_twin")]
    assert [one.decision_id for one in ledger.commit_many(group) if isinstance(one, Stored)] == [
        "dec_tx0",
        "dec_tx1",
        "dec_tx1",
    ]
    assert len(_rows(ledger, tables.outbox)) == 2


def test_a_record_that_cannot_be_stored_costs_the_others_nothing(ledger: SqlLedger) -> None:
    group = [record(f"tx{n}", seq=n + 1) for n in range(9)]
    group[4] = record("tx4", seq=2**70)
    group[6] = record("tx6", seq=1)  # the number of tx0: live state and log disagree
    answers = ledger.commit_many(group)
    assert [type(answer) for answer in answers if not isinstance(answer, Stored)] == [InvalidInput, Unavailable]
    assert isinstance(answers[4], InvalidInput)
    assert "disagree" in str(answers[6])
    assert len(_rows(ledger, tables.risk_decisions)) == len(_rows(ledger, tables.outbox)) == 7
    ledger.commit(record("tx9"))
    assert max(row["chain_seq"] for row in _rows(ledger, tables.risk_decisions)) == 8


def test_a_key_stands_for_the_first_event_that_was_decided_under_it(ledger: SqlLedger) -> None:
    ledger.commit(structs.replace(record("tx0"), idempotency_key="k" * 64))
    (found,) = ledger.find_many([Asked("demo", "ecommerce", "tx9", "k" * 64)])
    assert found is not None
    assert (found.event_id, found.decision_id) == ("tx0", "dec_tx0")
    assert ledger.find_many([Asked("other", "ecommerce", "tx9", "k" * 64)]) == [None]
    racers = [structs.replace(record(f"tx{n}"), idempotency_key=key * 64) for n, key in ((1, "k"), (2, "m"), (3, "m"))]
    assert [one.event_id for one in ledger.commit_many(racers) if isinstance(one, Stored)] == ["tx0", "tx2", "tx2"]
    assert ledger.find("demo", "ecommerce", "tx1") is None
    ledger.commit(structs.replace(record("tx2", decision_id="dec_late"), idempotency_key="n" * 64))
    assert ledger.find_many([Asked("demo", "ecommerce", "tx7", "n" * 64)]) == [None], "it decided nothing"


def test_a_key_is_its_tenants_own(ledger: SqlLedger) -> None:
    group = [
        structs.replace(record("tx1", decision_id=f"dec_{who}", tenant=who), idempotency_key="k" * 64)
        for who in ("one", "two")
    ]
    assert [s.decision_id for s in ledger.commit_many(group) if isinstance(s, Stored)] == ["dec_one", "dec_two"]


def test_a_query_without_an_index_to_go_by_is_not_compiled_while_requests_wait(postgres: Any) -> None:
    """Compiling takes PostgreSQL 40 ms, and by what the plan is told to cost it would always be worth it."""
    engine = open_database(postgres.new_database(), hurried=True)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE few (held integer)"))
        plan = connection.execute(sa.text("EXPLAIN (ANALYZE) SELECT held FROM few WHERE held IS NULL")).scalars().all()
    engine.dispose()
    assert "Seq Scan" in plan[0]
    assert not [line for line in plan if "JIT" in line]


def test_two_ledgers_on_one_postgresql_race_without_a_loss_or_a_deadlock(postgres: Any) -> None:
    url = postgres.new_database()
    both = [SqlLedger(url), SqlLedger(url)]
    answers: dict[int, list[Any]] = {0: [], 1: []}

    def write(which: int) -> None:
        for start in range(0, 60, 12):
            group = [record(f"tx{start + n}", decision_id=f"dec_{which}_{start + n}") for n in range(12)]
            answers[which] += both[which].commit_many(group if which else group[::-1])[:: 1 if which else -1]

    threads = [threading.Thread(target=write, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1]
    checked = verify(url)
    assert (checked.decisions, checked.broken) == (60, None)
    for ledger in both:
        ledger.close()


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://u:hush@h/d", "postgresql://u:hush@h/d", "postgresql+psycopg://u:hush@h:p/d"]
)
def test_a_url_that_is_none_says_so_and_keeps_its_secret(url: str) -> None:
    with pytest.raises(InvalidInput, match="database URL") as caught:
        SqlLedger(url)
    assert "hush" not in str(caught.value)


def test_what_was_decided_can_be_read_beside_the_writer(ledger: SqlLedger, ledger_url: str) -> None:
    ledger.commit(record("tx1", seq=1))
    ledger.commit(record("tx2", action=Action.DECLINE, score=900))
    ledger.commit(record("tx3", release_id="rel_other"))
    reads = LedgerReads.at(ledger_url)
    two = Contract("t", "ecommerce", (), ("a", "b"))
    traffic = reads.traffic("demo", "ecommerce", _with_names(two), "rel_0000000000000000")
    assert traffic.actions.tolist() == [Action.REVIEW, Action.DECLINE]
    assert traffic.vectors.shape == (2, 2)
    assert reads.scopes() == [("demo", "ecommerce")]
    assert [event.event_id for event in reads.unplaced("demo", "ecommerce")] == ["tx2", "tx3"]
    reads.place(reads.unplaced("demo", "ecommerce")[0], 5)
    assert [event.event_id for event in reads.unplaced("demo", "ecommerce")] == ["tx3"]
    assert verify(ledger_url).broken is None, "an event's place is no part of the chain"


def _with_names(contract: Contract) -> Contract:
    return Contract.from_json(
        contract.to_json().replace(
            b'"features":[]',
            b'"features":[{"name":"a","kind":"request","unit":"","meaning":""},'
            b'{"name":"b","kind":"request","unit":"","meaning":""}]',
        )
    )


def test_reading_where_nothing_was_written_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start the service first"):
        LedgerReads.at(f"sqlite:///{tmp_path}/none.db")
