"""Compaction: what SQL has joins the Parquet log once, under its numbers, whoever reads or dies meanwhile."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fradect.adapters.compaction import Compacted, Compaction, compact, not_compacted
from fradect.adapters.event_log import BatchFacts, EventLog, _interleaved
from fradect.adapters.importing import ImportOptions, ImportReport, import_path
from fradect.adapters.ledger_sql import SqlLedger, event_row
from fradect.adapters.tables import events as ledger_events
from fradect.errors import Conflict, NotFound
from fradect.types import Event, Value
from tests.adapters.factories_import import MAPPING, rows, shop_log, snapshot, write_csv
from tests.stream.factories_stream import Shop, message, open_shop, verdict

ROOT = Path(__file__).resolve().parents[2]
MARCH_2 = 1_709_337_600_000_000


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home") as made:
        yield made


def work(shop: Shop, confirmed: int | None = None) -> Compaction:
    return Compaction(shop.home, shop.log, shop.shared, shop.stored, shop.mapping, confirmed)


def brought(shop: Shop, source: Path, **more: Any) -> ImportReport:
    given = {
        "reserve": lambda count: shop.state.reserve("shop", "ecommerce", count),
        "stored": lambda: not_compacted(work(shop)),
    } | more
    return import_path(source, shop.mapping, shop.home, ImportOptions(now=MARCH_2, **given))


def scanned(log: EventLog, **given: Any) -> list[tuple[Any, ...]]:
    table = pa.Table.from_batches(log.scan(["seq", "event_id"], **given))
    return list(zip(*table.to_pydict().values(), strict=True))


def outcomes(log: EventLog) -> dict[tuple[str, str], tuple[bool, int, int]]:
    found = pa.concat_tables(pq.read_table(path) for path in sorted((log.folder / "outcomes").glob("*.parquet")))
    return {(o["event_id"], o["kind"]): (o["value"], o["seq"], o["number"]) for o in found.to_pylist()}


def test_streamed_events_and_outcomes_join_the_log_under_their_numbers(shop: Shop) -> None:
    shop.take([message(i, fraud="") for i in range(10)], [verdict(3), verdict(99)])
    assert compact(work(shop)) == Compacted(10, 1)
    assert {event_id: seq for seq, event_id in scanned(shop.log)} == shop.events()
    value, number = shop.outcomes()["t3", "fraud"]
    assert outcomes(shop.log) == {("t3", "fraud"): (value, shop.events()["t3"], number)}
    facts = shop.log.facts()
    assert facts is not None
    assert (shop.log.count(), facts.highest_seq, facts.key_id is None) == (
        10,
        max(number or 0, *shop.events().values()),
        False,
    )
    assert shop.log.time_range() == (1_709_251_200_000_000, 1_709_251_740_000_000)
    before = snapshot(shop.home)
    assert compact(work(shop)) == Compacted()
    assert snapshot(shop.home) == before


def test_values_survive_the_way_through_sql(shop: Shop, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", rows(*range(5)))
    import_path(tmp_path / "a.csv", shop.mapping, tmp_path / "other", ImportOptions(now=MARCH_2))
    (tmp_path / "other" / "keys" / "vault.json").replace(tmp_path / "key")
    (shop.home / "keys").mkdir()
    (tmp_path / "key").replace(shop.home / "keys" / "vault.json")
    shop.take([message(i) for i in range(5)])
    compact(work(shop))
    names = list(shop_log(tmp_path / "other").module.columns)
    ways = [
        log.scan(["event_id", "event_time", "observed_at", *names]) for log in (shop.log, shop_log(tmp_path / "other"))
    ]
    streamed, imported = (pa.Table.from_batches(way) for way in ways)
    assert streamed.equals(imported)


def test_imports_and_streams_interleave_and_a_scan_is_still_in_order(shop: Shop, tmp_path: Path) -> None:
    shop.take([message(i) for i in range(5)])
    assert brought(shop, write_csv(tmp_path / "a.csv", rows(*range(100, 110)))).accepted == 10
    shop.take([message(i) for i in range(10)])
    brought(shop, write_csv(tmp_path / "b.csv", rows(*range(110, 115))))
    compact(work(shop))
    seqs = [seq for seq, _ in scanned(shop.log)]
    assert seqs == sorted(set(seqs))
    assert len(seqs) == shop.log.count() == 25
    by_time = [event_id for _, event_id in scanned(shop.log, order="time")]
    assert by_time == [f"t{i}" for i in (*range(10), *range(100, 115))]
    told = outcomes(shop.log)
    numbers = [number for _, _, number in told.values()]
    assert len(set(numbers)) == len(numbers) == 25
    assert all(number == seq for about, (_, seq, number) in told.items() if int(about[0][1:]) >= 100)
    assert len({*seqs, *(n for (e, _), (_, s, n) in told.items() if n != s)}) == 25 + 10


def test_what_a_stream_brought_is_no_news_to_an_import_whether_compacted_or_not(shop: Shop, tmp_path: Path) -> None:
    shop.take([message(i) for i in range(5)])
    source = write_csv(tmp_path / "a.csv", rows(*range(8)))
    report = brought(shop, source, max_rejected=0.0)
    assert (report.accepted, report.already, report.duplicates) == (3, 5, 0)
    compact(work(shop))
    again = brought(shop, write_csv(tmp_path / "b.csv", rows(*range(9))), max_rejected=1.0)
    assert (again.accepted, again.already, again.duplicates) == (1, 5, 3)
    assert shop.log.count() == 9


def test_what_an_import_brought_is_no_news_to_a_stream(shop: Shop, tmp_path: Path) -> None:
    brought(shop, write_csv(tmp_path / "a.csv", rows(*range(6))))
    shop.take([message(i) for i in range(8)], [verdict(3, False), verdict(4, False), verdict(1, kind="return")])
    assert set(shop.events()) == {"t6", "t7"}
    assert [entry[1:3] for entry in shop.letters.told()] == [(0, "outcome known otherwise")]  # the label said yes
    assert set(shop.outcomes()) == {("t6", "fraud"), ("t7", "fraud"), ("t1", "return")}
    compact(work(shop))
    assert outcomes(shop.log)["t1", "return"][1] == {e: s for s, e in scanned(shop.log)}["t1"]


def test_an_outcome_that_waited_is_learnt_once_an_import_brings_its_event(shop: Shop, tmp_path: Path) -> None:
    shop.take([], [verdict(1, kind="return"), verdict(3, False), verdict(2, False)])
    brought(shop, write_csv(tmp_path / "a.csv", rows(*range(6))))
    shop.take([], [])
    assert {about: number is not None for about, (_, number) in shop.outcomes().items()} == {("t1", "return"): True}
    assert [entry[2] for entry in shop.letters.told()] == ["outcome known otherwise"]  # t3 is fraud, t2 was known
    shop.check()


def decided(shop: Shop, *numbers: tuple[int, int | None]) -> None:
    """Events in the ledger as the service writes them: (purchase, seq)."""
    ledger = SqlLedger(f"sqlite:///{shop.home}/ledger.db")
    with ledger.engine.begin() as connection:
        for i, seq in numbers:
            fields: dict[str, Value] = {
                "amount": 100 + i,
                "amount_base": 100 + i,
                "currency": "RUB",
                "customer_id": "c1",
            }
            event = Event(f"t{i}", "shop", "ecommerce", MARCH_2 + i, MARCH_2 + i, fields)
            connection.execute(ledger_events.insert(), event_row(event, seq))
    ledger.close()


def test_events_of_the_ledger_join_as_they_get_their_numbers(shop: Shop) -> None:
    decided(shop, (1, 1), (2, 2), (3, None))
    assert compact(work(shop, confirmed=2)) == Compacted(2, 0)
    facts = shop.log.facts()
    assert facts is not None
    assert facts.compacted_seq == 2
    decided(shop, (4, 4))
    with sa.create_engine(f"sqlite:///{shop.home}/ledger.db").begin() as connection:
        connection.execute(ledger_events.update().where(ledger_events.c.event_id == "t3").values(seq=3))
    assert compact(work(shop, confirmed=4)) == Compacted(2, 0)
    assert scanned(shop.log) == [(1, "t1"), (2, "t2"), (3, "t3"), (4, "t4")]
    assert compact(work(shop)) == Compacted()


def test_an_event_by_stream_and_by_request_is_one(shop: Shop) -> None:
    decided(shop, (1, 1))
    shop.state.reserve("shop", "ecommerce", 1)
    shop.take([message(1, fraud=""), message(2, fraud="")])
    assert set(shop.events()) == {"t2"}
    assert compact(work(shop)) == Compacted(2, 0)


def test_the_ledger_is_read_while_the_service_has_it(shop: Shop) -> None:
    decided(shop, (1, 1))
    ledger = SqlLedger(f"sqlite:///{shop.home}/ledger.db")
    try:
        with ledger.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            assert compact(work(shop)) == Compacted(1, 0)
    finally:
        ledger.close()


def test_a_log_is_not_begun_without_a_mapping_and_not_added_to_beside_an_import(shop: Shop) -> None:
    shop.take([message(1)])
    bare = Compaction(shop.home, shop.log, shop.shared, shop.stored)
    with pytest.raises(NotFound, match="no log yet"):
        compact(bare)
    with shop.log.importing(), pytest.raises(Conflict):
        compact(work(shop))
    assert compact(work(shop)) == Compacted(1, 1)


COMPACT = """
import json, os, signal, sys
from pathlib import Path
from fradect.adapters.compaction import Compaction, compact
from tests.stream.factories_stream import open_shop

