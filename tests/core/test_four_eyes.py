"""A store in which two have to agree: whom it asks, what it keeps from being done alone, and what never waits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Refused
from fradect.four_eyes import FourEyes, NeedsSecond
from fradect.moves import Act, Looked, approve, propose, roll_back, standing
from fradect.policy import Stages
from fradect.release import Release
from fradect.rollout import WHOLE, Rollout, Step, named, promoted, shadowed, split, widened
from tests.factories_decision import toy_release

OF = ("ecommerce", "demo")
STEP = Step("tried", "ann", "a test", 1_000)
BOB = Act("bob", "it looks good")
FIRST, SECOND = toy_release(), toy_release(review=400)


def careful() -> Release:
    """Its policy asks for two."""
    plain = toy_release(review=500)
    limits = replace(plain.policy.limits, stages=Stages(four_eyes=True))
    return replace(plain, policy=replace(plain.policy, limits=limits))


@pytest.fixture
def folder(tmp_path: Path) -> ReleasesFolder:
    made = ReleasesFolder(tmp_path)
    for release in (FIRST, SECOND, careful()):
        made.save(release)
    return made


def test_the_first_champion_and_the_shadow_need_nobody(folder: ReleasesFolder) -> None:
    store = FourEyes(folder, ["demo"])
    store.promote(*OF, FIRST.id)
    store.move(*OF, shadowed(standing(store, *OF), SECOND.id, STEP))
    assert standing(store, *OF).challenger == SECOND.id


@pytest.mark.parametrize(
    "step",
    [
        lambda now: widened(now, 500, STEP),
        lambda now: widened(now, WHOLE, STEP),
        lambda now: split(now, 500, 2_000, STEP),
        lambda now: promoted(now, STEP),
    ],
)
def test_what_lets_a_challenger_decide_waits_until_two_agreed(
    folder: ReleasesFolder, step: Callable[[Rollout], Rollout]
) -> None:
    store = FourEyes(folder, ["demo"])
    store.promote(*OF, FIRST.id)
    store.move(*OF, shadowed(standing(store, *OF), SECOND.id, STEP))
    before = standing(store, *OF)
    with pytest.raises(NeedsSecond, match="two people"):
        store.move(*OF, step(before))
    assert standing(store, *OF) == before
    propose(store, *OF, step(before), [])
    with pytest.raises(NeedsSecond):
        store.move(*OF, step(standing(store, *OF)))
    approve(store, *OF, Looked(SECOND.id), BOB)
    store.move(*OF, step(standing(store, *OF)))
    assert standing(store, *OF).proposed is None


def test_wider_and_back_need_nobody(folder: ReleasesFolder) -> None:
    folder.promote(*OF, FIRST.id)
    folder.move(*OF, shadowed(standing(folder, *OF), SECOND.id, STEP))
    folder.move(*OF, widened(standing(folder, *OF), 500, STEP))
    store = FourEyes(folder, ["demo"])
    store.move(*OF, widened(standing(store, *OF), 2_500, STEP))
    assert roll_back(store, *OF, BOB).challenger is None
    folder.promote(*OF, SECOND.id)
    assert roll_back(store, *OF, BOB).release == FIRST.id


@pytest.mark.parametrize(
    ("tenants", "asked"), [((), False), (("other",), False), (("demo", "other"), True), (("*",), True)]
)
def test_the_operator_says_whose_steps_wait(folder: ReleasesFolder, tenants: tuple[str, ...], *, asked: bool) -> None:
    store = FourEyes(folder, tenants)
    store.promote(*OF, FIRST.id)
    assert store.asks("demo", standing(store, *OF)) is asked
    if asked:
        with pytest.raises(NeedsSecond):
            store.promote(*OF, SECOND.id)
    else:
        store.promote(*OF, SECOND.id)
    assert store.champion(*OF) == (FIRST.id if asked else SECOND.id)


def test_the_champions_policy_asks_and_a_challengers_does_not(folder: ReleasesFolder) -> None:
    store = FourEyes(folder, ())
    store.promote(*OF, FIRST.id)
    store.promote(*OF, careful().id)
    with pytest.raises(NeedsSecond):
        store.promote(*OF, FIRST.id)


def test_a_champion_that_cannot_be_read_can_be_replaced(folder: ReleasesFolder, tmp_path: Path) -> None:
    folder.promote(*OF, careful().id)
    (tmp_path / "releases" / careful().id / "policy.json").write_text("{}")
    FourEyes(folder, ()).move(*OF, named(standing(folder, *OF), FIRST.id, STEP))
    assert folder.champion(*OF) == FIRST.id
    with pytest.raises(Refused):
        FourEyes(folder, ["demo"]).promote(*OF, SECOND.id)


def test_a_damaged_pointer_can_be_replaced(folder: ReleasesFolder, tmp_path: Path) -> None:
    folder.promote(*OF, FIRST.id)
    (tmp_path / "releases" / "champions" / "ecommerce" / "demo.json").write_text("{")
    FourEyes(folder, ["demo"]).move(*OF, named(None, SECOND.id, STEP))
    assert folder.champion(*OF) == SECOND.id


def test_a_pointer_from_before_there_were_steps_waits_too(folder: ReleasesFolder, tmp_path: Path) -> None:
    folder.promote(*OF, FIRST.id)
    pointer = tmp_path / "releases" / "champions" / "ecommerce" / "demo.json"
    pointer.write_text(f'{{"release":"{FIRST.id}"}}')
    with pytest.raises(NeedsSecond):
        FourEyes(folder, ["demo"]).promote(*OF, SECOND.id)
