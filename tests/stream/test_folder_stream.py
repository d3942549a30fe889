"""A folder as a stream: files taken once they are complete, gone on with where they were left, refused rows told."""

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters.folder_stream import DONE, FolderSource, Pace, QuarantineLetters
from fradect.errors import InvalidInput, Unavailable
from fradect.faults import Reason
from fradect.intake import Reject
from fradect.stream import Letter, Options, Place, Progress
from tests.adapters.factories_import import quarantined, row, rows, write_csv, write_parquet
from tests.stream.factories_stream import Shop, message, open_shop, verdict

AT_ONCE = Pace(rows=4, settled=0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path / "home") as made:
        yield made


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "outcomes").mkdir(parents=True)
    return tmp_path / "inbox"


def tail(shop: Shop, inbox: Path, pace: Pace = AT_ONCE, **given: Any) -> Progress:
    source = FolderSource(inbox, shop.mapping, shop.store().positions, pace)
    dead = QuarantineLetters(shop.home / "quarantine" / "ecommerce" / "shop", source.name_of)
    return shop.ingest(source, Options(tries=1), dead=dead, **given).run(once=True)


def told(shop: Shop) -> list[tuple[str, int, str, str]]:
    return [(x["source"], x["row"], x["field"], x["reason"]) for x in quarantined(shop.home)]


def test_every_kind_of_file_is_taken_in_order_of_name(shop: Shop, inbox: Path) -> None:
    write_parquet(inbox / "c.parquet", rows(0, 1, 2))
    write_csv(inbox / "a.csv", rows(*range(3, 12)))
    (inbox / "b.jsonl").write_bytes(b"\n".join([message(12), b"", message(13)]) + b"\n")
    (inbox / "d.csv.gz").write_bytes(gzip.compress((write_csv(inbox / ".d.csv", rows(14, 15))).read_bytes()))
    (inbox / "e.ndjson.gz").write_bytes(gzip.compress(message(16)))
    done = tail(shop, inbox)
    assert (done.events, done.dead) == (17, 0)
    in_order = sorted(shop.events(), key=lambda event_id: shop.events()[event_id])
    assert in_order == [f"t{i}" for i in (*range(3, 14), 0, 1, 2, 14, 15, 16)]
    assert {position for *_, position in shop.positions()} == {DONE}
    assert tail(shop, inbox).events == 0
    shop.check()


def test_outcomes_come_in_a_folder_of_their_own(shop: Shop, inbox: Path) -> None:
    write_csv(inbox / "a.csv", [row(i, fraud="") for i in range(6)])
    known = {"kind": "fraud", "value": "1", "known_at": "2024-03-20T00:00:00Z"}
    write_csv(inbox / "outcomes" / "b.csv", [{"event_id": "t1", **known}, {"event_id": "", **known}])
    (inbox / "outcomes" / "c.jsonl").write_bytes(verdict(2, kind="return") + b"\n")
    moment = pa.array([1_710_000_000_000_000], pa.timestamp("us", "UTC"))
    columns = {"id": ["t3"], "kind": ["fraud"], "value": [False], "known_at": moment}
    pq.write_table(pa.table(columns), inbox / "outcomes" / "d.parquet")
    tail(shop, inbox)
    assert {about: value for about, (value, _) in shop.outcomes().items()} == {
        ("t1", "fraud"): True,
        ("t2", "return"): True,
        ("t3", "fraud"): False,
    }
    assert told(shop) == [("outcomes/b.csv", 2, "event_id", "required value missing")]
    shop.check()


def test_rows_that_cannot_be_taken_are_told_with_file_and_row(shop: Shop, inbox: Path) -> None:
    source = write_csv(inbox / "a.csv", [row(0), row(1, amount="-1"), row(2), row(3), row(4), row(5, currency="DM")])
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:3], lines[3] + ",more", *lines[4:], "t9,short"]) + "\n")
    (inbox / "b.jsonl").write_bytes(b"\n\n" + message(7) + b"\nnonsense\n")
    tail(shop, inbox)
    assert set(shop.events()) == {"t0", "t3", "t4", "t7"}
    assert told(shop) == [
        ("a.csv", 2, "amount", "negative amount"),
        ("a.csv", 3, "", "wrong number of columns"),
        ("a.csv", 6, "currency", "unknown currency"),
        ("a.csv", 7, "", "wrong number of columns"),
        ("b.jsonl", 4, "", "not a JSON object"),
    ]
    shop.check()


