"""A challenger decides for its share of customers, always the same ones, and for nobody once it is withdrawn."""

import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.judgement import Loaded
from fradect.ports import BatchFeatures
from fradect.release import Release
from fradect.rollout import WHOLE, Rollout, Step, promoted, rolled_back, shadowed, widened
from serving.batch import NoBatch
from serving.champions import Champions, Checks
from serving.trial import Trials, in_this_process
from serving.verified import Verified
from tests.factories_decision import purchase, toy_release

OF = ("ecommerce", "demo")
STEP = Step("tried", "ann", "a test", 1)
FIRST, SECOND, THIRD = (toy_release(review=review) for review in (300, 400, 500))
CUSTOMERS = [f"customer-{i}" for i in range(400)]


def part(message: bytes) -> bytes:
    return sha256(b"a key" + message).digest()


class World:
    """A home with a champion, a challenger beside it, and who follows them."""

    def __init__(self, home: Path) -> None:
        def none(_release: Loaded, _tenant: str) -> BatchFeatures:
            return NoBatch()

        self.store = ReleasesFolder(home)
        for release in (FIRST, SECOND):
            self.store.save(release)
        self.store.promote(*OF, FIRST.id)
        self.loaded: list[str] = []
        checks = Checks(Trials(in_this_process), Verified(home / "verified.json"))
        loaded = self.loaded
        self.followed: Callable[[], Champions] = lambda: Champions(
            self.store, none, lambda one, _: loaded.append(one.id), checks, part
        )
        self.champions = self.followed()
        self.champions.refresh()

    @property
    def now(self) -> Rollout:
        now = self.store.rollout(*OF)
        assert now is not None
        return now

    def move(self, step: Callable[[Rollout], Rollout]) -> None:
        self.store.move(*OF, step(self.now))
        self.champions.refresh()

    def who(self) -> dict[str, str]:
        deciding = self.champions.deciding(*OF)
        return {one: deciding.of(purchase(customer_id=one)).release.id for one in CUSTOMERS}

    def beside(self, challenger: Release) -> None:
        self.store.save(challenger)
        self.move(lambda now: shadowed(now, challenger.id, STEP))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_challenger_takes_its_share_keeps_it_and_gives_it_back(world: World) -> None:
    world.beside(SECOND)
    assert set(world.who().values()) == {FIRST.id}
    world.move(lambda now: widened(now, 2_500, STEP))
    quarter = world.who()
    assert 60 <= sum(one == SECOND.id for one in quarter.values()) <= 140
    world.move(lambda now: widened(now, 5_000, STEP))
    half = world.who()
    assert all(half[one] == SECOND.id for one in CUSTOMERS if quarter[one] == SECOND.id)
    assert world.who() == half
    world.move(lambda now: rolled_back(now, STEP))
    assert set(world.who().values()) == {FIRST.id}


def test_the_way_back_needs_nothing_to_be_loaded(world: World) -> None:
    world.beside(SECOND)
    world.move(lambda now: promoted(now, STEP))
    assert set(world.who().values()) == {SECOND.id}
    world.loaded.clear()
    world.move(lambda now: rolled_back(now, STEP))
    assert set(world.who().values()) == {FIRST.id}
    assert world.loaded == []


def test_after_a_restart_the_way_back_is_loaded_when_there_is_nothing_else_to_do(world: World) -> None:
    world.beside(SECOND)
    world.move(lambda now: promoted(now, STEP))
    again = world.followed()
    again.refresh()
    assert world.loaded[-1] == SECOND.id
    again.refresh()
    assert world.loaded[-1] == FIRST.id


def test_a_challenger_that_does_not_load_decides_nothing_and_says_why(world: World, tmp_path: Path) -> None:
    world.store.move(*OF, shadowed(world.now, SECOND.id, STEP))
    (tmp_path / "releases" / SECOND.id / "model.json").write_text("{}")
    world.champions.refresh()
    assert "does not load" in world.champions.idle[OF]
    world.champions.refresh()
    assert OF in world.champions.idle
    assert not world.champions.reasons
    assert set(world.who().values()) == {FIRST.id}


def test_a_challenger_with_other_windows_waits(world: World) -> None:
    world.beside(toy_release("ecommerce/handbook"))
    assert "other windows" in world.champions.idle[OF]
    assert set(world.who().values()) == {FIRST.id}


def test_a_step_back_is_in_force_at_once_while_another_release_loads(world: World) -> None:
    world.beside(SECOND)
    world.move(lambda now: widened(now, WHOLE, STEP))
    world.store.save(THIRD)
    loading, may_go_on = threading.Event(), threading.Event()

    def slow(_release: Loaded, _tenant: str) -> None:
        loading.set()
        assert may_go_on.wait(30)

    world.champions._prepare = slow
    world.store.promote("ecommerce", "another", THIRD.id)
    refreshing = threading.Thread(target=world.champions.refresh)
    refreshing.start()
    assert loading.wait(30)
    world.store.move(*OF, rolled_back(world.now, STEP))
    world.champions.turn_while_loading()
    assert set(world.who().values()) == {FIRST.id}
    may_go_on.set()
    refreshing.join()
    assert world.champions.of("ecommerce", "another").release.id == THIRD.id
    assert set(world.who().values()) == {FIRST.id}


def test_what_went_on_while_its_release_was_loaded_is_not_brought_back(world: World) -> None:
    world.beside(SECOND)
    world.store.save(THIRD)
    withdrawn: list[Rollout] = []

    def meanwhile(_release: Loaded, _tenant: str) -> None:
        after = rolled_back(world.now, STEP)
        world.store.move(*OF, after)
        assert world.champions.turn(*OF)
        withdrawn.append(after)

    world.champions._prepare = meanwhile
    world.store.move(*OF, rolled_back(world.now, STEP))
    world.store.move(*OF, shadowed(world.now, THIRD.id, STEP))
    world.champions.refresh()
    assert world.champions.deciding(*OF).rollout == withdrawn[0]


def test_a_step_to_what_is_not_loaded_is_left_to_whoever_loads(world: World) -> None:
    world.store.move(*OF, shadowed(world.now, SECOND.id, STEP))
    world.store.move(*OF, promoted(world.now, STEP))
    assert not world.champions.turn(*OF)
    assert not world.champions.turn("ecommerce", "nobody")
    assert set(world.who().values()) == {FIRST.id}
    world.champions.refresh()
    assert set(world.who().values()) == {SECOND.id}
