"""Rows of batches: whatever stands in a file, each row is read alone, from any place, and never more than once."""

import io
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.adapters.sealed_files import FRAME, SealedFiles
from fradect.errors import InvalidInput, NotFound, Refused
from fradect.jobs import MOST_ROW_BYTES, Format
from fradect.settings import PROJECT
from serving import batch_parquet
from serving.batch_rows import COLUMNS, NUMBERS, REQUIRED, Row, check_columns, csv_rows, id_in, ndjson
from serving.batch_uploads import _LineCount

HEAD = b"transaction.transaction_id,transaction.amount,transaction.currency,transaction.customer_id\n"


def test_the_page_names_every_column() -> None:
    page = (PROJECT / "docs" / "concepts" / "batch.md").read_text()
    named = re.search(r"those in bold are needed:\n\n(.*?)\n\n", page, re.DOTALL)
    assert named is not None
    words = [word.strip() for word in named[1].replace("\n", " ").split(",")]
    assert [word.strip("*") for word in words] == list(COLUMNS)
    assert [word.strip("*") for word in words if word.startswith("**")] == list(REQUIRED)
    assert {"transaction.amount"} == NUMBERS


LINES = st.lists(
    st.sampled_from([b'{"a":1}', b"", b"  ", b"[1]", b"{", b'{"a":1,"a":2}', b"\xff", b'{"a":NaN}', b"{" * 99_000]),
    max_size=12,
)


@given(lines=LINES, ending=st.sampled_from([b"\n", b"\r\n"]), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_lines_are_read_on_from_wherever_a_row_ended(lines: list[bytes], ending: bytes, cut: bool) -> None:
    content = ending.join(lines) + (b"" if cut else ending)
    rows = list(ndjson(io.BytesIO(content), 0, 0))
    assert len(rows) == sum(bool(line.strip()) for line in lines)
    _can_go_on(rows, lambda at, n: ndjson(io.BytesIO(content), at, n))
    good = [row for row in rows if row.problem is None]
    assert len(good) == lines.count(b'{"a":1}')
    counted = _LineCount(Format.NDJSON)
    counted.add(content)
    assert counted.total() >= len(rows)


def _can_go_on(rows: list[Row], read: Any) -> None:
    for n, row in enumerate(rows, 1):
        assert row.number == n
        rest = list(read(row.end, n))
        assert [(one.number, one.end, one.body) for one in rest] == [(o.number, o.end, o.body) for o in rows[n:]]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=8))
@settings(max_examples=60, deadline=None)
def test_csv_means_what_its_quotes_say(rows: list[tuple[str, str]]) -> None:
    quoted = ['"{}","{}",RUB,c'.format(*(cell.replace('"', '""') for cell in row)) for row in rows]
    content = HEAD + "".join(f"{line}\r\n" for line in quoted).encode()
    read = list(csv_rows(io.BytesIO(content), 0, 0))
    assert [row.body["transaction"].get("transaction_id", "") for row in read] == [first for first, _ in rows]
    _can_go_on(read, lambda at, n: csv_rows(io.BytesIO(content), at, n))
    counted = _LineCount(Format.CSV)
    for start in range(0, len(content), 7):
        counted.add(content[start : start + 7])
    assert counted.total() == len(rows)


def test_a_broken_row_of_csv_is_one_row() -> None:
    content = (
        HEAD + b"a,1,RUB\n" + b"b," + b"x" * (2 * MOST_ROW_BYTES) + b",RUB,c\nc,1.50,RUB,c\nd,-1,RUB,c\n\xff,1,RUB,c\n"
    )
    first, second, third, fourth, fifth = csv_rows(io.BytesIO(content), 0, 0)
    assert (str(first.problem), second.problem is None) == ("wrong number of columns; the first line names 4", False)
    assert third.body["transaction"]["amount"] == Decimal("1.50")
    assert fourth.body["transaction"]["amount"] == Decimal(-1)
    assert fifth.body["transaction"]["transaction_id"] == "\udcff"


def test_an_amount_that_is_no_number_is_told_by_its_column_and_its_text() -> None:
    told = list(csv_rows(io.BytesIO(HEAD + b'a,"12,50",RUB,c\nb,,RUB,c\nc,4111111111111111,RUB,c\n'), 0, 0))
    assert isinstance(told[0].problem, InvalidInput)
    assert told[0].problem.field == "transaction.amount"
    assert str(told[0].problem) == "column transaction.amount: '12,50' is no number; write it like 1999.90"
    assert id_in(told[0].body) == "a"
    assert [row.problem for row in told[1:]] == [None, None]


@pytest.mark.parametrize(
    ("line", "event_id"),
    [
        (b'{"transaction": {"transaction_id": "t1", "amount": NaN}}', "t1"),
        (b'{"type": "transaction", "data": {"transaction_id": "t2", "amount": 1e99999999999999999999}}', "t2"),
        (b'{"transaction": {"transaction_id": "4111111111111111", "amount": NaN}}', None),
        (b'{"transaction": {"transaction_id": "", "amount": NaN}}', None),
        (b'{"transaction": {"transaction_id": NaN}}', None),
        (b'{"transaction": {"transaction_id": "t3", "amount": ', None),
        (b'{"transaction": {"transaction_id": "t3", "transaction_id": "t4"}}', None),
    ],
)
def test_a_line_that_is_refused_keeps_an_id_that_is_one(line: bytes, event_id: str | None) -> None:
    (row,) = ndjson(io.BytesIO(line), 0, 0)
    assert row.problem is not None
    assert id_in(row.body) == event_id


