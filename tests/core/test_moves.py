"""What people do to a rollout: one step each, with a name and a reason, or one line that says why not."""

from pathlib import Path

import pytest

from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Conflict, NotFound
from fradect.moves import Act, Looked, approve, propose, refuse, roll_back, step
from fradect.rollout import named, promoted, shadowed, widened
from fradect.types import Verdict
from tests.factories_decision import toy_release

OF = ("ecommerce", "demo")
FIRST, SECOND = toy_release(), toy_release(review=400)
ANN, BOB = Act("ann", "a test"), Act("bob", "it looks good")


@pytest.fixture
def store(tmp_path: Path) -> ReleasesFolder:
    made = ReleasesFolder(tmp_path)
    for release in (FIRST, SECOND):
        made.save(release)
    made.move(*OF, named(None, FIRST.id, step("named", ANN)))
    return made


def _tried(store: ReleasesFolder, share: int = 0) -> None:
    now = store.rollout(*OF)
    assert now is not None
    now = shadowed(now, SECOND.id, step("shadow", ANN))
    store.move(*OF, now)
    if share:
        store.move(*OF, widened(now, share, step("canary", ANN)))


def test_a_challenger_is_withdrawn_and_then_there_is_no_way_further_back(store: ReleasesFolder) -> None:
    _tried(store, 500)
    after = roll_back(store, *OF, BOB)
    assert store.rollout(*OF) == after
    assert (after.release, after.challenger, after.share) == (FIRST.id, None, 0)
    assert after.step is not None
    assert (after.step.what, after.step.by, after.step.reason) == ("withdrawn", "bob", "it looks good")
    with pytest.raises(Conflict, match="no champion before"):
        roll_back(store, *OF, BOB)


def test_a_champion_gives_way_to_the_one_before(store: ReleasesFolder) -> None:
    _tried(store)
    now = store.rollout(*OF)
    assert now is not None
    store.move(*OF, promoted(now, step("promoted", ANN)))
    assert roll_back(store, *OF, Act("bob", "x" * 9_000)).release == FIRST.id
    last = store.history(*OF)[-1].step
    assert last is not None
    assert last.what == "rolled back"
    assert len(last.reason) == 500


def test_a_second_person_agrees_to_one_step_of_one_release(store: ReleasesFolder) -> None:
    wanted = Looked(SECOND.id)
    with pytest.raises(Conflict, match="nothing waits"):
        approve(store, *OF, wanted, BOB)
    _tried(store)
    now = store.rollout(*OF)
    assert now is not None
    waiting = propose(store, *OF, widened(now, 500, step("canary", ANN)), [Verdict("data", "pass", "enough")])
    assert (waiting.share, waiting.since) == (0, now.since), "the trial goes on as it was"
    with pytest.raises(Conflict, match="second person"):
        approve(store, *OF, wanted, ANN)
    with pytest.raises(Conflict, match="does not wait"):
        approve(store, *OF, Looked(FIRST.id), BOB)
    after = approve(store, *OF, wanted, BOB)
    assert after.approved is not None
    assert after.approved.by == "bob"
    assert roll_back(store, *OF, BOB).approved is None, "an approval is of one step"


def test_one_person_is_enough_to_say_no(store: ReleasesFolder) -> None:
    _tried(store)
    now = store.rollout(*OF)
    assert now is not None
    propose(store, *OF, widened(now, 500, step("canary", ANN)), [])
    after = refuse(store, *OF, Looked(SECOND.id), BOB)
    assert (after.challenger, after.proposed) == (None, None)


def test_a_tenant_that_nothing_decides_for_is_told_what_to_do(store: ReleasesFolder) -> None:
    with pytest.raises(NotFound, match="fradect promote"):
        roll_back(store, "ecommerce", "nobody", ANN)
