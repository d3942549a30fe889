"""The gate on data: each finding by hand, what is no finding, and what it says."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fradect.errors import InvalidInput
from fradect.policy import DataLimits, Limits, Policy
from tests.training.factories_training import CONTRACT, COSTS, cut, make_dataset
from training.data_quality import DataFacts, Taught, Then, data_facts
from training.dataset import Dataset
from training.gate import data

LIMITS = Limits()
CLEAN = make_dataset(6_000)


def taught(dataset: Dataset = CLEAN, **changes: object) -> Taught:
    splits = cut(dataset)
    test = dataset.rows(splits.test)
    probability = 1 / (1 + np.exp(3 - 1.6 * np.nan_to_num(test.matrix[:, 0])))
    train = dataset.rows(splits.train)
    sample = dict(zip(CONTRACT.names, train.matrix.T, strict=True))
    news = np.ones(len(train) + len(test), np.bool_)
    return replace(Taught(train, test, probability, news, test.matrix, sample), **changes)  # type: ignore[arg-type]


def judged(one: Taught, then: Then = Then(0, 0)) -> tuple[str, str]:  # noqa: B008  a value
    verdict = data(data_facts(one, CONTRACT, then), LIMITS)
    return verdict.result, verdict.reason


def with_column(name: str, values: np.ndarray, dataset: Dataset = CLEAN) -> Dataset:
    matrix = dataset.matrix.copy()
    matrix[:, CONTRACT.names.index(name)] = values
    return replace(dataset, matrix=matrix)


@pytest.mark.parametrize("seed", range(8))
def test_clean_data_passes(seed: int) -> None:
    dataset = make_dataset(4_000, seed=seed)
    frauds = int(dataset.label.sum())
    assert judged(taught(dataset), Then(4_000, frauds, 20, 80))[0] == "pass"


def test_repeated_events_are_counted_and_customers_that_are_unknown_are_not() -> None:
    rows = np.concatenate([np.arange(6_000), np.arange(300)])
    twice = CLEAN.rows(rows)
    found = data_facts(taught(twice), CONTRACT, Then(0, 0))
    assert 0.02 < found.duplicates < 0.1
    assert "repeat another's customer" in data(found, LIMITS).reason
    nobody = replace(twice, customer=np.full(len(twice), -1))
    assert data_facts(taught(nobody), CONTRACT, Then(0, 0)).duplicates == 0


@pytest.mark.parametrize(
    "known",
    [
        lambda label: np.where(label, 1.0, 0.0),
        lambda label: np.where(label, -5.0, 5.0),
        lambda label: np.where(label, np.nan, 0.0),
        lambda label: np.where(label, 0.0, np.arange(label.size) % 2 * 2 - 1.0),
    ],
)
def test_a_feature_that_knows_the_outcome_is_named_however_it_says_so(known: object) -> None:
    leaking = with_column("noise", known(CLEAN.label))  # type: ignore[operator]
    result, reason = judged(taught(leaking))
    assert result == "fail"
    assert "noise alone tells fraud" in reason
    assert "signal" not in reason


def test_a_feature_that_knows_some_outcomes_is_named_where_it_did_not_before() -> None:
    some = CLEAN.label & (np.arange(len(CLEAN)) % 3 == 0)
    leaking = taught(with_column("noise", np.where(some, 9.0, CLEAN.matrix[:, 1])))
    then = Then(6_000, int(CLEAN.label.sum()), 20, 100, {"signal": 0.05, "channel": 0.0})
    result, reason = judged(leaking, then)
    assert result == "fail"
    assert "noise that only fraud has" in reason
    assert judged(leaking, replace(then, giveaway={"noise": 0.3}))[0] == "pass", "it is good, and always was"
    assert judged(leaking)[0] == "pass", "nobody knows whether it is new, and a third is not too much"
    assert (
        judged(taught(with_column("noise", np.where(CLEAN.label & (np.arange(6_000) % 3 > 0), 9.0, 0.0))))[0] == "fail"
    )


def test_a_feature_in_other_units_and_one_that_is_gone_are_named() -> None:
    one = taught()
    other, gone = one.recent.copy(), one.recent.copy()
    other[:, 0] = 100 + other[:, 0]
    gone[: len(gone) // 2, 2] = np.nan
    assert "signal is not what it was" in judged(replace(one, recent=other))[1]
    assert "channel is unknown" in judged(replace(one, recent=gone))[1]
    gone[: len(gone) // 2, 2] = 7
    assert "channel is unknown" in judged(replace(one, recent=gone))[1], "a code that the contract does not have"
    assert judged(replace(one, recent=other, reference={}))[0] == "pass", "nothing is known of the champion's time"
    assert judged(replace(one, recent=other[:100]))[0] == "pass", "too few to say"


def test_labels_that_are_not_what_they_were_are_told() -> None:
    then = Then(100_000, 1_000)
    assert "of what is new is fraud" in judged(taught(), then)[1]
    frauds = int(CLEAN.label.mean() * 100_000)
    assert judged(taught(), Then(100_000, frauds))[0] == "pass"
    assert (
        "look safer than most"
        in judged(taught(probability=np.zeros(len(taught().test))), Then(100_000, frauds, 50, 1000))[1]
    )
    assert judged(taught(), Then(20, 1))[0] == "pass", "too few to say"


@given(
    st.builds(
        DataFacts,
        events=st.integers(1, 10**6),
        duplicates=st.floats(0, 1),
        telling=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=3),
        giveaway=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=3),
        news=st.integers(0, 10**6),
        news_frauds=st.just(0),
        strays=st.integers(0, 5),
        strays_of=st.integers(5, 10),
        shift=st.dictionaries(st.text(max_size=3), st.floats(0, 20), max_size=3),
        unknown=st.dictionaries(st.text(max_size=3), st.floats(-1, 1), max_size=3),
        then=st.builds(
            Then,
            st.integers(0, 9),
            st.just(0),
            st.one_of(st.none(), st.integers(0, 5)),
            st.integers(0, 10),
            st.one_of(st.none(), st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=3)),
        ),
    )
)
def test_it_always_has_an_answer_with_evidence_that_can_be_stored_and_read_again(facts: DataFacts) -> None:
    verdict = data(facts, LIMITS)
    assert verdict.result in ("pass", "fail")
    stored = msgspec.json.decode(msgspec.json.encode(verdict.evidence))
    assert msgspec.convert(stored, DataFacts) == facts


def test_a_stricter_limit_never_passes_what_a_milder_one_refused() -> None:
    facts = data_facts(taught(), CONTRACT, Then(0, 0))
    tight = replace(LIMITS, data=replace(LIMITS.data, telling=0.6))
    assert data(facts, LIMITS).result == "pass"
    assert data(facts, tight).result == "fail"


def test_limits_are_kept_in_a_policy_and_refused_where_they_are_none() -> None:
    policy = Policy(1, 2, "EUR", COSTS, limits=replace(LIMITS, data=DataLimits(shift=3.0)))
    assert Policy.from_json(policy.to_json()) == policy
    assert b'"data"' not in Policy(1, 2, "EUR", COSTS).to_json()
    with pytest.raises(InvalidInput, match="of data"):
        DataLimits(shift=0)
