"""Releases and champions of several homes: one pointer decides, and a release is whole before it points there."""

from pathlib import Path

import pytest

from fradect.adapters.mirror import Mirror
from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.releases_shared import SharedReleases
from fradect.adapters.shared_home import SharedHome
from fradect.errors import Conflict, InvalidInput, NotFound, Refused
from fradect.objects import ObjectStore
from tests.factories_decision import toy_release
from tests.factories_s3 import S3Server

FIRST, SECOND, THIRD = (toy_release(review=review) for review in (300, 400, 500))


@pytest.fixture
def store(s3: S3Server) -> ObjectStore:
    return s3.store()


def shared(home: Path, store: ObjectStore) -> SharedReleases:
    return SharedReleases(Mirror(home, store))


def test_what_is_promoted_in_one_home_is_champion_in_another(store: ObjectStore, tmp_path: Path) -> None:
    here, there = shared(tmp_path / "here", store), shared(tmp_path / "there", store)
    here.save(FIRST)
    assert there.champion("ecommerce", "demo") is None
    here.promote("ecommerce", "demo", FIRST.id)
    assert there.champion("ecommerce", "demo") == FIRST.id
    assert there.champions() == {("ecommerce", "demo"): FIRST.id}
    assert there.ids() == (FIRST.id,)
    assert there.load(FIRST.id) == FIRST
    assert ReleasesFolder(tmp_path / "there").load(FIRST.id) == FIRST
    with pytest.raises(NotFound):
        there.load("rel_0123456789abcdef")


def test_who_was_compared_with_a_champion_that_is_none_any_more_is_not_promoted(
    store: ObjectStore, tmp_path: Path
) -> None:
    here, there = shared(tmp_path / "here", store), shared(tmp_path / "there", store)
    for releases in (here, there):
        for release in (FIRST, SECOND, THIRD):
            releases.save(release)
    here.promote("ecommerce", "demo", FIRST.id)
    assert there.champion("ecommerce", "demo") == FIRST.id
    here.promote("ecommerce", "demo", SECOND.id)
    with pytest.raises(Conflict, match="promote again"):
        there.promote("ecommerce", "demo", THIRD.id)
    assert there.champion("ecommerce", "demo") == SECOND.id
    there.promote("ecommerce", "demo", THIRD.id)
    assert here.champion("ecommerce", "demo") == THIRD.id


def test_a_release_of_another_module_is_not_promoted(store: ObjectStore, tmp_path: Path) -> None:
    here = shared(tmp_path, store)
    here.save(FIRST)
    with pytest.raises(InvalidInput, match="not for financial"):
        here.promote("financial", "demo", FIRST.id)


def test_wherever_the_server_dies_a_champion_is_whole_or_not_champion(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    here = shared(tmp_path / "here", store)
    here.save(FIRST)
    here.promote("ecommerce", "demo", FIRST.id)
    here.save(SECOND)
    broken = 0
    for broken in s3.breaks(lambda: shared(tmp_path / "here", store).promote("ecommerce", "demo", SECOND.id)):
        there = shared(tmp_path / f"there-{broken}", store)
        assert there.champion("ecommerce", "demo") == FIRST.id
        assert there.load(FIRST.id) == FIRST
        assert ReleasesFolder(tmp_path / "here").champion("ecommerce", "demo") == FIRST.id
    assert broken > 8
    assert shared(tmp_path / "new", store).load(SECOND.id) == SECOND


def test_a_damaged_copy_here_is_replaced_by_the_stores(store: ObjectStore, tmp_path: Path) -> None:
    here = shared(tmp_path, store)
    here.save(FIRST)
    here.promote("ecommerce", "demo", FIRST.id)
    model = tmp_path / "releases" / FIRST.id / "model.json"
    model.write_bytes(model.read_bytes()[:-5])
    assert shared(tmp_path, store).load(FIRST.id) == FIRST


def test_a_release_that_was_changed_in_the_store_is_refused(tmp_path: Path) -> None:
    store = FolderObjects(tmp_path / "store")
    here = shared(tmp_path / "here", store)
    here.save(FIRST)
    here.promote("ecommerce", "demo", FIRST.id)
    stored = next((tmp_path / "store" / "releases" / FIRST.id).glob("policy.*.json"))
    stored.write_bytes(stored.read_bytes().replace(b"300", b"301"))
    with pytest.raises(Refused):
        shared(tmp_path / "there", store).load(FIRST.id)


def test_champions_of_a_home_from_before_the_store_are_sent(store: ObjectStore, tmp_path: Path) -> None:
    folder = ReleasesFolder(tmp_path / "here")
    folder.save(FIRST)
    folder.promote("ecommerce", "demo", FIRST.id)
    home = SharedHome(tmp_path / "here", store)
    assert home.releases.champion("ecommerce", "demo") == FIRST.id
    with home.working("ecommerce", "demo"):
        pass
    there = shared(tmp_path / "there", store)
    assert there.champion("ecommerce", "demo") == FIRST.id
    assert there.load(FIRST.id) == FIRST


def test_a_pointer_that_is_nonsense_says_so(store: ObjectStore, tmp_path: Path) -> None:
    store.put("champions/ecommerce/demo.json", b"{", None)
    with pytest.raises(Refused, match="damaged"):
        shared(tmp_path, store).champion("ecommerce", "demo")
    store.put("champions/ecommerce/bad name.json", b"{}", None)
    assert shared(tmp_path, store).follow() == []
