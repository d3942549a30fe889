"""A challenger goes as far as its trial lets it, over a home whose service has decided: nothing is trained here."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows import promote as promotion
from flows import rollout as rollout_module
from flows.commands import release as release_commands
from flows.evidence import Candidate, Look, last_look, leave
from flows.rollout import Moved, Split, Wish, go_on, look, look_everywhere
from flows.wiring import Workshop, workshop
from fradect.adapters.mlflow_registry import MlflowRegistry
from fradect.adapters.pairs_sql import SqlPairs
from fradect.adapters.shared_sql import open_shared
from fradect.errors import Conflict, InvalidInput, Refused
from fradect.four_eyes import FourEyes
from fradect.moves import Act, Looked, approve
from fradect.moves import roll_back as withdraw
from fradect.pairs import Pair
from fradect.policy import Guardrails, Limits, Stages
from fradect.release import Release
from fradect.rollout import Rollout, Stage
from fradect.types import Verdict
from tests.factories_decision import toy_release
from tests.factories_pairs import Trial, made
from tests.flows import rollout_client
from training.dataset import Boundaries
from training.fit import TrainingFacts

OF = ("ecommerce", "demo")
ANN = Act("ann", "")
QUICK = Stages(shadow_pairs=500, canary_decisions=200, hours=0.0, labels=False)
RAILS = Guardrails(least_decisions=150)


def _release(review: int, stages: Stages = QUICK) -> Release:
    plain = toy_release(review=review)
    return replace(plain, policy=replace(plain.policy, limits=Limits(guardrails=RAILS, stages=stages)))


FIRST, SECOND = _release(300), _release(400)
ALIKE = Trial()


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """Gates on history say what stands here."""
    said = [Verdict("improvement", "pass", "it is better")]
    monkeypatch.setattr(promotion, "_proven", lambda _shop, _now, _release_id: said[-1:])
    return said


@pytest.fixture
def shop(home: Path, proven: list[Verdict]) -> Workshop:
    """FIRST decides for the tenant; SECOND is there."""
    home.mkdir()
    assert proven
    made_shop = workshop(*OF)
    for release in (FIRST, SECOND):
        made_shop.releases.save(release)
    assert go_on(*OF, FIRST.id, Wish(ANN)).move == "promote", "there is nobody to be beside"
    return made_shop


def _now(shop: Workshop) -> Rollout:
    now = shop.releases.rollout(*OF)
    assert now is not None
    return now


def _begun(shop: Workshop, release: Release = SECOND) -> Rollout:
    assert go_on(*OF, release.id, Wish(ANN)).move == "shadow"
    return _now(shop)


def _decided(shop: Workshop, many: int, trial: Trial = ALIKE, seed: int = 1) -> Sequence[Pair]:
    """What the service leaves while the rollout stands as it does."""
    now = _now(shop)
    trial = replace(trial, share=now.share, at=now.since + 1, names=(now.challenger or "", now.release))
    engine = open_shared(shop.settings.ledger_url)
    pairs = made(many, trial, seed)
    SqlPairs(engine).record(pairs)
    engine.dispose()
    return pairs


def _looks(shop: Workshop, release_id: str = SECOND.id) -> Iterator[str]:
    for path in sorted((shop.evidence(release_id) / "looks").glob("*.json")):
        yield json.loads(path.read_bytes())["move"]


def test_a_release_that_does_well_goes_all_the_way(shop: Workshop) -> None:
    way = [_begun(shop)]
    for many in (600, 6_000, 2_000, 1_000):
        waits = look(*OF, SECOND.id)
        assert waits.move == "wait", "nothing is known of this stage yet"
        assert "data: 0 of" in waits.reason
        _decided(shop, many)
        assert look(*OF, SECOND.id).move in ("widen", "promote")
        way.append(_now(shop))
    assert [(one.stage, one.share) for one in way] == [
        (Stage.SHADOW, 0),
        (Stage.CANARY, 500),
        (Stage.CANARY, 2_500),
        (Stage.CANARY, 5_000),
        (None, 0),
    ]
    assert (way[-1].release, way[-1].previous) == (SECOND.id, FIRST.id)
    assert list(_looks(shop)) == ["wait", "widen", "wait", "widen", "wait", "widen", "wait", "promote"]
    reasons = [one.step.reason for one in way if one.step is not None]
    assert "passed in the canary" in reasons[-1]
    assert [one.step.by for one in way if one.step is not None] == ["ann", *["schedule"] * 4]


def test_a_look_that_finds_nothing_new_leaves_no_file(shop: Workshop) -> None:
    _begun(shop)
    _decided(shop, 100)
    for _ in range(3):
        look(*OF, SECOND.id)
    assert list(_looks(shop)) == ["wait"]


def test_a_release_that_harms_is_withdrawn_in_the_look_that_sees_it(shop: Workshop) -> None:
    _begun(shop)
    _decided(shop, 600)
    look(*OF, SECOND.id)
    _decided(shop, 2_000, Trial(declines=(0.5, 0.05)))
    moved = look(*OF, SECOND.id)
    assert moved.move == "withdraw"
    now = _now(shop)
    assert (now.release, now.challenger, now.share) == (FIRST.id, None, 0)
    assert now.step is not None
    assert "declines" in now.step.reason
    found = last_look(shop.evidence(SECOND.id))
    assert isinstance(found, Look)
    assert (found.stage, found.share, found.champion) == ("canary", 500, FIRST.id)
    assert {verdict.result for verdict in found.verdicts if verdict.gate == "declines"} == {"fail"}
    with pytest.raises(Conflict, match="not being tried"):
        look(*OF, SECOND.id)


def test_a_second_trial_begins_with_nothing_against_it(shop: Workshop) -> None:
    _begun(shop)
    _decided(shop, 2_000, Trial(declines=(0.5, 0.05)))
    assert look(*OF, SECOND.id).move == "withdraw"
    _begun(shop)
    assert look(*OF, SECOND.id).move == "wait"


def test_a_split_begins_when_the_shadow_lets_it_and_ends_by_the_same_gates(shop: Workshop) -> None:
    begun = _begun(shop)
    wish = Wish(ANN, split=Split(2_000, begun.since + 10**12))
    assert go_on(*OF, SECOND.id, wish).move == "wait"
    _decided(shop, 600)
    assert go_on(*OF, SECOND.id, wish).move == "split"
    assert (_now(shop).stage, _now(shop).share) == (Stage.SPLIT, 2_000)
    assert "split ends" in look(*OF, SECOND.id).reason


def test_gates_on_history_come_before_everything(shop: Workshop, proven: list[Verdict]) -> None:
    proven.append(Verdict("improvement", "fail", "not above"))
    for wish in (Wish(ANN), Wish(ANN, at_once=True)):
        kept = go_on(*OF, SECOND.id, wish)
        assert (kept.move, kept.reason) == ("candidate", "improvement: not above")
    assert _now(shop).challenger is None


def test_the_pipeline_begins_with_a_shadow_where_the_policy_says_so(shop: Workshop) -> None:
    always, other = _release(500, replace(QUICK, always=True)), _release(600)
    for release in (always, other):
        shop.releases.save(release)
    assert promotion.promote(*OF, always.id) == (True, "every gate passed"), "the champion's policy asks for nothing"
    promoted, reason = promotion.promote(*OF, other.id)
    assert not promoted
    assert reason.startswith("it is in the shadow")
    assert _now(shop).challenger == other.id
    assert go_on(*OF, other.id, Wish(ANN, at_once=True)).move == "promote"
    assert _now(shop).release == other.id


def test_where_two_have_to_agree_steps_wait_with_their_card(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_module, "workshop", _careful)
    monkeypatch.setattr(promotion, "workshop", _careful)
    _begun(shop)
    _decided(shop, 600)
    waits = look(*OF, SECOND.id)
    assert (waits.move, _now(shop).share) == ("wait", 0)
    assert "second person" in waits.reason
    proposed = _now(shop).proposed
    assert proposed is not None
    assert "declines" in {one.gate for one in proposed.card}
    assert look(*OF, SECOND.id).now == waits.now, "it waits once"
    approve(shop.releases, *OF, Looked(SECOND.id), Act("bob", "looks good"))
    assert look(*OF, SECOND.id).move == "widen"
    assert _now(shop).share == 500


def test_a_split_that_two_agreed_to_is_taken_by_the_schedule(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_module, "workshop", _careful)
    monkeypatch.setattr(promotion, "workshop", _careful)
    end = _begun(shop).since + 10**12
    _decided(shop, 600)
    assert go_on(*OF, SECOND.id, Wish(ANN, split=Split(2_000, end))).move == "wait"
    assert [moved.move for moved in look_everywhere()] == ["wait"], "nobody has agreed yet"
    approve(shop.releases, *OF, Looked(SECOND.id), Act("bob", "looks good"))
    longer = go_on(*OF, SECOND.id, Wish(ANN, split=Split(2_000, end + 1)))
    assert (longer.move, _now(shop).share) == ("wait", 0), "that is not what was agreed to"
    assert [moved.move for moved in look_everywhere()] == ["split"]
    assert (_now(shop).stage, _now(shop).share, _now(shop).until) == (Stage.SPLIT, 2_000, end)


def test_a_split_that_was_agreed_to_too_late_gives_way(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_module, "workshop", _careful)
    monkeypatch.setattr(promotion, "workshop", _careful)
    _begun(shop)
    _decided(shop, 600)
    go_on(*OF, SECOND.id, Wish(ANN, split=Split(2_000, time.time_ns() // 1000 + 2_000_000)))
    approve(shop.releases, *OF, Looked(SECOND.id), Act("bob", "looks good"))
    time.sleep(2.1)
    assert [moved.move for moved in look_everywhere()] == ["wait"]
    waits = _now(shop).proposed
    assert waits is not None
    assert (waits.stage, waits.share, waits.until, _now(shop).approved) == (Stage.CANARY, 500, None, None)


def test_a_champion_by_history_waits_for_the_second_person_too(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_module, "workshop", _careful)
    monkeypatch.setattr(promotion, "workshop", _careful)
    kept = go_on(*OF, SECOND.id, Wish(ANN, at_once=True))
    assert kept.move == "candidate"
    assert "second person" in kept.reason
    assert look_everywhere() == []
    approve(shop.releases, *OF, Looked(SECOND.id), Act("bob", "looks good"))
    assert [moved.move for moved in look_everywhere()] == ["promote"]
    assert _now(shop).release == SECOND.id


def _careful(module: str, tenant: str) -> Workshop:
    """Where the operator wants two to agree."""
    plain = workshop(module, tenant)
    return replace(plain, releases=FourEyes(plain.releases, ("*",)))


def test_a_damaged_pointer_is_mended_by_a_promotion(shop: Workshop) -> None:
    (shop.home / "releases" / "champions" / "ecommerce" / "demo.json").write_text('{"release":')
    with pytest.raises(Refused, match="promote a release again"):
        shop.releases.rollout(*OF)
    assert go_on(*OF, SECOND.id, Wish(ANN, at_once=True)).move == "promote"
    assert _now(shop).release == SECOND.id


def test_one_at_a_time(shop: Workshop) -> None:
    third = _release(500)
    shop.releases.save(third)
    _begun(shop)
    with pytest.raises(Conflict, match="one challenger at a time"):
        go_on(*OF, third.id, Wish(ANN))
    promoted, reason = promotion.promote(*OF, third.id)
    assert not promoted
    assert f"{SECOND.id} is being tried" in reason


def test_a_release_with_other_windows_is_told_its_way(shop: Workshop) -> None:
    other = toy_release("ecommerce/handbook")
    shop.releases.save(other)
    with pytest.raises(Refused, match="--now"):
        go_on(*OF, other.id, Wish(ANN))


def test_everybodys_challengers_are_looked_at_though_one_cannot_be(shop: Workshop) -> None:
    _begun(shop)
    elsewhere = workshop("ecommerce", "another")
    go_on("ecommerce", "another", FIRST.id, Wish(ANN))
    go_on("ecommerce", "another", SECOND.id, Wish(ANN))
    _decided(shop, 600)
    champion = shop.home / "releases" / FIRST.id / "policy.json"
    found = look_everywhere()
    assert [moved.move for moved in found] == ["wait", "widen"], "another tenant's pairs are not ours"
    champion.write_text("{}")
    with pytest.raises(Refused):
        look_everywhere()
    assert elsewhere.releases.rollout("ecommerce", "another") is not None


def test_what_mlflow_does_stops_nobody(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("database is locked")

    (shop.home / "mlflow").mkdir()
    (shop.home / "mlflow" / "mlflow.db").touch()
    monkeypatch.setattr(MlflowRegistry, "repeat", broken)
    assert _begun(shop).stage is Stage.SHADOW


def test_mlflow_hears_of_what_was_done_elsewhere(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, dict[str, str | None]]] = []
    (shop.home / "mlflow").mkdir()
    (shop.home / "mlflow" / "mlflow.db").touch()
    monkeypatch.setattr(MlflowRegistry, "repeat", lambda _self, name, aliases, _tags: heard.append((name, aliases)))
    _begun(shop)
    assert heard[-1] == ("ecommerce.demo", {"champion": FIRST.id, "challenger": None, "shadow": SECOND.id})
    _decided(shop, 600)
    look_everywhere()
    assert heard[-1] == ("ecommerce.demo", {"champion": FIRST.id, "challenger": SECOND.id, "shadow": None})
    withdraw(shop.releases, *OF, ANN)
    look_everywhere()
    assert heard[-1] == ("ecommerce.demo", {"champion": FIRST.id, "challenger": None, "shadow": None})


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([rollout_client.__name__])


@pytest.mark.parametrize("point", ["promotion-judged", "promotion-moved"])
def test_killed_between_verdict_and_pointer_there_is_one_champion_and_the_next_look_goes_on(
    shop: Workshop, point: str
) -> None:
    _begun(shop)
    for many in (600, 6_000, 2_000):
        _decided(shop, many)
        look(*OF, SECOND.id)
    _decided(shop, 1_000)
    before = _now(shop)
    process = _FORKS.Process(target=rollout_client.look_and_die, args=(str(shop.home), SECOND.id, point))
    process.start()
    process.join(120)
    assert process.exitcode == -9
    assert list(_looks(shop))[-1] == "promote", "the verdict was stored first"
    after = _now(shop)
    assert after.release == (FIRST.id if point == "promotion-judged" else SECOND.id)
    if point == "promotion-judged":
        assert after == before
        assert look(*OF, SECOND.id).move == "promote"
    assert _now(shop).release == SECOND.id
    assert [one.release for one in shop.releases.history(*OF)] == [FIRST.id] * 5 + [SECOND.id]


def _run(*words: str) -> Result:
    ran = CliRunner().invoke(release_commands.app, list(words))
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def test_the_command_line_takes_it_there_and_back(shop: Workshop, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    shown = _run("promote", SECOND.id, "--json", str(file))
    assert shown.exit_code == 0
    assert "is in the shadow" in " ".join(shown.output.split())
    figures = json.loads(file.read_text())
    assert (figures["move"], figures["stage"], figures["promoted"]) == ("shadow", "shadow", False)
    _decided(shop, 600)
    assert "goes on, canary on 5 %" in " ".join(_run("promote", SECOND.id, "--json", str(file)).output.split())
    figures = json.loads(file.read_text())
    assert figures["share"] == 0.05
    facts = TrainingFacts({}, 1, 0.5, (), {}, 7, {}, {}, Boundaries(*[0] * 7), "digest")
    leave(shop.evidence(SECOND.id), Candidate(SECOND.id, *OF, "standard", "hash", "log", 1, facts))
    assert "canary on 5 %" in " ".join(_run("list", "--json", str(file)).output.split())
    listed = {one["release"]: (one["stage"], one["share"]) for one in json.loads(file.read_text())["releases"]}
    assert listed == {FIRST.id: (None, 0.0), SECOND.id: ("canary", 0.05)}
    assert "Last look at it, in the shadow" in " ".join(_run("show", SECOND.id).output.split())
    _run("promote", SECOND.id, "--json", str(file))
    figures = json.loads(file.read_text())
    assert {verdict["gate"]: verdict["result"] for verdict in figures["trial"]}["data"] == "not enough data"
    back = _run("rollback", "--reason", "a call from the shop", "--json", str(file))
    assert "a call from the shop" in " ".join(back.output.split())
    assert json.loads(file.read_text())["challenger"] is None
    told = _run("history", "--json", str(file))
    assert told.exit_code == 0
    history = json.loads(file.read_text())["history"]
    assert [(one["what"], one["share"]) for one in history] == [
        ("named", 0),
        ("shadow", 0),
        ("canary 5 %", 0.05),
        ("withdrawn", 0),
    ]
    assert history[-1]["reason"] == "a call from the shop"
    assert history[-1]["by"]


def test_the_command_line_tells_what_is_wrong(shop: Workshop) -> None:
    with pytest.raises(InvalidInput, match="--until"):
        _run("promote", SECOND.id, "--split", "20%")
    with pytest.raises(InvalidInput, match="between"):
        _run("promote", SECOND.id, "--split", "all", "--until", "2030-01-01")
    with pytest.raises(Conflict, match="no champion before"):
        _run("rollback")
    for word in ("approve", "refuse"):
        with pytest.raises(Conflict, match="nothing waits"):
            _run(word, SECOND.id)


def test_a_move_tells_all_that_a_screen_shows(shop: Workshop) -> None:
    _begun(shop)
    moved = look(*OF, SECOND.id)
    assert isinstance(moved, Moved)
    assert moved.verdicts[0].gate == "data"
    assert {"agreement", "latency", "declines", "matured"} <= {verdict.gate for verdict in moved.verdicts}