replace = Path.replace
home, *_ = sys.argv[1:]

for die_at in range(9):
    child = os.fork()
    if not child:
        left = [die_at]
        def dying(self, target):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return replace(self, target)
        Path.replace = dying
        with open_shop(Path(home)) as shop:
            compact(Compaction(shop.home, shop.log, shop.shared, shop.stored, shop.mapping))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_at_any_renaming_the_next_compaction_makes_it_whole(shop: Shop, tmp_path: Path) -> None:
    shop.take([message(i) for i in range(20)])
    ran = subprocess.run(
        [sys.executable, "-c", COMPACT, str(shop.home)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    codes = [int(code) for code in ran.stdout.split()]
    assert codes[0] == -signal.SIGKILL, ran.stderr
    assert codes[-1] == 0, ran.stderr
    assert compact(work(shop)) == Compacted()
    assert {event_id: seq for seq, event_id in scanned(shop.log)} == shop.events()
    assert len(outcomes(shop.log)) == 20
    assert shop.log.count() == 20


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10)), max_size=12))
def test_batches_are_sorted_together_exactly_when_their_numbers_interleave(spans: list[tuple[int, int]]) -> None:
    batches = [BatchFacts(str(i), first, first + more, 0, 1) for i, (first, more) in enumerate(spans)]
    groups = list(_interleaved(batches))
    assert sorted(batch.name for group in groups for batch in group) == sorted(batch.name for batch in batches)
    ends = [(min(b.first_seq for b in group), max(b.last_seq for b in group)) for group in groups]
    assert all(end < start for (_, end), (start, _) in pairwise(ends))
    for group in groups:
        held = {n for b in group for n in range(b.first_seq, b.last_seq + 1)}
        assert held == set(range(min(held), max(held) + 1)) or len(group) == 1


def test_numbers_that_the_log_has_are_not_given_again(shop: Shop, tmp_path: Path) -> None:
    brought(shop, write_csv(tmp_path / "a.csv", rows(1, 2)))
    with pytest.raises(Conflict, match="rebuild the live state"):
        brought(shop, write_csv(tmp_path / "b.csv", rows(3)), reserve=lambda _count: 2)


def test_logs_from_before_outcomes_had_numbers_are_read(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(MAPPING)
    brought(shop, write_csv(tmp_path / "a.csv", rows(*range(3))))
    facts = json.loads((shop.log.folder / "log.json").read_bytes())
    del facts["compacted_seq"]
    for batch in facts["batches"]:
        del batch["events"]
    (shop.log.folder / "log.json").write_text(json.dumps(facts))
    assert shop.log.count() == 3
