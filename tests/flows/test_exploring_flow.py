"""Declines that were let through, laid over a small simulated past: in a backtest, and in what training learns from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flows.backtest import Asked, Backtested, backtest
from flows.backtest_page import page_of
from flows.backtest_screen import leave_figures, show
from flows.data import load_dataset
from flows.wiring import Workshop, workshop
from flows.wiring.derived import derive
from fradect.adapters.ledger_sql import SqlLedger
from fradect.types import Action
from tests.factories_decision import record, toy_release
from tests.training.factories_training import cut, make_dataset
from training.fit import data_digest, sample

FIRST, CHANCE = "2025-02-10", 0.05


@pytest.fixture
def shop(filled_home: Path) -> Workshop:
    """A champion that declines readily."""
    assert filled_home.is_dir()
    found = workshop("ecommerce", "demo")
    release = replace(toy_release("ecommerce/standard", 100, 200), engines={"zen-engine": "test"})
    found.releases.save(release)
    found.releases.promote("ecommerce", "demo", release.id)
    derive(found, release.contract)
    return found


def _decide(shop: Workshop, events: list[str], through: set[str], never: set[str]) -> None:
    """Would-be declines of these events, as a service would have stored them."""
    ledger = SqlLedger(shop.settings.ledger_url)
    ledger.commit_many(
        [
            record(
                event,
                action=Action.APPROVE if event in through else Action.DECLINE,
                propensity=None if event in never else CHANCE,
            )
            for event in events
        ]
    )
    ledger.close()


def _tried(shop: Workshop) -> Backtested:
    champion = shop.releases.champion("ecommerce", "demo")
    assert champion is not None
    return backtest("ecommerce", "demo", champion, Asked(since=FIRST, stored=False))


def test_a_backtest_names_what_exploration_tells_of_declines(shop: Workshop, tmp_path: Path) -> None:
    assert _tried(shop).declined == {}
    release = shop.releases.load(str(shop.releases.champion("ecommerce", "demo")))
    dataset = load_dataset(shop, release.contract)
    events = sorted(dataset.event_id.tolist())[::2]
    _decide(shop, events, set(events[::20]), set(events[1::10]))
    found = _tried(shop)
    ours, theirs = found.declined["candidate"], found.declined["champion"]
    assert ours == theirs, "a release beside itself"
    assert 0 < ours.let_through < ours.events
    assert 0 < ours.never < ours.events
    assert ours.precision is not None
    assert ours.precision.low <= ours.precision.value <= ours.precision.high
    assert any("let through by chance" in note for note in found.notes)
    assert b"Declines, by what was let through by chance" in page_of(found)
    figures = tmp_path / "figures.json"
    leave_figures(figures, found)
    assert json.loads(figures.read_text())["declined"]["candidate"]["let_through"] == ours.let_through
    console = Console(record=True, width=200)
    show(console, found, {})
    assert "precision of declines" in console.export_text()


def test_training_weighs_what_was_let_through_and_leaves_out_what_told_itself(shop: Workshop) -> None:
    release = shop.releases.load(str(shop.releases.champion("ecommerce", "demo")))
    before = load_dataset(shop, release.contract)
    assert before.weight is None
    labelled = before.event_id[before.labelled].tolist()
    through, drawn, never, rest = labelled[0], labelled[1], labelled[2], labelled[3]
    _decide(shop, [through, drawn, never], {through}, {never})
    after = load_dataset(shop, release.contract)
    row = {event: i for i, event in enumerate(after.event_id.tolist())}
    assert after.weight is not None
    assert [after.weight[row[one]] for one in (through, never, rest)] == [1 / CHANCE, 1, 1]
    assert [bool(after.labelled[row[one]]) for one in (through, drawn, never, rest)] == [True, False, True, True]
    assert sample(after, np.array([row[through], row[rest]])).weight.tolist() == [1 / CHANCE, 1]


def test_weights_are_part_of_what_training_saw() -> None:
    dataset = make_dataset()
    weighed = replace(dataset, weight=np.ones(len(dataset)))
    assert data_digest(dataset, cut(dataset)) != data_digest(weighed, cut(dataset))
    assert weighed.rows(np.array([2, 1])).weight is not None
