"""The ledger: written once, durable, chained over what is stored, one writer, the same answer to every racer."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from fradect.adapters import tables
from fradect.adapters.chain import GENESIS, link
from fradect.adapters.database import migrate, open_database
from fradect.adapters.ledger_reads import LedgerReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.errors import InvalidInput, NotFound, Refused, Unavailable
from fradect.features.contract import Contract
from fradect.types import Action
from tests.factories_decision import record


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], SqlLedger]]:
    """Opens the ledger; closes what is still open at the end."""
    ledgers: list[SqlLedger] = []

    def open_ledger() -> SqlLedger:
        ledgers.append(SqlLedger(url))
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


def _first_broken(ledger: SqlLedger) -> int | None:
    previous = GENESIS
    events = {row["event_id"]: row for row in _rows(ledger, tables.events)}
    for number, row in enumerate(sorted(_rows(ledger, tables.risk_decisions), key=lambda r: r["chain_seq"]), start=1):
        own = link(previous, events[row["entity_id"]], row)
        if (row["chain_seq"], row["prev_hash"], row["row_hash"]) != (number, previous, own):
            return number
        previous = row["row_hash"]
    return None


def test_rows_are_chained_over_every_stored_byte_also_after_a_restart(
    ledger: SqlLedger, opened: Callable[[], SqlLedger]
) -> None:
    for i in range(3):
        ledger.commit(record(f"tx{i}"))
    ledger.commit(record("tx1", decision_id="dec_again"))  # loses, and must not break the chain
    ledger.close()
    ledger = opened()
    ledger.commit(record("tx3"))
    assert len(_rows(ledger, tables.risk_decisions)) == 4
    assert _first_broken(ledger) is None


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE risk_decisions SET score = 1 WHERE id = 'dec_tx1'",
        "UPDATE risk_decisions SET answer = x'00' WHERE id = 'dec_tx1'",
        "UPDATE risk_decisions SET probability = NULL WHERE id = 'dec_tx1'",
        "UPDATE events SET fields = x'7b7d' WHERE event_id = 'tx1'",
        "DELETE FROM risk_decisions WHERE id = 'dec_tx1'",
    ],
)
def test_a_changed_or_removed_row_breaks_the_chain_at_its_place(
    ledger: SqlLedger, tmp_path: Path, tampering: str
) -> None:
    for i in range(3):
        ledger.commit(record(f"tx{i}"))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute(tampering)
    assert _first_broken(ledger) == 2


def test_an_outcome_that_comes_later_stands_outside_the_chain(ledger: SqlLedger, tmp_path: Path) -> None:
    ledger.commit(record("tx1"))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute("UPDATE risk_decisions SET outcome = 'confirmed_fraud', outcome_updated_at = 5")
    assert _first_broken(ledger) is None


def test_a_commit_is_synced_to_disk(ledger: SqlLedger) -> None:
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_second_process_is_refused_and_told_by_whom(ledger: SqlLedger, url: str) -> None:
    code = f"from fradect.adapters.ledger_sql import SqlLedger; SqlLedger({url!r})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "has its one writer already (process" in second.stderr
    ledger.close()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_lock_is_refused_within_a_process_too(ledger: SqlLedger, opened: Callable[[], SqlLedger]) -> None:
    with pytest.raises(Refused, match="one writer"):
        opened()
    ledger.close()
    opened()


@pytest.mark.parametrize("name", ["ledger", "shared"])
def test_migrations_make_exactly_the_tables_that_are_declared(tmp_path: Path, name: str) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/{name}.db")
    migrate(engine, name)
    migrate(engine, name)
    declared = {"ledger": tables.LEDGER, "shared": tables.SHARED}[name]
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": f"{name}_version"})
        assert compare_metadata(context, declared) == []


def test_a_database_that_is_gone_is_unavailable_and_says_nothing_of_the_values(
    ledger: SqlLedger, tmp_path: Path
) -> None:
    ledger.commit(record("tx1"))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute("ALTER TABLE outbox RENAME TO gone")
    with pytest.raises(Unavailable) as caught:
        ledger.commit(record("tx2"))
    assert "c1" not in str(caught.value)
    assert ledger.find("demo", "ecommerce", "tx2") is None, "the transaction is all or nothing"
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other, other:
        other.execute("ALTER TABLE gone RENAME TO outbox")
    ledger.commit(record("tx2"))
    assert _first_broken(ledger) is None


def test_a_url_that_is_none_says_so() -> None:
    with pytest.raises(InvalidInput, match="database URL"):
        SqlLedger("nonsense")


def test_what_was_decided_can_be_read_beside_the_writer(ledger: SqlLedger, url: str) -> None:
    ledger.commit(record("tx1", seq=1))
    ledger.commit(record("tx2", action=Action.DECLINE, score=900))
    ledger.commit(record("tx3", release_id="rel_other"))
    reads = LedgerReads.at(url)
    two = Contract("t", "ecommerce", (), ("a", "b"))
    traffic = reads.traffic("demo", "ecommerce", _with_names(two), "rel_0000000000000000")
    assert traffic.event_ids == ("tx1", "tx2")
    assert traffic.actions.tolist() == [Action.REVIEW, Action.DECLINE]
    assert traffic.vectors.shape == (2, 2)
    assert reads.scopes() == [("demo", "ecommerce")]
    assert [event.event_id for event in reads.unplaced("demo", "ecommerce")] == ["tx2", "tx3"]
    reads.place(reads.unplaced("demo", "ecommerce")[0], 5)
    assert [event.event_id for event in reads.unplaced("demo", "ecommerce")] == ["tx3"]
    assert _first_broken(ledger) is None, "an event's place is no part of the chain"


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