def test_a_file_that_is_wrong_as_a_whole_is_told_and_does_not_keep_the_next_from_being_taken(
    shop: Shop, inbox: Path
) -> None:
    write_csv(inbox / "a.csv", [row(1, surprise="x"), row(2, surprise="x")])
    (inbox / "b.parquet").write_bytes(b"PAR1 no")
    (inbox / "c.csv").touch()
    (inbox / "d.jsonl.gz").write_bytes(gzip.compress(message(8) * 1000)[:-20])
    good = write_parquet(inbox / "e.parquet", rows(3, 4)).read_bytes()
    done = tail(shop, inbox)
    assert done.events == 2
    assert [(source, reason) for source, _, _, reason in told(shop)] == [
        ("a.csv", "column not mapped"),
        ("a.csv", "column not mapped"),
        ("b.parquet", "broken file"),
        ("c.csv", "broken file"),
        ("d.jsonl.gz", "broken file"),
    ]
    write_parquet(inbox / "b.parquet", rows(5))
    assert tail(shop, inbox).events == 1
    assert good == (inbox / "e.parquet").read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl"])
@pytest.mark.parametrize("step", ["applied", "saved"])
def test_a_file_is_gone_on_with_at_the_row_where_it_was_left(shop: Shop, inbox: Path, name: str, step: str) -> None:
    lines = [row(i, amount="-1") if i in (2, 5, 9) else row(i) for i in range(15)]
    if name.endswith(".jsonl"):
        (inbox / name).write_text("\n".join(map(json.dumps, lines)))
    else:
        (write_csv if name.endswith(".csv") else write_parquet)(inbox / name, lines)

    class Died(BaseException):
        pass

    left = [2]

    def die(reached: str) -> None:
        left[0] -= reached == step
        if not left[0]:
            raise Died

    with pytest.raises(Died):
        tail(shop, inbox, at=die)
    ((_, _, position),) = shop.positions()
    assert position == {"applied": 4, "saved": 8}[step]
    done = tail(shop, inbox)
    assert done.repeated == 0
    assert shop.events().keys() == {f"t{i}" for i in range(15)} - {"t2", "t5", "t9"}
    assert [r for _, r, _, _ in told(shop)] == [3, 6, 10]
    shop.check()


def test_a_copy_of_a_file_is_the_same_file_and_rows_that_came_before_are_no_news(shop: Shop, inbox: Path) -> None:
    write_csv(inbox / "a.csv", rows(1, 2))
    write_csv(inbox / "b.csv", rows(1, 2))
    write_csv(inbox / "c.csv", rows(2, 3))
    done = tail(shop, inbox)
    assert (done.events, done.repeated, done.dead) == (3, 1, 0)


def test_what_is_still_being_written_or_hidden_is_left_alone(shop: Shop, inbox: Path) -> None:
    for name in (".a.csv", "_b.csv", "c.csv.tmp", "d.txt"):
        write_csv(inbox / name, rows(1))
    source = FolderSource(inbox, shop.mapping, dict, Pace(settled=0.5))
    assert source.poll(0) is None
    assert source.lag() == {("inbox", 0): 0}
    growing = write_csv(inbox / "e.csv", rows(1, 2))
    assert source.poll(0) is None
    assert source.is_caught_up is False
    assert source.lag() == {("inbox", 0): 1}
    with growing.open("a") as file:
        file.write(growing.read_text().splitlines()[1].replace("t1", "t3") + "\n")
    assert source.poll(0) is None
    os.utime(growing, (time.time() - 1, time.time() - 1))
    delivery = source.poll(0)
    assert delivery is not None
    assert delivery.size == 3


def test_from_a_file_in_place_to_the_state_in_under_two_seconds(shop: Shop, inbox: Path) -> None:
    source = FolderSource(inbox, shop.mapping, shop.store().positions)
    stopped = threading.Event()
    thread = threading.Thread(target=lambda: shop.ingest(source).run(stop=stopped.is_set))
    thread.start()
    try:
        staged = write_csv(inbox / "a.csv.tmp", rows(1, 2))
        time.sleep(0.3)
        placed = time.monotonic()
        staged.rename(inbox / "a.csv")
        while not shop.state.learnt() and time.monotonic() < placed + 10:
            time.sleep(0.02)
        took = time.monotonic() - placed
    finally:
        stopped.set()
        thread.join(20)
    assert shop.state.numbers().keys() == {"t1", "t2"}
    assert took < 5, took  # a second and a half on a quiet machine
    shop.check()


def test_a_folder_that_is_not_there_is_named(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere is no folder"):
        FolderSource(tmp_path / "nowhere", shop.mapping, dict)


def test_quarantine_that_cannot_be_written_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("in the way")
    letter = Letter(Place("digest", 0, 1), Reject(2, None, "amount", Reason.NEGATIVE), None, 1, 0)
    with pytest.raises(Unavailable):
        QuarantineLetters(tmp_path / "quarantine", str).bury([letter])
