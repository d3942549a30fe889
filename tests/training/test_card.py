"""The card and its pictures: everything that was found out is on them, whatever the verdict."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from fradect.policy import Limits
from fradect.release import Release
from fradect.scoring import Calibrator
from fradect.types import Verdict
from tests.training.factories_training import CONTRACT, POLICY, cut, make_dataset, make_evaluated
from training.bootstrap import Interval
from training.card import CardFacts, money, render, said
from training.evaluate import Comparison
from training.fairness import audit
from training.fit import TrainSettings, train
from training.gate import replay
from training.plots import figures

MADE = make_evaluated()


@pytest.fixture(scope="module")
def facts() -> CardFacts:
    dataset = make_dataset()
    settings = TrainSettings(trials=2, threads=1, max_rounds=20)
    trained = train(dataset, cut(dataset), CONTRACT, settings, lambda _done, _total, _words: None)
    sex = np.array(["f", "m"], object)[np.arange(2_000) % 2]
    table, fair = audit(MADE.scored.chosen > 0, MADE.scored.label, MADE.scored.customer, {"sex": sex}, Limits())
    return CardFacts(
        release=Release(
            "ecommerce", CONTRACT, trained.model, Calibrator(1.0, 0.0), b"{}", POLICY, {"xgboost-cpu": "3.2.0"}
        ),
        training=trained.facts,
        evaluation=MADE.evaluation,
        fairness=table,
        verdicts=[Verdict("improvement", "pass", "better | by far"), fair],
        comparison=Comparison(Interval(0.02, 0.01, 0.03), Interval(100_000, 50_000, 150_000), 0.5, 1e6, 2_000),
        champion="rel_0123456789abcdef",
    )


def test_the_card_tells_everything_a_reader_must_know(facts: CardFacts) -> None:
    card = render(facts)
    for heading in ("Intended use", "Data", "Measures", "Slices", "Fairness", "Thresholds", "Gates", "Model", "Parts"):
        assert f"\n## {heading}" in card
    assert facts.release.id in card
    assert MADE.evaluation.metrics["average_precision"].text() in card
    assert "rel_0123456789abcdef" in card
    assert "from 200 are reviewed, from 600 declined" in card
    assert "meaning of signal" in card
    assert facts.training.data_digest[:16] in card
    assert all(f"| sex | {group} |" in card for group in ("f", "m"))


def test_the_card_is_written_when_a_gate_fails_too(facts: CardFacts) -> None:
    failed = render(replace(facts, verdicts=[Verdict("improvement", "fail", "not above"), *facts.verdicts[1:]]))
    assert "**Must not be promoted**: improvement: not above" in failed


def test_the_card_does_not_promise_what_was_not_asked_yet(facts: CardFacts) -> None:
    early = render(facts)
    assert "**Passed so far**" in early
    assert "still asks: data, replay" in early
    rest = [Verdict("data", "pass", "nothing odd"), replay([], 1_000)]
    assert "**May be promoted**" in render(replace(facts, verdicts=[*facts.verdicts, *rest]))


def test_a_card_depends_on_nothing_but_its_facts(facts: CardFacts) -> None:
    assert render(facts) == render(facts)


def test_every_table_row_has_its_heads_columns(facts: CardFacts) -> None:
    width = None
    for line in render(facts).splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.replace("\\|", "").count("|")
        assert width is None or cells == width
        width = cells


def test_a_tenant_without_protected_attributes_or_champion_has_a_card(facts: CardFacts) -> None:
    table, fair = audit(MADE.scored.chosen > 0, MADE.scored.label, MADE.scored.customer, {}, Limits())
    card = render(replace(facts, fairness=table, verdicts=[fair], comparison=None, champion=None))
    assert "nothing of any protected attribute" in card
    assert "no champion to compare with" in card


def test_money_is_told_in_major_units() -> None:
    assert money(1_234_567, "EUR") == "12,346 EUR"
    assert money(1_234_567, "JPY") == "1,234,567 JPY"
    assert said("money_saved", Interval(100_000, 50_000, 150_000), "EUR") == "1,000 (500 to 1,500) EUR"
    assert said("recall", Interval(0.5, 0.4, 0.6), "EUR") == "0.500 (0.400 to 0.600)"


def test_pictures_are_pngs_of_a_readable_size_and_repeat_themselves() -> None:
    pictures = figures(MADE.evaluation, {"signal": 0.8, "noise": 0.2}, POLICY)
    assert set(pictures) == {"precision_recall.png", "roc.png", "calibration.png", "cost.png", "importance.png"}
    for png in pictures.values():
        assert png.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", png[16:24])
        assert width >= 800
        assert height >= 500
    assert figures(MADE.evaluation, {"signal": 0.8, "noise": 0.2}, POLICY) == pictures


def test_pictures_of_a_release_that_flags_nothing_can_be_drawn() -> None:
    quiet = make_evaluated(chosen=np.zeros(2_000, np.int64)).evaluation
    assert len(figures(quiet, {}, POLICY)) == 5
