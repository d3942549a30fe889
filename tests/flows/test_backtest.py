"""Releases made by an edit, and tried on a small simulated past: nothing is trained here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner, Result

from flows.amend import Edit, amend
from flows.backtest import Asked, backtest
from flows.commands import release as release_commands
from flows.commands.backtest import backtest as command
from flows.evidence import Candidate, leave, recall
from flows.wiring import workshop
from fradect.errors import FradectError, InvalidInput, NotFound
from fradect.rulebook.document import TABLE
from fradect.settings import PROJECT
from tests.factories_decision import toy_release
from training.dataset import Boundaries
from training.fit import TrainingFacts

FIRST = "2025-02-10"
BOOK, EXAMPLES = (PROJECT / "rulebooks" / name for name in ("ecommerce.json", "ecommerce.examples.yaml"))


@pytest.fixture
def champion(filled_home: Path) -> str:
    """A toy release that decides for the small history's tenant; what is known of its making is made up."""
    shop = workshop("ecommerce", "demo")
    assert filled_home.is_dir()
    release = replace(toy_release("ecommerce/standard"), engines={"zen-engine": "test"})
    shop.releases.save(release)
    shop.releases.promote("ecommerce", "demo", release.id)
    facts = TrainingFacts({}, 1, 0.5, (), {}, 7, {}, {}, Boundaries(*[0] * 7), "digest")
    leave(
        shop.evidence(release.id),
        Candidate(release.id, "ecommerce", "demo", release.contract.name, release.contract.hash, "log", 1, facts),
    )
    return release.id


def _run(app: Any, *words: str) -> Result:
    ran = CliRunner().invoke(app, list(words))
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def _without(rule_id: str, folder: Path) -> Path:
    """The shipped rulebook and its examples, one rule taken out of both."""
    book: dict[str, Any] = json.loads(BOOK.read_bytes())
    for node in book["nodes"]:
        if node["type"] == TABLE:
            content = node["content"]
            name = next(column["id"] for column in content["outputs"] if column["field"] == "id")
            content["rules"] = [row for row in content["rules"] if row[name] != f"'{rule_id}'"]
    (folder / "mine.json").write_text(json.dumps(book))
    head, *examples = EXAMPLES.read_text().split("  - name: ")
    kept = [one for one in examples if rule_id not in one]
    (folder / "mine.examples.yaml").write_text("  - name: ".join([head, *kept]))
    return folder / "mine.json"


def test_a_release_against_itself_changes_nothing(champion: str) -> None:
    found = backtest("ecommerce", "demo", champion, Asked(since=FIRST))
    assert (found.against, found.numbers.changed, found.wanted, found.differences) == (champion, 0, 0, ())
    assert found.numbers.whole.events > 1_000
    assert all((span.low, span.high) == (0, 0) for span in found.numbers.whole.change.values())
    assert found.rules["champion"] == found.rules["candidate"]
    assert found.stored is None


def test_looser_thresholds_decline_less_and_everything_says_so(champion: str, tmp_path: Path) -> None:
    made = amend("ecommerce", "demo", Edit(thresholds=(600, 950)))
    assert (made.made_from, recall(workshop("ecommerce", "demo").evidence(made.release_id), Candidate).made_from) == (
        champion,
        champion,
    )
    words = [made.release_id, "--from", FIRST, "--only", "from=DECLINE"]
    files = {name: tmp_path / f"found.{name}" for name in ("html", "json", "parquet")}
    words += ["--html", str(files["html"]), "--json", str(files["json"]), "--changes", str(files["parquet"])]
    ran = _run(_app(), *words)
    assert ran.exit_code == 0, ran.output
    found = json.loads(files["json"].read_text())
    cells = {(cell["champion"], cell["candidate"]): cell["events"] for cell in found["decisions"]}
    assert all(not cells[pair] for pair in (("APPROVE", "REVIEW"), ("APPROVE", "DECLINE"), ("REVIEW", "DECLINE")))
    softened = cells["DECLINE", "REVIEW"] + cells["DECLINE", "APPROVE"]
    assert 0 < softened == found["wanted"] <= found["changed"]
    changed = pq.read_table(files["parquet"]).to_pylist()
    assert len(changed) == softened
    assert {(row["champion"], row["cause"]) for row in changed} == {("DECLINE", "thresholds")}
    assert found["whole"]["change"]["declined"]["value"] < 0
    assert [one["what"] for one in found["differences"] if one["part"] == "policy"] == ["decline", "review"]
    largest = max(changed, key=lambda row: row["amount_base"])
    page = files["html"].read_text()
    assert "<script" not in page
    assert not [word for word in ("http:", "https:", "src=", "@import") if word in page.replace("http-equiv", "")]
    for told in ("false-positive rate, %", "money saved, RUB", "channel: web", "Fairness", largest["event_id"]):
        assert told in page


