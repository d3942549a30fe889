"""Steps made on another machine: between releases that are here they are repeated soon, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from fradect.adapters.mirror import Mirror
from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.releases_shared import SharedReleases
from fradect.errors import Unavailable
from fradect.objects import Content
from fradect.rollout import Rollout, Step, promoted, rolled_back, shadowed, widened
from tests.factories_decision import toy_release

OF = ("ecommerce", "demo")
STEP = Step("tried", "ann", "a test", 1)
FIRST, SECOND, THIRD = (toy_release(review=review) for review in (300, 400, 500))


class Counted(FolderObjects):
    """A folder that counts what is read of it, and can be away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads, self.is_away = 0, False

    def read(self, key: str) -> Content | None:
        self.reads += 1
        if self.is_away:
            raise Unavailable("the store is away")
        return super().read(key)


class World:
    """A machine where releases are moved, and one that follows."""

    def __init__(self, root: Path) -> None:
        self.there = SharedReleases(Mirror(root / "there", FolderObjects(root / "store")))
        for release in (FIRST, SECOND, THIRD):
            self.there.save(release)
        self.there.promote(*OF, FIRST.id)
        self.store = Counted(root / "store")
        self.here = SharedReleases(Mirror(root / "here", self.store))
        self.home = ReleasesFolder(root / "here")
        self.fetch()

    def fetch(self) -> None:
        for found in self.here.follow():
            self.here.take(*found)

    def move(self, step: Any, *args: Any) -> Rollout:
        now = self.there.rollout(*OF)
        after: Rollout = step(now, *args, STEP)
        self.there.move(*OF, after)
        return after


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_wider_promoted_and_back_are_repeated(world: World) -> None:
    world.move(shadowed, SECOND.id)
    world.fetch()
    for step, args in ((widened, (500,)), (promoted, ()), (rolled_back, ())):
        after = world.move(step, *args)
        world.here.follow_steps()
        assert world.home.rollout(*OF) == after


def test_another_release_is_left_to_what_fetches(world: World) -> None:
    before = world.home.rollout(*OF)
    after = world.move(shadowed, SECOND.id)
    world.here.follow_steps()
    assert world.home.rollout(*OF) == before
    world.fetch()
    assert world.home.rollout(*OF) == after


def test_what_did_not_change_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list(world.store.list("champions/"))
    monkeypatch.setattr(world.store, "list", lambda _prefix: iter(listed))
    world.here.follow_steps()
    world.store.reads = 0
    for _ in range(5):
        world.here.follow_steps()
    assert world.store.reads == 0


def test_a_step_that_an_older_fetch_undid_is_taken_again(world: World) -> None:
    world.move(shadowed, SECOND.id)
    world.fetch()
    old = world.home.rollout(*OF)
    assert old is not None
    after = world.move(rolled_back)
    world.here.follow_steps()
    world.here.take(*OF, old)
    assert world.home.rollout(*OF) == after, "what was fetched is not the latest any more"
    world.home.repeat(*OF, old)
    world.here.follow_steps()
    assert world.home.rollout(*OF) == after


def test_a_damaged_pointer_or_a_store_that_is_away_changes_nothing(world: World, tmp_path: Path) -> None:
    before = world.home.rollout(*OF)
    (tmp_path / "store" / "champions" / "ecommerce" / "demo.json").write_text("{")
    world.here.follow_steps()
    assert world.home.rollout(*OF) == before
    world.store.is_away = True
    with pytest.raises(Unavailable):
        world.here.follow_steps()
    assert world.home.rollout(*OF) == before
