"""`fradect release waiting`, then approve: a second person sees the card, and agrees to that one."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.commands import release as release_commands
from flows.wiring import Workshop, workshop
from fradect.errors import Conflict
from fradect.four_eyes import NeedsSecond
from fradect.moves import Act, propose, standing, step
from fradect.rollout import named
from fradect.types import Verdict
from tests.factories_decision import toy_release

OF = ("ecommerce", "demo")
FIRST, SECOND = toy_release(), toy_release(review=400)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    monkeypatch.setenv("FRADECT_FOUR_EYES", "other, demo")
    made = workshop(*OF)
    for release in (FIRST, SECOND):
        made.releases.save(release)
    made.releases.promote(*OF, FIRST.id)
    return made


def _run(*words: str) -> Result:
    ran = CliRunner().invoke(release_commands.app, list(words))
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def test_what_waits_is_shown_with_its_card_and_agreed_to_by_its_digest(shop: Workshop, tmp_path: Path) -> None:
    file = tmp_path / "waiting.json"
    assert "Nothing waits" in _run("waiting", "--json", str(file)).output
    assert json.loads(file.read_text()) == {"proposed": None, "approved": None}
    now = standing(shop.releases, *OF)
    wished = named(now, SECOND.id, step("named", Act("cyd", "it saves more")))
    card = [Verdict("improvement", "pass", "above by 0.01"), Verdict("fairness", "not enough data", "12 events")]
    propose(shop.releases, *OF, wished, card)
    shown = " ".join(_run("waiting", "--json", str(file)).output.split())
    for word in (SECOND.id, "as champion", "cyd", "it saves more", "above by 0.01", "not enough data", "12 events"):
        assert word in shown
    evidence = json.loads(file.read_text())["proposed"]["evidence"]
    assert evidence in shown
    with pytest.raises(Conflict, match="another one now"):
        _run("approve", SECOND.id, "--evidence", "0" * 64)
    _run("approve", SECOND.id, "--evidence", evidence)
    assert "the next look takes it" in _run("waiting").output
    assert standing(shop.releases, *OF).approved is not None


def test_no_way_of_a_workshop_leads_past_the_second_person(shop: Workshop) -> None:
    now = standing(shop.releases, *OF)
    with pytest.raises(NeedsSecond, match="two people"):
        shop.releases.move(*OF, named(now, SECOND.id, step("named", Act("cyd", "at once"))))
    assert shop.releases.champion(*OF) == FIRST.id
    for release in (FIRST, SECOND):
        shop.releases.promote("ecommerce", "unasked", release.id)
    assert shop.releases.champion("ecommerce", "unasked") == SECOND.id
