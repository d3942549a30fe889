"""What decides was verified: last when, and what becomes of it when it cannot be."""

from hashlib import sha256
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.judgement import Loaded, judge
from fradect.ports import BatchFeatures
from fradect.types import Action
from serving.batch import NoBatch
from serving.champions import Champions, Checks
from serving.trial import Trials, in_this_process
from serving.verified import DAY_SECONDS, Verified
from tests.factories_decision import purchase, vector_of
from tests.serving.conftest import promote


def part(message: bytes) -> bytes:
    return sha256(message).digest()


KEY = ("ecommerce", "demo")


class World:
    """A clock, and whether those who name the champions answer."""

    def __init__(self, home: Path) -> None:
        self.home, self.now, self.answers = home, 1_000_000.0, True

    def champions(self) -> Champions:
        def none(_release: Loaded, _tenant: str) -> BatchFeatures:
            return NoBatch()

        verified = Verified(self.home / "verified.json", lambda: self.now)
        checks = Checks(Trials(in_this_process), verified, lambda: self.answers)
        return Champions(ReleasesFolder(self.home), none, lambda _release, _tenant: None, checks, part)


@pytest.fixture
def world(tmp_path: Path) -> World:
    promote(tmp_path)
    return World(tmp_path)


def _degraded(champions: Champions) -> tuple[str, ...]:
    release = champions.of(*KEY).release
    judgement = judge(release, purchase(), vector_of(release.contract, 0.0), (), explain=True)
    assert judgement.action >= (Action.REVIEW if judgement.degraded else Action.APPROVE)
    return judgement.degraded


def test_for_a_week_the_last_verified_model_decides_then_the_rules_alone_until_it_is_verified(world: World) -> None:
    champions = world.champions()
    champions.refresh()
    world.answers = False
    world.now += 6.9 * DAY_SECONDS
    champions.verify()
    assert not champions.refresh()
    assert _degraded(champions) == ()
    assert champions.unverified_seconds() == pytest.approx(6.9 * DAY_SECONDS)
    world.now += 0.2 * DAY_SECONDS
    champions.verify()
    assert champions.refresh()
    assert _degraded(champions) == ("model",)
    assert not champions.refresh(), "it stays so, and is swapped once"
    world.answers = True
    champions.verify()
    assert champions.refresh()
    assert _degraded(champions) == ()


def test_a_restart_does_not_make_it_younger(world: World) -> None:
    world.champions().refresh()
    world.answers = False
    world.now += 8 * DAY_SECONDS
    again = world.champions()
    again.refresh()
    assert _degraded(again) == ("model",)


def test_bytes_that_went_bad_beneath_a_release_that_decides_count_as_not_verified(world: World) -> None:
    champions = world.champions()
    champions.refresh()
    model = world.home / "releases" / champions.of(*KEY).release.id / "model.json"
    model.write_bytes(model.read_bytes()[:-1])
    world.now += DAY_SECONDS
    champions.verify()
    assert champions.unverified_seconds() == DAY_SECONDS
    assert _degraded(champions) == ()


def test_a_damaged_note_is_as_good_as_none(world: World) -> None:
    (world.home / "verified.json").write_bytes(b"{")
    champions = world.champions()
    champions.refresh()
    assert champions.unverified_seconds() == 0.0
    assert _degraded(champions) == ()
