"""Shelves of several homes in one store: alike after push and pull, never a mixture, nothing unsent is lost."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.adapters.mirror import MANIFEST, FileFacts, Manifest, Mirror
from fradect.adapters.objects_folder import FolderObjects
from fradect.errors import Refused
from tests.factories_s3 import S3Server

SHELF = "evidence/rel_1"


def write(mirror: Mirror, files: dict[str, bytes]) -> None:
    for name, raw in files.items():
        path = mirror.home / SHELF / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_name(f".{path.name}")
        staging.write_bytes(raw)
        staging.replace(path)


def held(mirror: Mirror) -> dict[str, bytes]:
    root = mirror.home / SHELF
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("[!.]*") if p.is_file()}


def test_what_is_pushed_from_one_home_is_pulled_into_another(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store()
    first, second = Mirror(tmp_path / "first", store), Mirror(tmp_path / "second", store)
    write(first, {"card.md": b"card", "plots/roc.png": b"\x89PNG", "empty.json": b""})
    assert first.push(SHELF)
    assert second.pull(SHELF)
    assert held(second) == held(first)
    times = [(m.home / SHELF / "card.md").stat().st_mtime_ns for m in (first, second)]
    assert times[0] == times[1]
    s3.asked.clear()
    assert not first.push(SHELF)
    assert not second.push(SHELF)
    assert s3.asked == []
    assert not second.pull(SHELF)
    assert len(s3.asked) == 1


def test_what_is_done_twice_is_sent_once(s3: S3Server, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, s3.store())
    write(mirror, {"a.json": b"1", "b.json": b"2"})
    mirror.push(SHELF)
    write(mirror, {"b.json": b"2", "a.json": b"3"})
    s3.asked.clear()
    mirror.push(SHELF)
    sent = [path.rpartition("/")[2][:2] for method, path in s3.asked if method == "PUT"]
    assert sent == ["a.", "ma"]  # and the manifest


NAMES = st.sampled_from(["a.json", "b/c.parquet", "b/d", "log.json"])
FILES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=4)
STEPS = st.lists(st.tuples(st.integers(0, 1), st.one_of(FILES, st.sampled_from(["push", "pull"]))), max_size=12)


@given(STEPS)
@settings(max_examples=120)
def test_after_any_steps_of_two_homes_all_that_was_pushed_is_alike_and_unsent_work_is_there(
    steps: list[tuple[int, dict[str, bytes] | str]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = FolderObjects(Path(folder) / "store")
        homes = [Mirror(Path(folder) / str(i), store) for i in range(2)]
        unsent: list[dict[str, bytes]] = [{}, {}]
        shared: dict[str, bytes] = {}
        for who, step in steps:
            if isinstance(step, dict):
                write(homes[who], step)
                unsent[who] |= step
            elif step == "push":
                homes[who].push(SHELF)
                shared |= unsent[who]
                unsent[who] = {}
            else:
                homes[who].pull(SHELF)
                unsent[who] = {name: raw for name, raw in unsent[who].items() if shared.get(name) != raw}
            assert unsent[who].items() <= held(homes[who]).items()
        for who, mirror in enumerate(homes):
            mirror.push(SHELF)
            shared |= unsent[who]
        for mirror in homes:
            mirror.pull(SHELF)
            assert held(mirror) == shared


@pytest.mark.parametrize("at", ["push", "pull"])
def test_wherever_the_server_dies_the_other_home_sees_one_state_and_the_next_try_works(
    s3: S3Server, tmp_path: Path, at: str
) -> None:
    store = s3.store()
    first, second = Mirror(tmp_path / "first", store), Mirror(tmp_path / "second", store)
    old = {"a.json": b"old", "b.json": b"old"}
    write(first, old)
    first.push(SHELF)
    second.pull(SHELF)
    new = {"a.json": b"new", "b.json": b"new", "c.json": b"new"}
    write(first, new)
    if at == "pull":
        first.push(SHELF)
    broken = 0
    for _ in s3.breaks(lambda: (first.push if at == "push" else second.pull)(SHELF)):
        broken += 1
        assert held(second) == old
        if at == "push":
            second.pull(SHELF)
            assert held(second) == old
    assert broken > 3
    second.pull(SHELF)
    assert held(second) == new


def test_readers_of_an_older_manifest_still_find_its_files(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store()
    first, second = Mirror(tmp_path / "first", store), Mirror(tmp_path / "second", store)
    write(first, {"a.json": b"old"})
    first.push(SHELF)
    before = second.manifest(SHELF)
    write(first, {"a.json": b"new"})
    first.push(SHELF)
    staged = dict(second.fetch(SHELF, before.manifest.files, tmp_path))
    assert staged["a.json"].read_bytes() == b"old"


def test_replaced_files_go_when_nobody_can_be_reading_them_any_more(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = s3.store()
    mirror = Mirror(tmp_path, store)
    now = 1_000_000.0
    monkeypatch.setattr("fradect.adapters.mirror.time.time", lambda: now)
    for i in range(5):
        write(mirror, {"a.json": f"{i:03}".encode()})
        mirror.push(SHELF)
    assert len([f for f in store.list(SHELF) if "/a." in f.key]) == 5
    now += 86_401
    write(mirror, {"a.json": b"last"})
    mirror.push(SHELF)
    assert len([f for f in store.list(SHELF) if "/a." in f.key]) == 2


def test_a_damaged_object_is_not_taken(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path / "store")
    first, second = Mirror(tmp_path / "first", store), Mirror(tmp_path / "second", store)
    write(first, {"a.json": b"whole"})
    first.push(SHELF)
    stored = next(path for path in (tmp_path / "store" / SHELF).iterdir() if path.name.startswith("a."))
    stored.write_bytes(b"other")
    with pytest.raises(Refused, match=r"a\.json is damaged"):
        second.pull(SHELF)
    assert held(second) == {}


@pytest.mark.parametrize("path", ["../../keys/vault.json", "/etc/passwd", "a/../../b", ".hidden", "a//b", "a\\b", ""])
def test_a_manifest_that_leads_out_of_its_shelf_is_refused(s3: S3Server, tmp_path: Path, path: str) -> None:
    mirror = Mirror(tmp_path, s3.store())
    mirror.publish(
        SHELF, mirror.manifest(SHELF), {path: FileFacts(1, 1, "0" * 64)} if path else {"x": FileFacts(1, 1, "")}
    )
    if not path:
        mirror.store.put(f"{SHELF}/{MANIFEST}", b"{}x", mirror.manifest(SHELF).version)
    with pytest.raises(Refused, match=MANIFEST):
        mirror.pull(SHELF)
    assert held(mirror) == {}


def test_a_record_that_is_lost_costs_nothing_but_time(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path / "store")
    mirror = Mirror(tmp_path / "home", store)
    write(mirror, {"a.json": b"1"})
    mirror.push(SHELF)
    for record in (tmp_path / "home" / "store").rglob("*.json"):
        record.unlink()
    os.utime(mirror.home / SHELF / "a.json")
    mirror.pull(SHELF)
    assert not mirror.unsent(SHELF)
    assert mirror.manifest(SHELF).manifest == Manifest(mirror.manifest(SHELF).manifest.files)