def test_a_column_that_was_surely_meant_is_named() -> None:
    leaves = [path.rpartition(".")[2] for path in COLUMNS]
    for path, leaf in zip(COLUMNS, leaves, strict=True):
        if leaves.count(leaf) == 1:
            with pytest.raises(
                InvalidInput, match=re.escape(f"{leaf!r} is no path of a request; did you mean {path}?")
            ):
                check_columns([leaf])
    with pytest.raises(InvalidInput, match=r"did you mean transaction\.amount"):
        check_columns(["transaction.ammount"])
    with pytest.raises(InvalidInput, match="no path of a request; name columns so"):
        check_columns(["country"])


def _parquet(columns: dict[str, Any], **options: Any) -> io.BytesIO:
    held = io.BytesIO()
    pq.write_table(pa.table(columns), held, **options)
    return held


def _usual(n: int) -> dict[str, Any]:
    return {
        "transaction.transaction_id": [f"t{i}" for i in range(n)],
        "transaction.amount": [float(i) + 0.1 for i in range(n)],
        "transaction.currency": ["RUB"] * n,
        "transaction.customer_id": list(range(n)),
    }


def test_parquet_is_read_on_from_any_row() -> None:
    times = [datetime(2026, 1, 1, 12, i) for i in range(20)]  # noqa: DTZ001  as data frames hold them
    held = _parquet(_usual(20) | {"transaction.event_time": times}, row_group_size=6)
    rows = list(batch_parquet.rows(held, 0, 0))
    assert len(rows) == batch_parquet.count(held) == 20
    bought = rows[3].body["transaction"]
    assert (bought["amount"], bought["customer_id"]) == (Decimal("3.1"), "3")
    assert bought["event_time"] == "2026-01-01T12:03:00Z"
    for n in (5, 6, 19, 20):
        rest = list(batch_parquet.rows(held, rows[n - 1].end, n))
        assert [(one.number, one.end, one.body) for one in rest] == [(o.number, o.end, o.body) for o in rows[n:]]


def test_parquet_that_would_not_fit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nested"):
        batch_parquet.count(_parquet(_usual(1) | {"context.channel": [{"a": 1}]}))
    with pytest.raises(InvalidInput, match="no path"):
        batch_parquet.count(_parquet(_usual(1) | {"surprise": [1]}))
    long = _usual(3) | {"context.channel": ["x" * 20_000_000] * 3}
    with pytest.raises(InvalidInput, match="20000000 bytes"):
        list(batch_parquet.rows(_parquet(long), 0, 0))
    whole = _parquet(_usual(2000)).getvalue()
    broken = io.BytesIO(whole[:100] + b"\xff" * 400 + whole[500:])
    with pytest.raises(InvalidInput, match="again"):
        list(batch_parquet.rows(broken, 0, 0))


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME])
def test_a_sealed_file_reads_as_it_was_written_and_hides_it(tmp_path: Any, size: int) -> None:
    files, key, name = SealedFiles(tmp_path), bytes(range(32)), "upl_0123456789abcdef"
    clear = bytes(i % 251 for i in range(size))
    writer = files.new(name, key)
    for start in range(0, size, 50_000):
        writer.write(clear[start : start + 50_000])
    writer.close()
    with files.open(name, key) as raw:
        reader = io.BufferedReader(raw)
        assert reader.read() == clear
        for place in (size // 2, size, max(0, size - 3)):
            reader.seek(place)
            assert reader.read() == clear[place:]
    assert not size > 100 or clear[:64] not in (tmp_path / name).read_bytes()
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_a_sealed_file_that_was_changed_cut_or_mixed_up_is_refused(tmp_path: Any) -> None:
    files, key, name = SealedFiles(tmp_path), bytes(range(32)), "upl_0123456789abcdef"
    writer = files.new(name, key)
    writer.write(b"a" * (2 * FRAME + 5))
    writer.close()
    whole, frame = (tmp_path / name).read_bytes(), FRAME + 16
    flipped = whole[:10] + bytes([whole[10] ^ 1]) + whole[11:]
    swapped = whole[frame : 2 * frame] + whole[:frame] + whole[2 * frame :]
    for bad in (flipped, swapped, whole[: 2 * frame], whole[:-1], whole[frame:]):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(Refused), files.open(name, key) as raw:
            io.BufferedReader(raw).read()
    (tmp_path / name).write_bytes(whole)
    with pytest.raises(Refused), files.open(name, bytes(32)) as raw:
        raw.read(1)
    for path in ("upl_0", "../upl_0123456789abcdef", "upl_ffffffffffffffff"):
        with pytest.raises(NotFound):
            files.open(path, key)