def test_a_rule_taken_out_changes_exactly_its_blast_radius(champion: str, tmp_path: Path) -> None:
    made = amend("ecommerce", "demo", Edit(rulebook=_without("card_testing", tmp_path)))
    found = backtest("ecommerce", "demo", made.release_id, Asked(since=FIRST, changes=tmp_path / "all.parquet"))
    radius = next(rule for rule in found.rules["champion"] if rule.rule == "card_testing")
    assert 0 < radius.alone == found.numbers.changed
    assert {row["cause"] for row in pq.read_table(tmp_path / "all.parquet").to_pylist()} == {"rules"}
    assert next((one.part, one.what, one.now) for one in found.differences) == ("rulebook", "card_testing", "")
    ran = _run(release_commands.app, "diff", champion, made.release_id)
    assert "removed: card_testing: Shared devices and cards: device_distinct_card_1h >= 3" in ran.output
    listed = " ".join(_run(release_commands.app, "list").output.split())
    assert made.release_id in listed
    assert "not measured" in _run(release_commands.app, "show", made.release_id).output.lower()


def test_an_edited_policy_takes_over_what_it_does_not_say(champion: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(
        '{"costs": {"margin": 0.5}, "bands": [{"name": "web", "review": 0, "decline": 9, "channels": ["web"]}]}'
    )
    made = amend("ecommerce", "demo", Edit(policy=file))
    shop = workshop("ecommerce", "demo")
    was, now = shop.releases.load(champion).policy, shop.releases.load(made.release_id).policy
    assert (now.costs.margin, now.costs.loss, now.review, len(now.bands)) == (0.5, was.costs.loss, was.review, 1)
    found = backtest("ecommerce", "demo", made.release_id, Asked(since=FIRST))
    assert any("candidate's costs" in note for note in found.notes)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (Edit(), "nothing to change"),
        (Edit(thresholds=(300, 700)), "as it is"),
        (Edit(thresholds=(700, 300)), "need 0 <= review"),
        (Edit(rulebook=Path("nowhere.json")), "cannot be read"),
        (Edit(rulebook=PROJECT / "tests" / "golden" / "rules" / "types.json"), "not sound.*more.*rules check"),
    ],
)
def test_an_edit_that_is_not_sound_is_refused_in_a_line(champion: str, edit: Edit, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        amend("ecommerce", "demo", edit, champion)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"bandz": []}', "has no 'bandz'"),
        ('{"costs": {"lose": 1}}', "has no 'lose'"),
        ('{"review": "many"}', "Expected `int`"),
        ("[]", "policy.json of a release"),
        ('{"base_currency": "EUR"}', "the log's is RUB"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(champion: str, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(InvalidInput, match=told):
        amend("ecommerce", "demo", Edit(policy=tmp_path / "policy.json"), champion)


def test_a_rulebook_that_does_not_do_as_its_examples_say_is_refused(champion: str, tmp_path: Path) -> None:
    path = _without("card_testing", tmp_path)
    with pytest.raises(InvalidInput, match=r"does not do as ecommerce\.examples\.yaml says"):
        amend("ecommerce", "demo", Edit(rulebook=path, examples=EXAMPLES), champion)


def test_what_cannot_be_tried_is_told(champion: str) -> None:
    with pytest.raises(InvalidInput, match="no event lies there"):
        backtest("ecommerce", "demo", champion, Asked(since="2031-01-01"))
    with pytest.raises(NotFound, match="rel_0000000000000000"):
        backtest("ecommerce", "demo", "rel_0000000000000000", Asked())
    with pytest.raises(InvalidInput, match="--only"):
        backtest("ecommerce", "demo", champion, Asked(only=("to=MAYBE",)))
    with pytest.raises(FradectError, match="no champion"):
        backtest("ecommerce", "other", champion, Asked())


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app
