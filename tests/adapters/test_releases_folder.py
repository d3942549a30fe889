"""Releases appear whole, are checked before they are parsed, and the champion is one pointer."""

import threading
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import InvalidInput, NotFound, Refused
from fradect.release import PARTS
from tests.factories_decision import toy_release


def test_a_saved_release_comes_back_equal(tmp_path: Path) -> None:
    release = toy_release()
    ReleasesFolder(tmp_path).save(release)
    again = ReleasesFolder(tmp_path).load(release.id)
    assert again == release
    assert again.id == release.id


def test_saving_twice_changes_nothing(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    store.save(toy_release())
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")}
    store.save(toy_release())
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")} == before
    assert store.ids() == (toy_release().id,)


@pytest.mark.parametrize("part", PARTS)
def test_one_changed_bit_in_any_part_is_refused_before_parsing(tmp_path: Path, part: str) -> None:
    store, release = ReleasesFolder(tmp_path), toy_release()
    store.save(release)
    path = tmp_path / "releases" / release.id / part
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Refused, match="do not match its name"):
        store.load(release.id)
    with pytest.raises(Refused):
        store.promote("ecommerce", "demo", release.id)
    assert store.champion("ecommerce", "demo") is None


def test_a_missing_part_is_refused_and_saving_again_heals(tmp_path: Path) -> None:
    store, release = ReleasesFolder(tmp_path), toy_release()
    store.save(release)
    (tmp_path / "releases" / release.id / "model.json").unlink()
    with pytest.raises(Refused, match=r"model\.json missing"):
        store.load(release.id)
    store.save(release)
    assert store.load(release.id) == release


def test_the_champion_is_who_was_promoted_last(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    first, second = toy_release(), toy_release(review=400)
    for release in (first, second):
        store.save(release)
    assert store.champion("ecommerce", "demo") is None
    store.promote("ecommerce", "demo", first.id)
    store.promote("ecommerce", "other", first.id)
    store.promote("ecommerce", "demo", second.id)
    assert store.champion("ecommerce", "demo") == second.id
    assert store.champions() == {("ecommerce", "demo"): second.id, ("ecommerce", "other"): first.id}


def test_readers_never_see_a_pointer_that_is_half_written(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    pair = [toy_release(), toy_release(review=400)]
    for release in pair:
        store.save(release)
    store.promote("ecommerce", "demo", pair[0].id)
    seen: set[str | None] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(store.champion("ecommerce", "demo"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for i in range(20):
        store.promote("ecommerce", "demo", pair[i % 2].id)
    done.set()
    watcher.join()
    assert seen <= {release.id for release in pair}


def test_a_damaged_pointer_says_so(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    store.save(toy_release())
    store.promote("ecommerce", "demo", toy_release().id)
    (tmp_path / "releases" / "champions" / "ecommerce" / "demo.json").write_bytes(b"{")
    with pytest.raises(Refused, match="damaged"):
        store.champion("ecommerce", "demo")
    assert store.champions() == {}


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 65])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    store = ReleasesFolder(tmp_path)
    with pytest.raises(InvalidInput):
        store.champion("ecommerce", name)
    with pytest.raises(InvalidInput):
        store.load(name)


def test_an_unknown_release_is_not_found_and_another_modules_is_refused(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    with pytest.raises(NotFound):
        store.load("rel_0123456789abcdef")
    store.save(toy_release())
    with pytest.raises(InvalidInput, match="is for ecommerce"):
        store.promote("financial", "demo", toy_release().id)
