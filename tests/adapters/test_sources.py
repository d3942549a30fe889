"""Files as rows with numbers, and what is wrong with files that are not whole."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fradect.adapters import sources
from fradect.adapters.sources import BrokenFile, column_names, find_sources, read
from fradect.errors import InvalidInput
from fradect.mapping_document import Dialect

PLAIN = Dialect()


def numbered(
    path: Path, columns: list[str], dialect: Dialect = PLAIN
) -> tuple[dict[int, tuple[object, ...]], list[int]]:
    """Rows by number, and the numbers of misfits."""
    rows: dict[int, tuple[object, ...]] = {}
    misfits: list[int] = []
    (source,) = find_sources(path)
    for piece in read(source, columns, dialect):
        for number, line in zip(piece.batch.rows.tolist(), piece.batch.records.to_pylist(), strict=True):
            rows[number] = tuple(line.values())
        misfits += piece.misfits.tolist()
    return rows, misfits


def test_rows_are_numbered_around_misfits_and_over_quoted_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\n1,2\n3\n"x\ny",4\n\n5,6,7\n8,9\n1,2,3\n')
    rows, misfits = numbered(path, ["a", "b"])
    assert rows == {1: (b"1", b"2"), 3: (b"x\ny", b"4"), 4: (b"", b""), 6: (b"8", b"9")}
    assert misfits == [2, 5, 7]
    assert column_names(find_sources(path)[0], PLAIN) == ["a", "b"]


def test_numbers_go_on_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_BLOCK", 64)
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{i},x\n" if i % 5 else f"{i}\n" for i in range(1, 201)))
    rows, misfits = numbered(path, ["b", "a"])
    assert misfits == list(range(5, 201, 5))
    assert rows == {i: (b"x", str(i).encode()) for i in range(1, 201) if i % 5}


def test_dialects_and_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a;b\nÄ;2\n".encode("latin-1"))
    latin = Dialect(delimiter=";", encoding="latin-1")
    assert column_names(find_sources(path)[0], latin) == ["a", "b"]
    assert numbered(path, ["a"], latin)[0] == {1: ("Ä".encode(),)}
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert column_names(find_sources(packed)[0], PLAIN) == ["a", "b"]
    assert numbered(packed, ["b"])[0] == {1: (b"2",)}


def test_parquet_rows_are_numbered_over_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_PER_BATCH", 7)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(20), "b": range(20)}), path, row_group_size=9)
    rows, misfits = numbered(path, ["b"])
    assert rows == {i + 1: (i,) for i in range(20)}
    assert misfits == []


def test_a_folder_is_read_in_order_of_name_without_what_is_no_data(tmp_path: Path) -> None:
    for name in ("b/2.csv", "a.csv", "b/1.parquet", ".hidden.csv", "_temporary/x.csv", "README.txt", "c.csv.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    found = find_sources(tmp_path)
    assert [source.name for source in found] == ["a.csv", "b/1.parquet", "b/2.csv", "c.csv.gz"]
    assert len({source.digest for source in found}) == 4


def test_what_cannot_be_imported_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        find_sources(tmp_path / "absent")
    with pytest.raises(InvalidInput, match="holds no file"):
        find_sources(tmp_path)
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(InvalidInput, match="ends in"):
        find_sources(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"a,a\n1,2\n"),
        ("a.csv", b"\xff\xfe,b\n"),
        ("a.csv.gz", b"not gzip"),
        ("a.csv.gz", gzip.compress(b"a,b\n")[:12]),
        ("a.parquet", b""),
        ("a.parquet", b"PAR1 and then nothing"),
    ],
)
def test_a_file_whose_columns_cannot_be_read_is_broken(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BrokenFile):
        column_names(find_sources(tmp_path)[0], PLAIN)


def test_a_file_that_ends_early_is_broken_and_says_where(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{i},{i * 7919 % 1000}\n" for i in range(50_000)).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BrokenFile, match="reading stopped after row"):
        list(read(find_sources(tmp_path)[0], ["0"], PLAIN))


def test_a_damaged_page_is_broken_and_the_footer_knows_how_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [str(i) for i in range(5_000)]}), path, compression="zstd")
    raw = bytearray(path.read_bytes())
    raw[40:400] = bytes(360)
    path.write_bytes(raw)
    with pytest.raises(BrokenFile) as caught:
        list(read(find_sources(path)[0], ["a"], PLAIN))
    assert caught.value.rows == 5_000


def test_nested_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [[1], [2]]}), path)
    with pytest.raises(BrokenFile, match="nested"):
        list(read(find_sources(path)[0], ["a"], PLAIN))
