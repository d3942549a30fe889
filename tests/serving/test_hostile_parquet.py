"""Parquet files that want to break their reader: they break another process, and what comes of it is a refusal."""

import io
import os
import signal
import subprocess
import time
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.errors import InvalidInput
from serving import batch_parquet, child
from serving.batch_parquet import Broken
from serving.parquet_words import Wanted, encoded

ROWS = 400
_MUTANTS = """
import io, os, random, sys, signal
from serving import parquet_child
from serving.child import bound
from serving.parquet_words import Wanted
whole = sys.stdin.buffer.read()
ends = {}
def outcome(data):
    bound(1 << 30)
    signal.alarm(20)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    last = list(parquet_child.answer(Wanted(len(data), 0), io.BytesIO(data)))[-1]
    os._exit(10 if last.refused is None else 11)
for seed in range(int(sys.argv[1])):
    drawn = random.Random(seed)
    data = bytearray(whole)
    foot = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    begin, end = (4, foot) if seed % 3 == 0 else (foot, len(data) - 8)
    for _ in range(1 + seed % 4):
        data[drawn.randrange(begin, end)] ^= 1 << drawn.randrange(8)
    if seed % 7 == 0:
        data = data[: drawn.randrange(len(data))] + data[-8:]
    pid = os.fork()
    if not pid:
        outcome(bytes(data))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def _usual(rows: int = ROWS) -> dict[str, Any]:
    return {
        "transaction.transaction_id": [f"t{n}" for n in range(rows)],
        "transaction.amount": [n * 100 for n in range(rows)],
        "transaction.currency": ["RUB"] * rows,
        "transaction.customer_id": [f"c{n % 7}" for n in range(rows)],
        "context.channel": ["web"] * rows,
    }


def _written(columns: dict[str, Any], **options: Any) -> bytes:
    held = io.BytesIO()
    pq.write_table(pa.table(columns), held, **options)
    return held.getvalue()


def _foot(whole: bytes) -> int:
    """Where the file begins to speak of itself."""
    return len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")


def _read(data: bytes) -> int | None:
    """How many rows come of it; None when it is refused."""
    file = io.BytesIO(data)
    try:
        batch_parquet.count(file)
        return sum(1 for _ in batch_parquet.rows(file, 0, 0))
    except (InvalidInput, Broken):
        return None


def test_hundreds_of_damaged_files_are_read_or_refused_and_hang_nothing() -> None:
    whole = _written(_usual(), row_group_size=150)
    held = child.started(_MUTANTS)
    ran = subprocess.run(
        [*held["args"], "300"],
        cwd=held["cwd"],
        env=held["env"],
        input=whole,
        capture_output=True,
        timeout=120,
        check=True,
    )
    ends = Counter(int(line) for line in ran.stdout.split())
    assert ends.total() == 300
    assert ends[11] > 100, "most of them are refused in words"
    assert not ends[-signal.SIGALRM], "none takes for ever"
    assert not ends[1], "whatever its parser raises is a refusal in words"


@pytest.mark.parametrize("cut", [0, 8, 5_000])
def test_a_file_that_was_cut_is_refused(cut: int) -> None:
    whole = _written(_usual())
    with pytest.raises(InvalidInput, match="again"):
        batch_parquet.count(io.BytesIO(whole[: cut % len(whole)]))


def test_a_foot_of_any_length_is_refused() -> None:
    whole = _written(_usual())
    for length in (0, 2**32 - 1):
        with pytest.raises(InvalidInput, match="again"):
            batch_parquet.count(io.BytesIO(whole[:-8] + length.to_bytes(4, "little") + whole[-4:]))


def _zigzag(number: int) -> bytes:
    number, held = (number << 1) ^ (number >> 63), bytearray()
    while number > 0x7F:
        held.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*held, number])


@pytest.mark.parametrize("said", [0, ROWS + 1, -(2**62)])
def test_what_a_file_says_of_its_rows_is_not_believed(said: int) -> None:
    whole = _written(_usual())
    body, foot = whole[: _foot(whole)], whole[_foot(whole) : -8]
    lie = foot.replace(_zigzag(ROWS), _zigzag(said))
    assert lie != foot
    assert _read(body + lie + len(lie).to_bytes(4, "little") + b"PAR1") in (None, 0)
    first = foot.replace(_zigzag(ROWS), _zigzag(said), 1)
    assert _read(body + first + len(first).to_bytes(4, "little") + b"PAR1") in (None, 0)


def _swelling(texts: int, size: int) -> bytes:
    """Small as it lies there."""
    whole = _written(
        _usual(texts) | {"context.channel": ["x" * size] * texts}, use_dictionary=False, compression="zstd"
    )
    assert len(whole) < 1_000_000
    return whole


def test_a_row_group_that_says_it_is_huge_is_refused() -> None:
    with pytest.raises(InvalidInput, match="row group has more than"):
        batch_parquet.count(io.BytesIO(_swelling(270, 1_000_000)))


def test_pages_that_swell_are_refused_within_the_memory_that_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says of itself that it is small."""
    few = "from serving import parquet_child as it; it._MEMORY = 288 << 20; it.main()"
    monkeypatch.setattr(batch_parquet, "_BOOT", few)
    assert _read(_written(_usual())) == ROWS
    whole = _swelling(240, 1_000_000)
    body, foot = whole[: _foot(whole)], whole[_foot(whole) : -8]
    about = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(0)
    for size in {about.total_byte_size, *(about.column(i).total_uncompressed_size for i in range(5))}:
        if size > 1 << 20:
            foot = foot.replace(_zigzag(size), _zigzag(1_000))
    bomb = io.BytesIO(body + foot + len(foot).to_bytes(4, "little") + b"PAR1")
    assert batch_parquet.count(bomb) == 240
    with pytest.raises((InvalidInput, Broken), match=r"row group 0 cannot be read|code -6"):
        list(batch_parquet.rows(bomb, 0, 0))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", "code -11"),
        ("import sys; sys.stdout.buffer.write(b'\\x7f\\xff\\xff\\xff'); sys.stdout.flush()", "too much"),
        ("import sys; sys.stdout.buffer.write(b'\\x00\\x00\\x00\\x01\\xc1'); sys.stdout.flush()", "nobody understands"),
        ("import time; time.sleep(60)", "nothing comes"),
    ],
)
def test_a_reader_that_dies_lies_or_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    monkeypatch.setattr(batch_parquet, "_BOOT", code)
    monkeypatch.setattr(batch_parquet, "SECONDS", 0.7)
    began = time.monotonic()
    with pytest.raises(InvalidInput, match=said):
        batch_parquet.count(io.BytesIO(_written(_usual())))
    with pytest.raises(Broken, match=said):
        list(batch_parquet.rows(io.BytesIO(_written(_usual())), 0, 0))
    assert time.monotonic() - began < 20


def test_nothing_of_the_service_is_told_to_the_reader_and_it_ends_with_the_service() -> None:
    secrets = dict.fromkeys(("FRADECT_VAULT_KEY", "FRADECT_LEDGER_URL", "AWS_SECRET_ACCESS_KEY"), "x")
    os.environ.update(secrets)
    try:
        held = child.started(batch_parquet._BOOT)
    finally:
        for name in secrets:
            del os.environ[name]
    assert not secrets.keys() & held["env"].keys()
    reader = subprocess.Popen(**held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert reader.stdin is not None
    reader.stdin.write(encoded(Wanted(1_000, 0)))
    reader.stdin.close()
    assert reader.wait(30) == 1
    assert reader.stdout is not None
    reader.stdout.close()
