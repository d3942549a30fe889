"""Imports from S3: the same log as from a folder, one object at a time, and nothing half done."""

import io
from pathlib import Path
from typing import Any

import pytest

from fradect.adapters.importing import ImportOptions, ImportReport, import_from, import_path
from fradect.adapters.objects_s3 import S3Objects
from fradect.adapters.s3_supply import spooled
from fradect.errors import Conflict, InvalidInput, NotFound, Refused, Unavailable
from tests.adapters.factories_import import events, quarantined, row, rows, rules, snapshot, write_csv, write_parquet
from tests.factories_s3 import Answer, S3Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files in two folders, one row of them bad, and what is no data."""
    folder = tmp_path / "raw"
    write_csv(folder / "2024" / "a.csv", rows(1, 4, 7, 13))
    write_parquet(folder / "2024" / "b.parquet", rows(2, 3, 9))
    write_csv(folder / "2025" / "c.csv", [*rows(11), row(12, amount="many")])
    write_csv(folder / "_draft" / "d.csv", rows(20))
    (folder / "notes.txt").write_text("no data")
    return folder


def sent(server: S3Server, folder: Path, path: str = "in") -> tuple[S3Objects, str]:
    """The folder as objects below a path of a new bucket; their URL."""
    bucket = server.bucket()
    store = server.store(bucket, path)
    for file in folder.rglob("*"):
        if file.is_file():
            store.upload(file.relative_to(folder).as_posix(), io.BytesIO(file.read_bytes()))
    return store, f"s3://{bucket}/{path}"


FORGIVING = ImportOptions(max_rejected=0.9)


def brought(server: S3Server, url: str, home: Path, options: ImportOptions = FORGIVING) -> ImportReport:
    with spooled(url, server.access, home) as supply:
        return import_from(supply, rules(), home, options)


def left_behind(home: Path) -> list[Path]:
    return [path for path in (home / "tmp").rglob("*") if path.name.startswith(("spool", "object"))]


def downloads(server: S3Server) -> list[str]:
    return [path for method, path in server.asked if method == "GET" and path.count("/") > 2]


def test_it_makes_the_log_that_a_folder_makes(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    _, url = sent(s3, folder)
    there, here = tmp_path / "there", tmp_path / "here"
    by_folder = import_path(folder, rules(), here, FORGIVING)
    by_s3 = brought(s3, url, there)
    assert snapshot(there).keys() == snapshot(here).keys()
    assert events(there) == events(here)
    assert quarantined(there) == quarantined(here)
    assert (
        (by_s3.files, by_s3.accepted, by_s3.rejected)
        == (3, 8, 1)
        == (
            by_folder.files,
            by_folder.accepted,
            by_folder.rejected,
        )
    )
    assert not left_behind(there)


def test_what_was_imported_before_is_not_even_downloaded(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    store, url = sent(s3, folder)
    brought(s3, url, tmp_path / "home")
    before = snapshot(tmp_path / "home")
    s3.asked.clear()
    assert brought(s3, url, tmp_path / "home").skipped == 3
    assert downloads(s3) == []
    assert snapshot(tmp_path / "home") == before
    write_csv(folder / "2024" / "a.csv", rows(1, 4, 7, 13, 14))
    store.upload("2024/a.csv", io.BytesIO((folder / "2024" / "a.csv").read_bytes()))
    report = brought(s3, url, tmp_path / "home")
    assert [path.rpartition("/")[2] for path in downloads(s3)] == ["a.csv"]
    assert (report.accepted, report.duplicates, report.skipped) == (1, 4, 2)


def test_content_decides_not_where_it_lies(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    import_path(folder, rules(), tmp_path / "home", FORGIVING)
    _, url = sent(s3, folder, "another/place")
    before = snapshot(tmp_path / "home")
    assert brought(s3, url, tmp_path / "home").skipped == 3
    assert snapshot(tmp_path / "home") == before


def test_one_object_is_on_the_disk_at_a_time(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    _, url = sent(s3, folder)
    home = tmp_path / "home"
    with spooled(url, s3.access, home) as supply:
        held = [
            [path.name for path in left_behind(home) if path.is_file() and path.suffix != ".lock"]
            for _ in supply.wanted(lambda _digest: True)
        ]
    assert [len(files) for files in held] == [1, 1, 1]


def test_a_path_is_an_object_or_a_folder_never_a_beginning(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    store, url = sent(s3, folder)
    store.upload("2024-old/x.csv", io.BytesIO(b"id\n"))
    with spooled(f"{url}/2024/", s3.access, tmp_path) as supply:
        assert [s.source.name for s in supply.wanted(lambda _digest: True)] == ["a.csv", "b.parquet"]
    with spooled(f"{url}/2024/a.csv", s3.access, tmp_path) as supply:
        assert [s.source.name for s in supply.wanted(lambda _digest: True)] == ["a.csv"]
    with pytest.raises(InvalidInput, match="holds no file that ends in"), spooled(f"{url}/202", s3.access, tmp_path):
        pass
    with pytest.raises(NotFound, match="no such bucket"), spooled("s3://nowhere-at-all/x", s3.access, tmp_path):
        pass


def test_a_server_that_goes_away_midway_leaves_the_log_as_it_was(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    _, url = sent(s3, folder)
    home = tmp_path / "home"
    whole = brought(s3, url, tmp_path / "other").accepted
    for answered in range(4):
        s3.fuse = answered
        with pytest.raises(Unavailable, match="cannot be reached"):
            brought(s3, url, home)
        assert not (home / "log" / "ecommerce" / "shop" / "log.json").exists()
        assert not left_behind(home)
        s3.mend()
    assert brought(s3, url, home).accepted == whole


def test_an_object_replaced_between_listing_and_reading_is_not_taken(
    s3: S3Server, folder: Path, tmp_path: Path
) -> None:
    store, url = sent(s3, folder)
    with spooled(url, s3.access, tmp_path / "home") as supply:
        store.upload("2024/a.csv", io.BytesIO(b"other"))
        with pytest.raises(Conflict):
            import_from(supply, rules(), tmp_path / "home")


def test_a_spool_that_a_killed_import_left_goes_with_the_next(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    _, url = sent(s3, folder)
    left = tmp_path / "home" / "tmp" / "spool-0123"
    left.mkdir(parents=True)
    (left / "object-000000.csv").write_text("half")
    left.with_suffix(".lock").touch()
    with spooled(url, s3.access, tmp_path / "home"):
        assert not left.exists()
        with spooled(url, s3.access, tmp_path / "home"):  # another import's, which is at work, stays
            assert len(list((tmp_path / "home" / "tmp").glob("spool-*.lock"))) == 2
    assert not left_behind(tmp_path / "home")


def test_too_many_bad_rows_are_refused_as_from_a_folder(s3: S3Server, folder: Path, tmp_path: Path) -> None:
    write_csv(folder / "2025" / "c.csv", [row(i, amount="many") for i in range(9)])
    _, url = sent(s3, folder)
    with pytest.raises(Refused, match="Nothing was imported"):
        brought(s3, url, tmp_path / "home", ImportOptions())


def test_a_listing_of_several_pages_is_read_to_its_end(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store()
    for i in range(7):
        store.upload(f"{i}.csv", io.BytesIO(b"x"))

    def by_threes(environ: dict[str, Any], ask: Any) -> Answer:
        environ["QUERY_STRING"] += "&max-keys=3" if "list-type" in environ["QUERY_STRING"] else ""
        answer: Answer = ask()
        return answer

    s3.alter = by_threes
    assert [facts.key for facts in store.list("")] == [f"{i}.csv" for i in range(7)]
    assert len(s3.asked) >= 3
