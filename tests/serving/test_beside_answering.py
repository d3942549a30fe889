"""What goes on beside answering: chores that fail, a champion that is followed."""

import time
from hashlib import sha256
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Unavailable
from fradect.judgement import Loaded
from fradect.ports import BatchFeatures
from serving.batch import NoBatch
from serving.champions import Champions, Checks
from serving.housekeeping import Chore, Housekeeping
from serving.trial import Trials, in_this_process
from serving.verified import Verified
from tests.factories_decision import toy_release
from tests.serving.conftest import promote


def part(message: bytes) -> bytes:
    return sha256(message).digest()


def test_a_chore_that_fails_is_done_again_and_stops_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("fail")
        raise RuntimeError("no")

    keeping = Housekeeping([Chore("failing", 1, fail), Chore("other", 2, lambda: done.append("other"))])
    keeping.start()
    deadline = time.monotonic() + 10
    while done.count("other") < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    keeping.stop()
    assert done.count("fail") >= 2
    assert done.count("other") >= 1


@pytest.fixture
def prepared() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def champions(tmp_path: Path, prepared: list[tuple[str, str]]) -> Champions:
    def none(_release: Loaded, _tenant: str) -> BatchFeatures:
        return NoBatch()

    checks = Checks(Trials(), Verified(tmp_path / "verified.json"))
    return Champions(
        ReleasesFolder(tmp_path), none, lambda release, tenant: prepared.append((release.id, tenant)), checks, part
    )


def test_a_champion_is_prepared_and_swapped_whole(
    tmp_path: Path, champions: Champions, prepared: list[tuple[str, str]]
) -> None:
    with pytest.raises(Unavailable, match="promote"):
        champions.of("ecommerce", "demo")
    first = promote(tmp_path)
    assert champions.refresh()
    assert not champions.refresh()
    held = champions.of("ecommerce", "demo")
    other = toy_release("ecommerce/standard")
    store = ReleasesFolder(tmp_path)
    store.save(other)
    store.promote("ecommerce", "demo", other.id)
    assert champions.refresh()
    assert (held.release.id, champions.of("ecommerce", "demo").release.id) == (first, other.id)
    assert prepared == [(first, "demo"), (other.id, "demo")]


def test_preparation_that_fails_keeps_the_champion_out_and_is_tried_again(tmp_path: Path) -> None:
    promote(tmp_path)
    fails = [True]

    def prepare(_release: Loaded, _tenant: str) -> None:
        if fails.pop():
            raise Unavailable("the log is being written")

    def none(_release: Loaded, _tenant: str) -> BatchFeatures:
        return NoBatch()

    checks = Checks(Trials(in_this_process), Verified(tmp_path / "verified.json"))
    champions = Champions(ReleasesFolder(tmp_path), none, prepare, checks, part)
    champions.refresh()
    assert list(champions.reasons) == [("ecommerce", "demo")]
    fails.append(False)
    champions.refresh()
    assert champions.of("ecommerce", "demo")
    assert not champions.reasons
