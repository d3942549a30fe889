"""Many events by columns: what `judge` says of each, to the bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.bands import Band
from fradect.bulk import decide_many
from fradect.errors import InvalidInput
from fradect.judgement import Loaded, judge
from fradect.modules import contract_of
from fradect.past import Past
from fradect.rulebook.conditions import parse
from fradect.rulebook.meaning import FUNCTIONS
from fradect.rulebook.vectors import Texts, truth
from fradect.rules import Rules, load
from fradect.types import HOUR, Event, Vector
from fradect.words import Words
from tests.factories_decision import MODULE, NOON, RULEBOOK, toy_loaded

zen = pytest.importorskip("zen")
CONTRACT = contract_of("ecommerce/standard")
FIELDS = ("payment_method", "channel", "email_domain", "amount_base", "signup_at", "customer_id")

# Numbers that rules compare with, their neighbours, and what is no number at all.
edges = st.sampled_from([0.0, 1.0, 3.0, 6.0, 8.0, 20.0, 70.0, 1_000.0, 2e6, 3e6, 6e6, 1e8, 1e16, -1.0])
numbers = st.one_of(
    edges,
    edges.map(lambda value: float(np.nextafter(value, np.inf))),
    edges.map(lambda value: float(np.nextafter(value, -np.inf))),
    st.floats(-10, 1e9),
    st.sampled_from([float("nan"), float("inf"), 1e-30]),
)


@st.composite
def pasts(draw: st.DrawFn) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.float64]]]:
    n = draw(st.integers(1, 12))
    width = len(CONTRACT.names)
    matrix = np.array(draw(st.lists(numbers, min_size=n * width, max_size=n * width))).reshape(n, width)
    text = st.sampled_from(["card", "cod", "web", "call_centre", "", None, "x" * 2_000])
    columns = {
        "event_time": [NOON + draw(st.integers(0, 23)) * HOUR for _ in range(n)],
        "amount_base": [draw(st.sampled_from([None, 0, 99, 100, 5_000])) for _ in range(n)],
        "signup_at": [draw(st.sampled_from([None, NOON, 10**16])) for _ in range(n)],
        **{name: [draw(text) for _ in range(n)] for name in ("payment_method", "channel", "email_domain")},
    }
    types = {"event_time": pa.int64(), "amount_base": pa.int64(), "signup_at": pa.int64()}
    return pa.table({name: pa.array(c, types.get(name, pa.string())) for name, c in columns.items()}), matrix


def one_by_one(release: Loaded, events: pa.Table, matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Past:
    found = []
    for fields, row in zip(events.to_pylist(), matrix.tolist(), strict=True):
        event = Event("e", "demo", "ecommerce", fields["event_time"], fields["event_time"], fields)
        found.append(judge(release, event, Vector(CONTRACT.names, tuple(row)), (), explain=False))
    probability = [float("nan") if one.probability is None else one.probability for one in found]
    columns = [one.score for one in found], [int(one.action) for one in found]
    return Past(np.array(probability), *(np.array(column, np.int64) for column in columns))


def same(one: Past, other: Past) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n == "probability") for n in Past.__slots__)


@settings(max_examples=150, deadline=None)
@given(pasts())
def test_every_event_is_decided_as_it_would_be_alone(past: tuple[pa.Table, Any]) -> None:
    release = toy_loaded()
    assert same(decide_many(release, *past), one_by_one(release, *past))


@settings(max_examples=40, deadline=None)
@given(pasts())
def test_bands_by_channel_and_amount_count_for_each_event(past: tuple[pa.Table, Any]) -> None:
    bands = (Band("web", 0, 1, ("web",), 100), Band("small", 1001, 1001, (), 0, 100))
    release = replace(toy_loaded(), policy=replace(toy_loaded().policy, bands=bands))
    assert same(decide_many(release, *past), one_by_one(release, *past))


@settings(max_examples=40, deadline=None)
@given(pasts(), st.sampled_from(["not in ['card', 'cod']", "startsWith($, 'c')", "len($) > 3", "!= 'card'"]))
def test_conditions_that_columns_cannot_tell_are_asked_of_the_engine(past: tuple[pa.Table, Any], cell: str) -> None:
    raw = RULEBOOK.replace(b"\"'cod'\"", f'"{cell}"'.encode())
    rules = Rules(load(raw, MODULE), CONTRACT, MODULE, Words(CONTRACT, "RUB"))
    release = replace(toy_loaded(), rules=rules)
    assert same(decide_many(release, *past), one_by_one(release, *past))


CELLS = (
    ">= 6", "< 0.1", "== 0.3", "!= 3", "[0..4]", "(1..7]", "not in [1, 2]", "in [0.1, 0.3]", "> 1 and < 3",
    "< 1 or > 3", "$ + 0.1 < other", "$ > other * 5", "$ - other == 0.1", "abs($) > 2", "$ / 3 > 1", "$ % 2 == 1",
    "other",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CELLS), st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_what_columns_claim_the_engine_says_too(text: str, pairs: list[tuple[float, float]]) -> None:
    fit = [(a, b) for a, b in pairs if abs(a) < 1e16 and abs(b) < 1e16]
    columns = {"own": np.array([a for a, _ in fit]), "other": np.array([b for _, b in fit])}
    found = truth(parse(text, FUNCTIONS), "own", columns)
    said = [zen.evaluate_unary_expression(text, {"$": a, "other": b}) for a, b in fit]
    assert not (found.yes & ~np.array(said, np.bool_)).any()
    assert not (found.no & np.array(said, np.bool_)).any()


def test_plain_comparisons_are_told_without_the_engine() -> None:
    found = truth(parse(">= 6", FUNCTIONS), "own", {"own": np.array([5.0, 6.0, 7.25])})
    assert (found.yes | found.no).all()
    texts = truth(parse("'cod'", FUNCTIONS), "own", {"own": Texts(("cod", "card"), np.array([0, 1, -1]))})
    assert texts.yes.tolist() == [True, False, False]


def test_as_many_vectors_as_events() -> None:
    with pytest.raises(InvalidInput, match="2 events, but 1 vectors"):
        decide_many(toy_loaded(), pa.table({"event_time": [NOON, NOON]}), np.zeros((1, len(CONTRACT.names))))
