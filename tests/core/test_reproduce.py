"""Decisions made again: the same to the last byte, whatever was missing then; a changed byte is found."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fradect.answer import encode
from fradect.judgement import MODEL, Loaded, judge
from fradect.reproduce import AT_ONCE, Kept, columns, replay
from fradect.types import Decision, Vector
from tests.factories_decision import NOON, purchase, toy_loaded, vector_of


def _decided(release: Loaded, number: int, values: Mapping[str, float], gone: tuple[str, ...], explain: bool) -> Kept:
    """Made one at a time, as a request is."""
    event = purchase(f"tx{number}", at=NOON + number, amount=1000 * number + 100, amount_base=1000 * number + 100)
    vector = vector_of(release.contract, **values)
    judgement = judge(release, event, vector, gone, explain=explain)
    decision = Decision(
        decision_id=f"dec_{number}",
        request_id="req_1",
        event_id=event.event_id,
        tenant_id="demo",
        module="ecommerce",
        action=judgement.action,
        score=judgement.score,
        probability=judgement.probability,
        factors=judgement.factors,
        release_id=release.id,
        vector=Vector((), vector.values, vector.missing),
        seq=number,
        decided_at=NOON,
        degraded=judgement.degraded,
        could_not_run=judgement.could_not_run,
        timings_us={"total": 1234},
    )
    return Kept(event, decision, explain, columns(decision, encode(decision)))


class _Mute:
    """A model that fails."""

    def probability(self, _matrix: object) -> object:
        raise ValueError("away")


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(("customer_count_1d", "card_count_1m", "amount_base", "customer_sum_7d")),
                st.one_of(st.just(float("nan")), st.floats(0, 40), st.integers(0, 10**9).map(float)),
            ),
            st.sampled_from(((), ("live_state",), ("live_state", "batch_features"))),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=25)
def test_what_was_decided_one_by_one_is_made_again_many_at_once(cases: list[tuple]) -> None:
    release = toy_loaded()
    names = set(release.contract.names)
    kept = [
        _decided(release, i, {n: v for n, v in values.items() if n in names}, gone, explain)
        for i, (values, gone, explain) in enumerate(cases)
    ]
    assert list(replay(release, kept, threads=2)) == [None] * len(kept)


def test_more_than_one_portion_keeps_its_order() -> None:
    release = toy_loaded()
    one = _decided(release, 1, {}, (), False)
    wrong = replace(one, stored={**one.stored, "score": 1001})
    answers = list(replay(release, [one] * AT_ONCE + [wrong] + [one]))
    assert [i for i, answer in enumerate(answers) if answer is not None] == [AT_ONCE]


@pytest.mark.parametrize(
    "column", ["score", "decision", "probability", "factors", "could_not_run", "degraded", "answer"]
)
def test_a_changed_column_is_named_with_both_sides(column: str) -> None:
    release = toy_loaded()
    kept = _decided(release, 3, {}, (), True)
    was = kept.stored[column]
    changed = was + b" " if isinstance(was, bytes) else was + 1 if isinstance(was, int) else was + " "
    (found,) = replay(release, [replace(kept, stored={**kept.stored, column: changed})])
    assert found is not None
    assert [part.column for part in found.parts] == [column]
    assert found.parts[0].stored != found.parts[0].made


def test_another_vector_is_another_decision() -> None:
    release = toy_loaded()
    kept = _decided(release, 3, {}, (), True)
    values = tuple(np.nan for _ in kept.decision.vector.values)
    other = replace(kept, decision=structs.replace(kept.decision, vector=Vector((), values)))
    (found,) = replay(release, [other])
    assert found is not None


def test_a_vector_of_another_contract_is_told_so() -> None:
    release = toy_loaded()
    kept = _decided(release, 3, {}, (), True)
    short = replace(kept, decision=structs.replace(kept.decision, vector=Vector((), (1.0,))))
    first, second = replay(release, [short, kept])
    assert first is not None
    assert first.parts[0].column == "vector"
    assert second is None


def test_what_had_to_be_decided_without_a_model_is_made_again_without_one() -> None:
    release = toy_loaded()
    kept = _decided(replace(release, model=_Mute()), 3, {}, (), True)  # type: ignore[arg-type]
    assert MODEL in kept.decision.degraded
    assert list(replay(release, [kept])) == [None]
