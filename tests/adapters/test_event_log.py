"""The log as its readers see it: nothing before the first import, then in order, in part, and by DuckDB."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from fradect.adapters.event_log import EventLog, Facts
from fradect.adapters.importing import ImportOptions, import_path
from fradect.errors import InvalidInput, NotFound, Refused
from tests.adapters.factories_import import rows, rules, shop_log, write_csv

MINUTE = 60_000_000
MARCH_1 = 1_709_251_200_000_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """Minutes 100 to 199, and then what came late: minutes 0 to 99."""
    folder = tmp_path_factory.mktemp("log")
    for name, numbers in (("a.csv", range(100, 200)), ("b.csv", range(100))):
        source = write_csv(folder / name, rows(*numbers))
        import_path(source, rules(), folder / "home", ImportOptions(now=MARCH_1 + 1440 * MINUTE))
    return shop_log(folder / "home")


def scanned(log: EventLog, columns: list[str], **given: Any) -> list[tuple[Any, ...]]:
    table = pa.Table.from_batches(log.scan(columns, **given))
    return list(zip(*table.to_pydict().values(), strict=True))


def test_a_log_that_is_not_there_says_so_and_makes_nothing(tmp_path: Path) -> None:
    log = shop_log(tmp_path / "home")
    assert log.facts() is None
    assert log.count() == 0
    for asked in (log.time_range, lambda: list(log.scan(["seq"]))):
        with pytest.raises(NotFound, match="fradect import"):
            asked()
    assert not (tmp_path / "home").exists()


def test_a_module_that_is_unknown_has_no_log(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="module 'gardening' is unknown"):
        EventLog(tmp_path, "gardening", "shop")


def test_the_facts_of_a_log(log: EventLog) -> None:
    facts = log.facts()
    assert isinstance(facts, Facts)
    assert (facts.module, facts.tenant, facts.contract, facts.base_currency) == (
        "ecommerce",
        "shop",
        "ecommerce/standard",
        "RUB",
    )
    assert (facts.mapping, facts.mapping_hash) == ("shop", rules().hash)
    assert [(s.name, s.rows, s.accepted, s.rejected) for s in facts.sources] == [
        ("a.csv", 100, 100, 0),
        ("b.csv", 100, 100, 0),
    ]
    assert log.count() == facts.highest_seq == 200
    assert log.time_range() == (MARCH_1, MARCH_1 + 199 * MINUTE)


def test_a_scan_is_in_the_order_of_arrival_or_of_time(log: EventLog) -> None:
    assert [seq for (seq,) in scanned(log, ["seq"])] == list(range(1, 201))
    by_time = [*range(101, 201), *range(1, 101)]
    assert [seq for (seq,) in scanned(log, ["seq"], order="time")] == by_time


@pytest.mark.parametrize("order", ["seq", "time"])
def test_a_scan_is_limited_to_start_inclusive_and_until_exclusive(log: EventLog, order: str) -> None:
    found = scanned(log, ["event_id"], start=MARCH_1 + 98 * MINUTE, until=MARCH_1 + 102 * MINUTE, order=order)
    assert sorted(found) == [("t100",), ("t101",), ("t98",), ("t99",)]
    assert len(scanned(log, ["event_id"], start=MARCH_1 + 150 * MINUTE, order=order)) == 50
    assert len(scanned(log, ["event_id"], until=MARCH_1 + 150 * MINUTE, order=order)) == 150


@pytest.mark.parametrize("order", ["seq", "time"])
def test_a_scan_has_the_columns_asked_for_in_the_logs_types(log: EventLog, order: str) -> None:
    names = ["amount_base", "event_time", "browser", "age"]
    (batch, *_) = log.scan(names, order=order)
    assert batch.schema.names == names
    assert [str(kind) for kind in batch.schema.types] == ["int64", "timestamp[us, tz=UTC]", "string", "double"]


@pytest.mark.parametrize(("columns", "order"), [(["nothing"], "seq"), (["seq"], "sideways")])
def test_a_scan_of_what_is_not_there_is_refused(log: EventLog, columns: list[str], order: str) -> None:
    with pytest.raises(InvalidInput, match="unknown"):
        log.scan(columns, order=order)


def test_duckdb_reads_events_and_outcomes_together(log: EventLog) -> None:
    events, outcomes = (log.folder / part / "*.parquet" for part in ("events", "outcomes"))
    joined = duckdb.execute(
        f"SELECT count(*), count(DISTINCT e.event_id), sum(o.value::INT) FROM read_parquet('{events}') e "  # noqa: S608
        f"JOIN read_parquet('{outcomes}') o ON e.seq = o.seq AND e.event_id = o.event_id "
        "AND e.event_time = o.event_time"
    ).fetchall()
    assert joined == [(200, 200, 20)]


def test_every_event_remembers_its_row(log: EventLog) -> None:
    facts = log.facts()
    assert facts is not None
    origins = duckdb.execute(
        f"SELECT seq, source, row FROM read_parquet('{log.folder}/origins/*.parquet') ORDER BY seq"  # noqa: S608
    ).fetchall()
    digests = [source.digest for source in facts.sources]
    assert origins == [(i + 1, digests[i // 100], i % 100 + 1) for i in range(200)]


def test_a_damaged_list_of_batches_is_refused_not_guessed(tmp_path: Path) -> None:
    import_path(write_csv(tmp_path / "a.csv", rows(1)), rules(), tmp_path, ImportOptions(now=MARCH_1 + 1440 * MINUTE))
    (shop_log(tmp_path).folder / "log.json").write_text("{")
    with pytest.raises(Refused, match="damaged"):
        shop_log(tmp_path).facts()
