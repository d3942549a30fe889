"""Thresholds by channel and amount: the first band that fits decides, and nothing changes where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.bands import Band
from fradect.errors import InvalidInput
from fradect.judgement import judge, load
from fradect.modules import module_of
from fradect.past import decide_past
from fradect.policy import Policy, RuleEffects, actions, combine, decide
from fradect.release import assemble
from fradect.types import Action, Value
from tests.factories_decision import purchase, toy_release, vector_of

COSTS = module_of("ecommerce").costs
LARGE = Band("large", 200, 500, amount_from=1_000_000)
PHONE = Band("by phone", 100, 900, channels=("call_centre",))
SMALL_APP = Band("small in the app", 600, 950, channels=("app", "web"), amount_to=10_000)
POLICY = Policy(400, 800, "RUB", COSTS, bands=(PHONE, LARGE, SMALL_APP))

fields = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(["web", "app", "call_centre", "", None, 7]),
        "amount_base": st.one_of(st.none(), st.integers(0, 2_000_000), st.just("12"), st.just(1e9)),
    },
)


@pytest.mark.parametrize(
    ("channel", "amount", "decides"),
    [
        ("web", 10_000, POLICY),
        ("web", 9_999, SMALL_APP),
        ("web", 999_999, POLICY),
        ("web", 1_000_000, LARGE),
        ("call_centre", 5_000_000, PHONE),
        ("call_centre", None, PHONE),
        ("web", None, POLICY),
        (None, 5, POLICY),
        (None, 1_000_000, LARGE),
    ],
)
def test_the_first_band_that_holds_an_event_decides(channel: Value, amount: Value, decides: Policy | Band) -> None:
    assert POLICY.at({"channel": channel, "amount_base": amount}) is decides


@given(st.lists(fields, max_size=20), st.integers(0, 1000))
def test_many_events_are_cut_as_one_is(events: list[dict[str, Value]], score: int) -> None:
    many = actions(np.full(len(events), score), POLICY.cuts(events))
    assert many.tolist() == [int(decide(score, RuleEffects(), POLICY.at(each))) for each in events]


@given(fields, st.floats(0, 1), st.booleans(), st.sampled_from(Action))
def test_an_allowance_keeps_the_model_below_review_in_every_band(
    event: dict[str, Value], probability: float, allow: bool, floor: Action
) -> None:
    thresholds, asked = POLICY.at(event), RuleEffects(points=30, floor=floor, allow=allow)
    score = combine(probability, asked, thresholds)
    assert decide(score, asked, thresholds) >= floor
    if allow:
        assert score < thresholds.review
        assert decide(score, asked, thresholds) is floor


def test_no_bands_are_no_word_about_bands_so_old_releases_keep_their_names() -> None:
    plain = Policy(300, 700, "RUB", COSTS)
    assert b"bands" not in plain.to_json()
    assert Policy.from_json(plain.to_json()) == plain
    assert Policy.from_json(POLICY.to_json()) == POLICY


def test_a_release_with_bands_decides_by_them_alone_and_among_many_and_says_so() -> None:
    release = toy_release()
    banded = replace(release, policy=replace(release.policy, bands=(Band("large", 0, 1, amount_from=200_000),)))
    loaded = load(assemble(banded.id, banded.parts()))
    events = [purchase("a"), purchase("b", amount_base=200_000)]
    seen = [vector_of(loaded.contract, 0.0, amount=float(str(e.fields["amount_base"]))) for e in events]
    alone = [judge(loaded, event, vector, (), explain=False) for event, vector in zip(events, seen, strict=True)]
    many = decide_past(loaded, events, np.array([vector.values for vector in seen]))
    assert [one.action for one in alone] == many.action.tolist() == [Action.APPROVE, Action.DECLINE]
    assert alone[0].factors[-1].source == "model"
    said = alone[1].factors[-1]
    assert (said.name, said.points, said.source, said.value) == ("thresholds", 0, "policy", "large")
    assert said.text == "large: reviewed from 0, declined from 1"
    assert sum(factor.points for factor in alone[1].factors) == alone[1].score


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        ((Band("a", 1, 2, ("web",)), Band("a", 1, 2, ("app",))), "two bands are called 'a'"),
        ((Band("a", 1, 2, amount_from=5), Band("b", 1, 2, ("web",), 6, 9)), "'b' never decides, 'a' before it"),
        ((Band("a", 1, 2, ("web", "app")), Band("b", 1, 2, ("app",))), "'b' never decides"),
        ((Band("a", 1, 2, ("web",)), Band("b", 1, 2, ("web",), 6)), "put the narrower one first"),
    ],
)
def test_a_band_that_never_decides_is_refused(bands: tuple[Band, ...], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Policy(400, 800, "RUB", COSTS, bands=bands)


def test_bands_that_overlap_in_part_are_fine() -> None:
    narrow, wide = Band("narrow", 1, 2, ("web",), 6, 9), Band("wide", 1, 2, amount_from=5)
    anyhow = Band("app", 1, 2, ("app", "web"))
    assert Policy(400, 800, "RUB", COSTS, bands=(narrow, wide, anyhow)).bands


@pytest.mark.parametrize(
    ("name", "asked", "says"),
    [
        ("", {"channels": ("web",)}, "1 to 64 characters"),
        ("x" * 65, {"channels": ("web",)}, "1 to 64 characters"),
        ("a", {}, "takes every event"),
        ("a", {"amount_from": -1, "amount_to": 5}, "0 <= amount_from -1"),
        ("a", {"amount_from": 5, "amount_to": 5}, "amount_to 5"),
    ],
)
def test_a_band_that_makes_no_sense_is_refused(name: str, asked: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Band(name, 400, 800, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(("review", "decline"), [(-1, 5), (5, 4), (0, 1002)])
def test_a_bands_thresholds_are_checked_as_the_policys_are(review: int, decline: int) -> None:
    with pytest.raises(InvalidInput, match="band 'a': need 0 <= review"):
        Band("a", review, decline, ("web",))
