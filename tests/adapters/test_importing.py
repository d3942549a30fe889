"""Imports: what enters the log, what stays out and why, and that saying it twice changes nothing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.event_log import OUTCOMES, events_schema
from fradect.adapters.importing import ImportOptions, ImportReport, import_path
from fradect.adapters.places import Places
from fradect.errors import Conflict, InvalidInput, Refused
from fradect.faults import Reason
from fradect.features.globe import place_at
from fradect.mapping import Mapping
from fradect.modules import module_of
from tests.adapters.factories_import import (
    events,
    quarantined,
    row,
    rows,
    rules,
    shop_log,
    snapshot,
    write_csv,
    write_parquet,
)

MARCH_2 = 1_709_337_600_000_000


def run(source: Path, home: Path, mapping: Mapping | None = None, **options: Any) -> ImportReport:
    options = {"max_rejected": 0.5, "now": MARCH_2} | options
    return import_path(source, mapping or rules(), home, ImportOptions(**options))


def ids(home: Path) -> list[str]:
    return [event["event_id"] for event in events(home)]


def test_the_log_has_exactly_the_schema_that_readers_build_on(tmp_path: Path) -> None:
    run(write_csv(tmp_path / "a.csv", rows(*range(20))), tmp_path / "home")
    log = shop_log(tmp_path / "home")
    (file,) = (log.folder / "events").glob("*.parquet")
    assert pq.read_schema(file).remove_metadata().equals(events_schema(module_of("ecommerce")))
    names = ["seq", "event_id", "tenant_id", "module", "event_time", "observed_at", *module_of("ecommerce").columns]
    assert pq.read_schema(file).names == names
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"
    table = pq.read_table(file)
    assert set(table["tenant_id"].to_pylist()) == {"shop"}
    assert table["browser"].null_count == 20
    (outcomes,) = (log.folder / "outcomes").glob("*.parquet")
    assert pq.read_schema(outcomes).remove_metadata().equals(OUTCOMES)


def test_events_are_numbered_by_time_then_file_then_row(tmp_path: Path) -> None:
    same = "2024-03-01 12:00:00"
    write_csv(tmp_path / "in" / "b.csv", [row(1, at=same), row(2, at="2024-03-01 11:00:00")])
    write_csv(tmp_path / "in" / "a.csv", [row(3, at=same), row(4, at=same), row(5, at="2024-03-01 13:00:00")])
    run(tmp_path / "in", tmp_path / "home")
    assert [(event["seq"], event["event_id"]) for event in events(tmp_path / "home")] == [
        (1, "t2"),
        (2, "t3"),
        (3, "t4"),
        (4, "t1"),
        (5, "t5"),
    ]


def test_a_later_import_continues_after_the_highest_number(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(write_csv(tmp_path / "a.csv", rows(100, 101)), home)
    run(write_csv(tmp_path / "b.csv", rows(1, 2)), home)
    assert [(event["seq"], event["event_id"]) for event in events(home)] == [
        (1, "t100"),
        (2, "t101"),
        (3, "t1"),
        (4, "t2"),
    ]
    facts = shop_log(home).facts()
    assert facts is not None
    assert [(batch.first_seq, batch.last_seq) for batch in facts.batches] == [(1, 2), (3, 4)]


def test_outcomes_are_stored_beside_their_events(tmp_path: Path) -> None:
    lines = [row(3), row(4), row(5, fraud="")]
    report = run(write_csv(tmp_path / "a.csv", lines), tmp_path / "home")
    stored = pq.read_table(shop_log(tmp_path / "home").folder / "outcomes").to_pylist()
    assert report.outcomes == 2
    assert [(o["event_id"], o["seq"], o["kind"], o["value"]) for o in stored] == [
        ("t3", 1, "fraud", True),
        ("t4", 2, "fraud", False),
    ]
    assert all((o["known_at"] - o["event_time"]).days == 7 for o in stored)


def test_importing_twice_gives_the_same_log_byte_for_byte(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = write_csv(tmp_path / "a.csv", [*rows(*range(50)), row(1, amount="-1")])
    first = run(source, home)
    before = snapshot(home)
    second = run(source, home)
    assert snapshot(home) == before
    assert (first.skipped, second.skipped, second.files, second.rows) == (0, 1, 1, 0)


def test_the_same_files_give_the_same_bytes_in_a_log_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_csv(tmp_path / "in" / "a.csv", rows(*range(50)))
    write_parquet(tmp_path / "in" / "b.parquet", rows(*range(50, 90)))
    run(tmp_path / "in", home)
    before = snapshot(home)
    shop_log(home).folder.rename(tmp_path / "gone")
    run(tmp_path / "in", home)
    assert snapshot(home) == before


def test_a_copy_of_a_file_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / "in" / name, rows(1, 2))
    report = run(tmp_path / "in", tmp_path / "home")
    assert (report.accepted, report.rejected, report.skipped, report.files) == (2, 0, 1, 2)


def test_rejected_rows_are_told_with_reason_and_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = [row(1), row(2, amount="-1"), row(3, currency="DM"), row(4), row(5, at="2030-01-01")]
    report = run(write_csv(tmp_path / "a.csv", lines), tmp_path / "home", max_rejected=0.6)
    assert ids(tmp_path / "home") == ["t1", "t4"]
    assert (report.rows, report.accepted, report.rejected) == (5, 2, 3)
    assert report.by_reason == {Reason.NEGATIVE: 1, Reason.CURRENCY: 1, Reason.FUTURE: 1}
    assert report.quarantine is not None
    told = [
        (line["source"], line["row"], line["event_id"], line["field"], line["reason"])
        for line in quarantined(tmp_path / "home")
    ]
    assert told == [
        ("a.csv", 2, "t2", "amount", "negative amount"),
        ("a.csv", 3, "t3", "currency", "unknown currency"),
        ("a.csv", 5, "t5", "event_time", "time in the future"),
    ]


def test_lines_with_too_few_or_many_columns_are_told(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", rows(1, 2, 3))
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:2], lines[2] + ",more", lines[3], "t9,short"]) + "\n")
    run(source, tmp_path / "home")
    assert ids(tmp_path / "home") == ["t1", "t3"]
    assert [(line["row"], line["reason"]) for line in quarantined(tmp_path / "home")] == [
        (2, Reason.MISFIT),
        (4, Reason.MISFIT),
    ]


def test_duplicate_ids_keep_the_first_and_name_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(write_csv(tmp_path / "old.csv", rows(1, 2)), home)
    write_csv(tmp_path / "in" / "a.csv", [row(5), row(6), row(5, amount="9"), row(2)])
    write_csv(tmp_path / "in" / "b.csv", [row(6), row(7), row(2)])
    report = run(tmp_path / "in", home, max_rejected=0.6)
    assert ids(home) == ["t1", "t2", "t5", "t6", "t7"]
    assert (report.duplicates, report.by_reason) == (4, {Reason.DUPLICATE: 4})
    told = [(line["source"], line["row"], line["detail"]) for line in quarantined(home)]
    assert told == [
        ("a.csv", 3, "first seen in a.csv, row 1"),
        ("a.csv", 4, "first seen in old.csv, row 2"),
        ("b.csv", 1, "first seen in a.csv, row 2"),
        ("b.csv", 3, "first seen in old.csv, row 2"),
    ]


def test_the_first_is_the_first_that_was_good(tmp_path: Path) -> None:
    run(write_csv(tmp_path / "a.csv", [row(1, amount="-1"), row(1)]), tmp_path / "home")
    assert ids(tmp_path / "home") == ["t1"]


def test_what_was_held_back_is_added_by_a_later_import(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = write_csv(tmp_path / "a.csv", [*rows(*range(30)), row(3), row(30, amount="-1")])
    first = run(source, home, until=MARCH_2 - 86_400_000_000 + 10 * 60_000_000)
    assert (first.accepted, first.held_back, first.duplicates, first.rejected) == (10, 21, 1, 1)
    assert quarantined(home)[0]["row"] == 31
    again = run(source, home, until=MARCH_2 - 86_400_000_000 + 10 * 60_000_000)
    assert (again.skipped, again.rows) == (1, 0)
    rest = run(source, home)
    assert (rest.accepted, rest.already, rest.held_back, rest.duplicates, rest.rejected) == (20, 10, 0, 1, 2)
    assert rest.rows == rest.accepted + rest.already + rest.rejected
    assert sorted(ids(home), key=lambda i: int(i[1:])) == [f"t{i}" for i in range(30)]
    assert [event["seq"] for event in events(home)] == list(range(1, 31))
    assert run(source, home).skipped == 1


def test_nothing_before_until_makes_no_log(tmp_path: Path) -> None:
    report = run(write_csv(tmp_path / "a.csv", rows(1)), tmp_path / "home", until=1)
    assert (report.accepted, report.held_back) == (0, 1)
    assert shop_log(tmp_path / "home").facts() is None


def test_a_broken_file_among_good_ones_brings_nothing_and_is_read_again_once_repaired(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_parquet(tmp_path / "in" / "a.parquet", rows(1, 2))
    good = write_parquet(tmp_path / "in" / "b.parquet", rows(3, 4)).read_bytes()
    (tmp_path / "in" / "b.parquet").write_bytes(good[:-9])
    write_parquet(tmp_path / "in" / "c.parquet", rows(5, 6))
    report = run(tmp_path / "in", home)
    assert ids(home) == ["t1", "t2", "t5", "t6"]
    assert report.by_reason == {Reason.BROKEN_FILE: 1}
    assert [(line["source"], line["reason"]) for line in quarantined(home)] == [("b.parquet", Reason.BROKEN_FILE)]
    before = snapshot(home)
    assert run(tmp_path / "in", home, max_rejected=1.0).skipped == 2
    assert snapshot(home) == before
    (tmp_path / "in" / "b.parquet").write_bytes(good)
    assert run(tmp_path / "in", home).accepted == 2
    assert ids(home) == ["t1", "t2", "t5", "t6", "t3", "t4"]


def test_a_file_that_breaks_in_the_middle_counts_all_its_rows(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "in" / "a.parquet", rows(*range(2000)))
    raw = bytearray(source.read_bytes())
    raw[len(raw) // 3 : len(raw) // 2] = bytes(len(raw) // 2 - len(raw) // 3)
    source.write_bytes(raw)
    write_csv(tmp_path / "in" / "b.csv", rows(5000))
    report = run(tmp_path / "in", tmp_path / "home", max_rejected=1.0)
    assert (report.rows, report.rejected, report.accepted) == (2001, 2000, 1)
    assert ids(tmp_path / "home") == ["t5000"]


def test_a_column_that_nobody_mapped_keeps_the_file_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_csv(tmp_path / "in" / "a.csv", [row(i, junk="ignored") for i in range(3)])
    write_csv(tmp_path / "in" / "b.csv", [row(i, surprise="?") for i in range(3, 5)])
    report = run(tmp_path / "in", home)
    assert ids(home) == ["t0", "t1", "t2"]
    assert report.by_reason == {Reason.UNMAPPED: 2}
    assert [(line["row"], line["field"]) for line in quarantined(home)] == [(1, "surprise"), (2, "surprise")]


def test_a_mapped_column_that_is_missing_keeps_the_file_out(tmp_path: Path) -> None:
    lines = [{name: value for name, value in row(1).items() if name != "note"}]
    write_csv(tmp_path / "in" / "a.csv", lines)
    write_csv(tmp_path / "in" / "b.csv", rows(2, 3))
    report = run(tmp_path / "in", tmp_path / "home")
    assert report.by_reason == {Reason.ABSENT: 1}
    assert quarantined(tmp_path / "home")[0]["field"] == "note"


def test_a_file_without_a_header_is_not_quoted(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", rows(1, 2))
    source.write_text("\n".join(source.read_text().splitlines()[1:]))
    with pytest.raises(Refused):
        run(source, tmp_path / "home")
    (line,) = quarantined(tmp_path / "home")
    assert "header" in line["detail"]
    assert "person" not in str(line)


def test_too_many_rejected_stop_the_run_and_the_log_is_as_before(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(write_csv(tmp_path / "a.csv", rows(1, 2)), home)
    before = snapshot(home)
    bad = write_csv(tmp_path / "b.csv", [row(i, amount="-1") if i % 3 else row(i) for i in range(10, 30)])
    with pytest.raises(Refused, match=r"70\.0% of the rows are rejected.*negative amount.*quarantine"):
        run(bad, home)
    assert snapshot(home) == before
    assert len(quarantined(home)) == 14
    report = run(bad, home, max_rejected=0.7)
    assert report.accepted == 6


def test_duplicates_count_as_rejected(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="duplicate id"):
        run(write_csv(tmp_path / "a.csv", [row(1), row(1), row(1)]), tmp_path / "home")


def test_a_corrected_mapping_adds_what_it_now_accepts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = write_csv(tmp_path / "a.csv", [row(1), row(2, currency="EUR"), row(3)])
    assert run(source, home).rejected == 1
    more = rules(("rates:", "rates:\n  EUR: [[2024-01-01, 100]]"))
    report = run(source, home, more)
    assert (report.accepted, report.already, report.rejected) == (1, 2, 0)
    assert ids(home) == ["t1", "t3", "t2"]
    assert quarantined(home) == []


def test_another_contract_or_currency_needs_another_tenant(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(write_csv(tmp_path / "a.csv", rows(1)), home)
    other = rules(("base_currency: RUB", "base_currency: USD"), ("  USD:", "  RUB:"))
    with pytest.raises(Conflict, match="name another tenant"):
        run(write_csv(tmp_path / "b.csv", rows(2)), home, other)


def test_another_key_is_refused_before_the_log_mixes_two(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(write_csv(tmp_path / "a.csv", rows(1)), home)
    (home / "keys" / "vault.json").unlink()
    with pytest.raises(Refused, match="another key"):
        run(write_csv(tmp_path / "b.csv", rows(2)), home)


def test_two_imports_at_once_do_not_mix(tmp_path: Path) -> None:
    home = tmp_path / "home"
    source = write_csv(tmp_path / "a.csv", rows(1))
    with shop_log(home).importing(), pytest.raises(Conflict, match="another import"):
        run(source, home)
    assert run(source, home).accepted == 1


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    mapping = rules(
        ("  source: note", "  source: note\n  ip: note"),
        ("time_zone: UTC", "lookups: {ip_country: {table: none.csv, from: ip}}"),
    )
    with pytest.raises(InvalidInput, match=r"none\.csv cannot be read"):
        run(write_csv(tmp_path / "a.csv", rows(1)), tmp_path / "home", mapping)


def test_a_table_beside_the_source_fills_country_and_place_and_is_kept(tmp_path: Path) -> None:
    """The service looks up in the same table; of an address that no range holds nothing is known."""
    mapping = rules(
        ("  source: note", "  source: note\n  ip: note"),
        (
            "time_zone: UTC",
            "lookups:\n  ip_country: {table: _t.csv, from: ip, beside: source}\n"
            "  ip_place: {table: _t.csv, from: ip, beside: source}",
        ),
    )
    write_csv(tmp_path / "in" / "a.csv", [row(1, note="192.0.2.1"), row(2, note="10.0.0.1"), row(3, note="")])
    table = "first,last,country,latitude,longitude\n192.0.2.0/24,,DE,52.52,13.41\n"
    (tmp_path / "in" / "_t.csv").write_text(table)
    report = run(tmp_path / "in", tmp_path / "home", mapping)
    assert (report.accepted, report.rejected, report.files) == (3, 0, 1)
    stored = pq.read_table(shop_log(tmp_path / "home").folder / "events")
    assert stored["ip_country"].to_pylist() == ["DE", None, None]
    assert stored["ip_place"].to_pylist() == [place_at(52.52, 13.41), None, None]
    assert Places(tmp_path / "home", "ecommerce", "shop").ip_ranges.read_text() == table


def test_a_table_without_places_cannot_fill_one(tmp_path: Path) -> None:
    mapping = rules(
        ("  source: note", "  source: note\n  ip: note"),
        ("time_zone: UTC", "lookups: {ip_place: {table: _t.csv, from: ip, beside: source}}"),
    )
    source = write_csv(tmp_path / "a.csv", rows(1))
    (tmp_path / "_t.csv").write_text("first,last,country\n192.0.2.0/24,,DE\n")
    with pytest.raises(InvalidInput, match="no latitude and longitude"):
        run(source, tmp_path / "home", mapping)
    assert not Places(tmp_path / "home", "ecommerce", "shop").ip_ranges.exists()


def test_progress_is_told_in_bytes_and_words(tmp_path: Path) -> None:
    told: list[tuple[float, float, str]] = []
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / "in" / name, rows(*(range(10) if name == "a.csv" else range(10, 20))))
    run(tmp_path / "in", tmp_path / "home", progress=lambda *said: told.append(said))
    assert told[0][0] == 0
    assert told[-1][0] < told[-1][1] == sum(path.stat().st_size for path in (tmp_path / "in").iterdir())
    assert told[-1][2] == "20 rows read, b.csv"


def test_parquet_and_csv_give_the_same_events(tmp_path: Path) -> None:
    lines = rows(*range(30))
    write_csv(tmp_path / "a.csv", lines)
    types = {"amount": pa.float64(), "at": pa.timestamp("ms"), "fraud": pa.int8()}
    write_parquet(tmp_path / "b.parquet", lines, **types)
    run(tmp_path / "a.csv", tmp_path / "one")
    run(tmp_path / "b.parquet", tmp_path / "two")
    assert events(tmp_path / "one") == events(tmp_path / "two")
