"""Rollouts in a folder and in a shared store: each step once, whole, and what it replaced is kept."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fradect.adapters.mirror import Mirror
from fradect.adapters.objects_folder import FolderObjects
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.adapters.releases_shared import SharedReleases
from fradect.errors import Conflict, FradectError, NotFound
from fradect.ports import ReleaseStore
from fradect.rollout import Stage, Step, named, promoted, rolled_back, shadowed, widened
from tests.factories_decision import toy_release

FIRST, SECOND, THIRD = (toy_release(review=review) for review in (300, 400, 500))
OF = ("ecommerce", "demo")

Open = Callable[[], ReleaseStore]


def step(what: str, at: int = 1) -> Step:
    return Step(what, "ann", "a test", at)


@pytest.fixture(params=["folder", "shared"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """The same store, opened again: by another process, as it were."""
    store = FolderObjects(tmp_path / "store")
    homes = iter(range(99))

    def once() -> ReleaseStore:
        if request.param == "folder":
            return ReleasesFolder(tmp_path / "home")
        return SharedReleases(Mirror(tmp_path / f"home-{next(homes)}", store))

    first = once()
    for release in (FIRST, SECOND, THIRD):
        first.save(release)
    first.promote(*OF, FIRST.id)
    return once


def test_the_way_of_a_challenger_is_kept_step_by_step(opened: Open) -> None:
    store = opened()
    store.save(SECOND)
    now = store.rollout(*OF)
    assert now is not None
    now = shadowed(now, SECOND.id, step("shadow", 2))
    store.move(*OF, now)
    for share in (500, 2_500):
        now = widened(now, share, step(f"canary {share}", 3))
        store.move(*OF, now)
        assert opened().rollout(*OF) == now
    store.move(*OF, promoted(now, step("promoted", 4)))
    there = opened()
    assert there.champion(*OF) == SECOND.id
    assert there.rollouts()[OF].previous == FIRST.id
    told = [(one.number, one.release, one.stage, one.share) for one in there.history(*OF)]
    assert told == [
        (1, FIRST.id, None, 0),
        (2, FIRST.id, Stage.SHADOW, 0),
        (3, FIRST.id, Stage.CANARY, 500),
        (4, FIRST.id, Stage.CANARY, 2_500),
        (5, SECOND.id, None, 0),
    ]


def test_of_two_who_step_at_once_one_does(opened: Open) -> None:
    stores = [opened() for _ in range(4)]
    for store in stores:
        store.save(SECOND)
        store.save(THIRD)
    now = stores[0].rollout(*OF)
    assert now is not None
    ready, done = threading.Barrier(len(stores)), []

    def try_it(store: ReleaseStore, at: int) -> None:
        ready.wait()
        challenger = (SECOND.id, THIRD.id)[at % 2]
        try:
            store.move(*OF, shadowed(now, challenger, step("shadow", at)))
        except Conflict:
            return
        done.append((challenger, at))

    threads = [threading.Thread(target=try_it, args=(store, at)) for at, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = opened().rollout(*OF)
    assert after is not None
    assert [(after.challenger, after.since)] == done
    assert after.number == now.number + 1


def test_a_challenger_that_is_not_there_is_not_pointed_at(opened: Open) -> None:
    store = opened()
    now = store.rollout(*OF)
    assert now is not None
    with pytest.raises(NotFound):
        store.move(*OF, shadowed(now, "rel_0123456789abcdef", step("shadow")))
    assert opened().rollout(*OF) == now


def test_nobody_is_named_over_a_challenger_that_is_tried(opened: Open) -> None:
    store = opened()
    store.save(SECOND)
    store.save(THIRD)
    now = store.rollout(*OF)
    assert now is not None
    store.move(*OF, shadowed(now, SECOND.id, step("shadow")))
    with pytest.raises(Conflict, match="withdraw"):
        opened().promote(*OF, THIRD.id)


def test_back_to_a_champion_that_was_damaged_meanwhile_is_refused(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    for release in (FIRST, SECOND):
        store.save(release)
        store.promote(*OF, release.id)
    (tmp_path / "releases" / FIRST.id / "model.json").write_text("{}")
    now = store.rollout(*OF)
    assert now is not None
    with pytest.raises(FradectError, match="do not match its name"):
        store.move(*OF, rolled_back(now, step("back")))
    assert store.champion(*OF) == SECOND.id


def test_a_pointer_from_before_there_were_rollouts_is_one(tmp_path: Path) -> None:
    store = ReleasesFolder(tmp_path)
    store.save(FIRST)
    store.save(SECOND)
    pointer = tmp_path / "releases" / "champions" / "ecommerce" / "demo.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(f'{{"release":"{FIRST.id}"}}')
    now = store.rollout(*OF)
    assert now is not None
    assert (now.release, now.number, now.challenger) == (FIRST.id, 0, None)
    store.move(*OF, named(now, SECOND.id, step("named")))
    assert [one.release for one in store.history(*OF)] == [FIRST.id, SECOND.id]
