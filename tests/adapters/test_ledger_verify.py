"""Whatever is done to the ledger behind its back is found, and the first of it is named."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from fradect.adapters import chain, ledger_verify, ledger_walk, tables
from fradect.adapters.chain import GENESIS, checkpoint_link, link
from fradect.adapters.database import migrate, open_database
from fradect.adapters.ledger_checkpoints import Checkpoints
from fradect.adapters.ledger_rows import Head, decision_row
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.ledger_verify import End, verify
from fradect.errors import NotFound
from tests.factories_decision import record


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[SqlLedger]:
    """Six decisions, the first four of them before a checkpoint."""
    ledger = SqlLedger(ledger_url)
    ledger.commit_many([record(f"tx{n}", signals={"list": "none"}) for n in range(1, 5)])
    assert Checkpoints(ledger.engine).take("2026-11-04") == 1
    ledger.commit_many([record(f"tx{n}") for n in range(5, 7)])
    yield ledger
    ledger.close()


def _do(ledger: SqlLedger, statement: str) -> None:
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_nothing_is_wrong_with_what_nobody_touched(ledger: SqlLedger, ledger_url: str) -> None:
    told: list[tuple[int, int]] = []
    checked = verify(ledger_url, tell=lambda done, total: told.append((done, total)))
    assert (checked.decisions, checked.checkpoints, checked.broken) == (6, 1, None)
    assert told[-1] == (6, 6)
    (end,) = checked.ends
    assert end.chain_seq == 6


@pytest.mark.parametrize(
    ("tampering", "seq", "what"),
    [
        ("UPDATE risk_decisions SET score = 1 WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET answer = (SELECT fields FROM events LIMIT 1) WHERE id = 'dec_tx2'", 2, "not as it"),
        ("UPDATE risk_decisions SET probability = NULL WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET probability = 0.6000000000000001 WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET signals = '{}' WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET chain_format = 1 WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET chain_format = 9 WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET row_hash = prev_hash WHERE id = 'dec_tx2'", 2, "not as it was written"),
        ("UPDATE risk_decisions SET prev_hash = row_hash WHERE id = 'dec_tx2'", 2, "does not follow"),
        ("UPDATE events SET fields = observed_fields FROM (SELECT fields AS observed_fields FROM events WHERE "
         "event_id = 'tx3') AS o WHERE event_id = 'tx2'", None, ""),
        ("UPDATE events SET event_time = event_time + 1 WHERE event_id = 'tx2'", 2, "not as it was written"),
        ("DELETE FROM events WHERE event_id = 'tx2'", 2, "its event is missing"),
        ("DELETE FROM risk_decisions WHERE id = 'dec_tx2'", 2, "row 2 is missing"),
        ("DELETE FROM risk_decisions WHERE chain_seq BETWEEN 2 AND 4", 2, "rows 2 to 4 are missing"),
        ("DELETE FROM risk_decisions WHERE chain_seq > 3", 4, "the checkpoint of 2026-11-04 names the last"),
        ("DELETE FROM risk_decisions", 1, "rows 1 to 4 are missing"),
        ("UPDATE chain_checkpoints SET chain_seq = 3", 3, "checkpoint 1 (2026-11-04) was changed or removed"),
        ("UPDATE risk_decisions SET outcome = 'confirmed_fraud', outcome_updated_at = 5", None, ""),
    ],
)  # fmt: skip
def test_a_changed_or_removed_row_is_named(
    ledger: SqlLedger, ledger_url: str, tampering: str, seq: int | None, what: str
) -> None:
    _do(ledger, tampering)
    broken = verify(ledger_url).broken
    if seq is None:
        assert broken is None, "the same fields, or what the chain does not cover"
        return
    assert broken is not None
    assert broken.chain_seq == seq
    assert what in broken.what
    assert broken.decision_id in ("", "dec_tx2")


def test_a_whole_chain_cannot_be_taken_away(ledger: SqlLedger, ledger_url: str) -> None:
    other = "w_other"
    with ledger.engine.begin() as connection:
        _write(connection, "other1", other, Head())
    Checkpoints(ledger.engine).take("2026-11-05")
    assert verify(ledger_url).broken is None
    _do(ledger, "DELETE FROM risk_decisions WHERE writer = 'w_other'")
    _do(ledger, "DELETE FROM events WHERE event_id = 'other1'")
    broken = verify(ledger_url).broken
    assert broken is not None
    assert (broken.writer, broken.chain_seq) == (other, 1)


def test_a_row_that_was_put_in_is_found(ledger: SqlLedger, ledger_url: str) -> None:
    stray = record("stray")
    with ledger.engine.begin() as connection:
        connection.execute(tables.events.insert(), tables.event_row(stray.event, 99))
    broken = verify(ledger_url).broken
    assert broken is not None
    assert "'stray' of demo/ecommerce has no decision" in broken.what


def test_a_chain_made_anew_over_changed_rows_contradicts_its_checkpoint(ledger: SqlLedger, ledger_url: str) -> None:
    _do(ledger, "UPDATE risk_decisions SET score = 1 WHERE id = 'dec_tx2'")
    _relink(ledger)
    broken = verify(ledger_url).broken
    assert broken is not None
    assert (broken.chain_seq, broken.what) == (4, "it is another row than the checkpoint of 2026-11-04 says")


def test_what_is_taken_from_the_end_shows_to_whoever_kept_the_end(ledger: SqlLedger, ledger_url: str) -> None:
    kept = verify(ledger_url).ends
    _do(ledger, "DELETE FROM risk_decisions WHERE chain_seq > 5")
    _do(ledger, "DELETE FROM events WHERE event_id = 'tx6'")
    assert verify(ledger_url).broken is None, "the database alone cannot know"
    broken = verify(ledger_url, kept).broken
    assert broken is not None
    assert broken.what == "row 6 is missing: the end that was kept names the last of them"
    forged = [End(kept[0].writer, 5, "00" * 32)]
    assert "another row than the end that was kept" in verify(ledger_url, forged).broken.what  # type: ignore[union-attr]


def test_a_checkpoint_is_taken_once_a_day_and_of_chains_that_grew(ledger: SqlLedger, ledger_url: str) -> None:
    checkpoints = Checkpoints(ledger.engine)
    assert [checkpoints.take(day) for day in ("2026-11-04", "2026-11-05", "2026-11-05", "2026-11-06")] == [0, 1, 0, 0]
    ledger.commit(record("tx7"))
    assert Checkpoints(ledger.engine).take("2026-11-05") == 0, "another service had it"
    assert Checkpoints(ledger.engine).take("2026-11-07") == 1
    checked = verify(ledger_url)
    assert (checked.checkpoints, checked.broken) == (3, None)
    _do(ledger, "DELETE FROM chain_checkpoints WHERE number = 2")
    assert "checkpoint 2 (2026-11-07)" in verify(ledger_url).broken.what  # type: ignore[union-attr]


def test_rows_written_before_signals_were_kept_still_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    engine = open_database(url)
    _migrate_to(engine, "ledger_0001", monkeypatch)
    new = ("signals", "chain_format", "propensity")
    old = [column.name for column in tables.risk_decisions.columns if column.name not in new]
    head = Head()
    with engine.begin() as connection:
        for name in ("old1", "old2"):
            one = record(name)
            event = tables.event_row(one.event, None)
            row = decision_row(one, "main", head) | {"chain_format": 1}
            row["row_hash"] = link(head.hash, event, row)
            head = Head(row["chain_seq"], row["row_hash"])
            held = {column: row.get(column) for column in old}
            connection.execute(sa.table("risk_decisions", *map(sa.column, held)).insert(), held)
            connection.execute(tables.events.insert(), event)
    engine.dispose()
    ledger = SqlLedger(url)
    ledger.commit(record("new", signals={"list": "deny"}))
    ledger.commit(record("newest", propensity=0.02))
    ledger.close()
    checked = verify(url)
    assert (checked.decisions, checked.broken) == (4, None)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE risk_decisions SET propensity = 0.5 WHERE id = 'dec_drawn'",
        "UPDATE risk_decisions SET propensity = NULL WHERE id = 'dec_drawn'",
        "UPDATE risk_decisions SET propensity = NULL, chain_format = 2 WHERE id = 'dec_drawn'",
        "UPDATE risk_decisions SET propensity = 0.5 WHERE id = 'dec_tx3'",
    ],
)
def test_a_chance_that_was_changed_taken_away_or_put_in_is_found(
    ledger: SqlLedger, ledger_url: str, tampering: str
) -> None:
    ledger.commit(record("drawn", propensity=0.02))
    assert verify(ledger_url).broken is None
    _do(ledger, tampering)
    broken = verify(ledger_url).broken
    assert broken is not None
    assert broken.decision_id in tampering
    assert "not as it was written" in broken.what


@pytest.mark.parametrize("worth_it", [1, 99])
def test_a_long_ledger_is_read_in_stretches_by_several_processes(
    ledger: SqlLedger, ledger_url: str, monkeypatch: pytest.MonkeyPatch, worth_it: int
) -> None:
    monkeypatch.setattr(ledger_walk, "_PAGE", 1)
    monkeypatch.setattr(ledger_verify, "ROWS", 2)
    monkeypatch.setattr(ledger_verify, "_WORTH_IT", worth_it)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    told: list[int] = []
    assert verify(ledger_url, tell=lambda done, _: told.append(done)).broken is None
    assert told == [2, 4, 6]
    _do(ledger, "UPDATE risk_decisions SET score = 1 WHERE id = 'dec_tx6'")
    checked = verify(ledger_url)
    assert checked.broken is not None
    assert (checked.broken.chain_seq, checked.decisions) == (6, 5)
    _do(ledger, "DELETE FROM risk_decisions WHERE id = 'dec_tx4'")
    checked = verify(ledger_url)
    assert checked.broken is not None
    assert (checked.broken.chain_seq, checked.broken.what, checked.decisions) == (4, "row 4 is missing", 3)


def test_without_a_ledger_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start the service first"):
        verify(f"sqlite:///{tmp_path}/none.db")


def test_a_link_covers_what_its_format_says() -> None:
    assert chain.columns_of(2)[-2:] == ("signals", "chain_format")
    assert chain.columns_of(2)[:-2] == chain.columns_of(1)
    assert chain.columns_of(3) == (*chain.columns_of(2), "propensity")
    row = {"number": 1, "day": "2026-11-04", "writer": "main", "chain_seq": 4, "row_hash": b"h"}
    linked = checkpoint_link(GENESIS, row)
    assert all(checkpoint_link(GENESIS, row | {name: value}) != linked for name, value in (("day", ""), ("number", 2)))


def _write(connection: sa.Connection, name: str, writer: str, head: Head) -> None:
    one = record(name)
    event = tables.event_row(one.event, None)
    row: dict[str, Any] = decision_row(one, writer, head)
    row["row_hash"] = link(head.hash, event, row)
    connection.execute(tables.events.insert(), event)
    connection.execute(tables.risk_decisions.insert(), row)


def _relink(ledger: SqlLedger) -> None:
    """What somebody would do who knows how the chain is made."""
    table = tables.risk_decisions
    with ledger.engine.begin() as connection:
        events = {row.event_id: row._mapping for row in connection.execute(sa.select(tables.events))}
        previous = GENESIS
        for row in connection.execute(sa.select(table).order_by(table.c.chain_seq)).all():
            own = link(previous, events[row.entity_id], row._mapping)
            change: Callable[..., Any] = table.update().where(table.c.id == row.id).values
            connection.execute(change(prev_hash=previous, row_hash=own))
            previous = own


def _migrate_to(engine: sa.Engine, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def only_to(config: Config, _head: str) -> None:
        upgrade(config, revision)

    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", only_to)
        migrate(engine, "ledger")
