"""What a release is worth: figures by hand, parts that add up to the whole, comparisons that are fair."""

from dataclasses import asdict, replace

import msgspec
import numpy as np
import pytest

from fradect.errors import InvalidInput
from fradect.policy import actions, money_saved, to_scores
from fradect.types import DAY, Action
from tests.training.factories_training import COSTS, POLICY, START, make_scored
from training.evaluate import Evaluation, Scored, compare, evaluate


def _ten() -> Scored:
    """Five frauds of ten events; the policy declines two, reviews two, and is wrong once each way."""
    probability = np.array([0.9, 0.7, 0.4, 0.3, 0.15, 0.12, 0.1, 0.08, 0.05, 0.01])
    return Scored(
        probability=probability,
        chosen=actions(to_scores(probability), POLICY),
        label=np.array([1, 0, 1, 1, 1, 1, 0, 0, 0, 0], np.bool_),
        amount=np.full(10, 1_000_000),
        time=START + np.arange(10) * DAY,
        customer=np.full(10, -1),
    )


def test_ten_events_by_hand() -> None:
    found = evaluate(_ten(), POLICY, seed=1)
    values = {name: interval.value for name, interval in found.metrics.items()}
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(3 / 5)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["roc_auc"] == pytest.approx(21 / 25)
    assert values["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 5 + 5 / 6) / 5)
    assert values["card_precision_100"] == pytest.approx(5 / 10 / 100)
    stopped = 1_000_000 * COSTS.loss * (1 + 2 * COSTS.review_catch)
    insult = COSTS.margin * 1_000_000 + COSTS.insult_fixed
    assert values["money_saved"] == pytest.approx(stopped - insult - 2 * COSTS.review_fixed)
    assert found.decisions == {"APPROVE": 6, "REVIEW": 2, "DECLINE": 2}
    assert (found.events, found.frauds, found.first, found.last) == (10, 5, START, START + 9 * DAY)


def test_intervals_hold_their_value_and_the_same_seed_gives_the_same() -> None:
    scored = make_scored()
    found = evaluate(scored, POLICY, seed=3)
    assert all(span.low <= span.value <= span.high for span in found.metrics.values())
    assert evaluate(scored, POLICY, seed=3) == found
    assert evaluate(scored, POLICY, seed=4).metrics != found.metrics


def test_slices_add_up_to_the_whole() -> None:
    scored = make_scored()
    found = evaluate(scored, POLICY, seed=1)
    assert {part.part for part in found.slices} == {"web", "app"}
    assert sum(part.events for part in found.slices) == found.events
    assert sum(part.frauds for part in found.slices) == found.frauds
    money = sum(part.metrics["money_saved"].value for part in found.slices)
    assert money == pytest.approx(found.metrics["money_saved"].value)


def test_a_slice_without_fraud_shows_its_money_and_no_ranking() -> None:
    scored = make_scored()
    rare = np.where(scored.label, "common", "honest only").astype(object)
    found = evaluate(replace(scored, slices={"kind": rare}), POLICY, seed=1)
    honest = next(part for part in found.slices if part.part == "honest only")
    assert "money_saved" in honest.metrics
    assert not {"roc_auc", "average_precision", "recall"} & set(honest.metrics)


def test_where_nothing_is_flagged_precision_is_left_out() -> None:
    found = evaluate(make_scored(chosen=np.zeros(2_000, np.int64)), POLICY, seed=1)
    assert "precision" not in found.metrics
    assert found.metrics["money_saved"].value == 0


def test_the_whole_release_decides_not_its_thresholds_alone() -> None:
    scored = make_scored()
    stricter = replace(scored, chosen=np.full(2_000, int(Action.DECLINE)))
    assert evaluate(stricter, POLICY, seed=1).metrics["recall"].value == 1.0


def test_too_few_frauds_are_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="longer test period"):
        evaluate(make_scored(label=np.arange(2_000) < 3), POLICY, seed=1)


def test_a_release_gains_nothing_over_itself() -> None:
    scored = make_scored()
    found = compare(scored, scored, COSTS, seed=1)
    assert (found.average_precision.value, found.average_precision.low, found.average_precision.high) == (0, 0, 0)
    assert (found.money_saved.low, found.money_saved.high) == (0, 0)


def test_a_paired_comparison_is_surer_than_two_intervals_side_by_side() -> None:
    better, worse = make_scored(skill=2.0), make_scored(skill=1.8)
    found = compare(better, worse, COSTS, seed=1)
    own = evaluate(better, POLICY, seed=1).metrics["average_precision"]
    assert found.average_precision.value > 0
    assert found.average_precision.high - found.average_precision.low < own.high - own.low
    assert found.champion_average_precision == pytest.approx(own.value - found.average_precision.value)


def test_different_events_are_not_compared() -> None:
    with pytest.raises(InvalidInput, match="same events"):
        compare(make_scored(seed=1), make_scored(seed=2), COSTS, seed=1)


def test_curves_end_where_they_must() -> None:
    scored = make_scored()
    curves = evaluate(scored, POLICY, seed=1).curves
    assert (curves.recall[-1], curves.false_positive_rate[-1]) == (1.0, 1.0)
    assert curves.precision[-1] == pytest.approx(scored.label.mean())
    assert list(curves.recall) == sorted(curves.recall)
    everything = money_saved(COSTS, scored.amount, scored.label, np.full(2_000, int(Action.DECLINE)))
    assert curves.saved_by_decline[0] == pytest.approx(everything.sum())
    assert curves.saved_by_decline[-1] == 0
    assert len(curves.saved_by_review) == 1002


def test_an_evaluation_is_stored_as_json_and_read_again() -> None:
    found = evaluate(make_scored(), POLICY, seed=1)
    assert asdict(msgspec.json.decode(msgspec.json.encode(found), type=Evaluation)) == asdict(found)
