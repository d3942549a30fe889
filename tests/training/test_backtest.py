"""Two releases over the same events: figures by hand, parts that add up, differences that are paired."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.policy import money_saved
from fradect.types import DAY, Action
from tests.training.factories_training import COSTS, START
from training.backtest import MEASURES, Part, Side, Tried, numbers

APPROVE, REVIEW, DECLINE = (int(action) for action in Action)


def side(actions: list[int]) -> Side:
    n = len(actions)
    return Side(np.linspace(0, 1, n), np.arange(n), np.array(actions))


def made(champion: list[int], candidate: list[int], **changes: object) -> Tried:
    """Events on two days, the first half fraud; the last has no matured label."""
    n = len(champion)
    tried = Tried(
        candidate=side(candidate),
        champion=side(champion),
        label=np.arange(n) < n / 2,
        matured=np.arange(n) < n - 1,
        amount=1_000 * (1 + np.arange(n)),
        time=START + np.arange(n) % 2 * DAY,
        customer=np.full(n, -1),
        slices={"channel": np.array(["web", "app"] * n, object)[:n]},
    )
    return replace(tried, **changes)  # type: ignore[arg-type]


SIX = made([DECLINE, REVIEW, APPROVE, APPROVE, REVIEW, REVIEW], [DECLINE, DECLINE, REVIEW, APPROVE, APPROVE, REVIEW])


def test_six_events_by_hand() -> None:
    found = numbers(SIX, COSTS, seed=1)
    assert (found.whole.events, found.whole.matured, found.whole.frauds, found.changed) == (6, 5, 3, 3)
    champion, candidate = found.whole.champion, found.whole.candidate
    assert champion["recall"].value == pytest.approx(2 / 3)
    assert candidate["recall"].value == 1
    assert champion["precision"].value == pytest.approx(2 / 3)
    assert candidate["precision"].value == 1
    assert champion["false_positive_rate"].value == pytest.approx(1 / 2)
    assert candidate["false_positive_rate"].value == 0
    assert (champion["declined"].value, champion["reviewed"].value) == (1 / 6, 3 / 6)
    assert (candidate["declined"].value, candidate["reviewed"].value) == (2 / 6, 2 / 6)
    for made_by, spans in ((SIX.champion, champion), (SIX.candidate, candidate)):
        saved = money_saved(COSTS, SIX.amount, SIX.label, made_by.action)[SIX.matured].sum()
        assert spans["money_saved"].value == pytest.approx(saved)
    cells = {(cell.champion, cell.candidate): cell for cell in found.cells}
    assert cells["REVIEW", "DECLINE"].events == cells["APPROVE", "REVIEW"].frauds == 1
    assert (cells["REVIEW", "REVIEW"].events, cells["REVIEW", "REVIEW"].matured) == (1, 0)
    assert cells["REVIEW", "APPROVE"].amount == 5_000
    assert [(day.events, day.champion, day.candidate) for day in found.days] == [(3, 1, 1), (3, 2, 1)]


actions = st.lists(st.sampled_from([APPROVE, REVIEW, DECLINE]), min_size=2, max_size=40)


@settings(max_examples=15, deadline=None)
@given(actions)
def test_a_release_differs_from_itself_in_nothing(chosen: list[int]) -> None:
    found = numbers(made(chosen, chosen), COSTS, seed=1)
    assert found.changed == 0
    assert all(cell.events == 0 for cell in found.cells if cell.champion != cell.candidate)
    for part in (found.whole, *found.parts):
        assert all((span.value, span.low, span.high) == (0, 0, 0) for span in part.change.values())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([APPROVE, REVIEW, DECLINE])] * 2), min_size=2, max_size=40))
def test_parts_add_up_to_the_whole(pairs: list[tuple[int, int]]) -> None:
    tried = made([a for a, _ in pairs], [b for _, b in pairs])
    found = numbers(tried, COSTS, seed=1)
    assert sum(part.events for part in found.parts) == found.whole.events == len(pairs)
    for name in ("candidate", "champion", "change"):
        saved = sum(_money(part, name) for part in found.parts)
        assert saved == pytest.approx(_money(found.whole, name))
    assert sum(cell.events for cell in found.cells) == len(pairs)
    assert set(found.whole.change) <= set(MEASURES)


def test_the_difference_is_surer_than_two_intervals_side_by_side() -> None:
    rng = np.random.default_rng(1)
    champion = rng.integers(0, 3, 2_000)
    candidate = np.where(rng.random(2_000) < 0.02, rng.integers(0, 3, 2_000), champion)
    tried = made(champion.tolist(), candidate.tolist(), customer=rng.integers(0, 300, 2_000), slices={})
    found = numbers(tried, COSTS, seed=1)
    change, own = found.whole.change["money_saved"], found.whole.candidate["money_saved"]
    assert change.high - change.low < 0.5 * (own.high - own.low)
    assert numbers(tried, COSTS, seed=1) == found


def test_no_event_is_told_in_words() -> None:
    with pytest.raises(InvalidInput, match="no event lies in that period"):
        numbers(made([], []), COSTS, seed=1)


def _money(part: Part, side_name: str) -> float:
    found = getattr(part, side_name)
    return float(found["money_saved"].value) if "money_saved" in found else 0.0
