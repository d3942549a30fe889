"""What one rule decides alone: taken out of the rulebook, exactly those events are decided otherwise."""

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.blast import alone
from fradect.bulk import SAID, decide_many, trace
from fradect.judgement import Loaded, judge, load
from fradect.release import Release
from fradect.rulebook.document import TABLE
from fradect.types import Event, Value, Vector
from tests.core.test_bulk import CONTRACT, pasts
from tests.factories_decision import RULEBOOK, toy_loaded, toy_release

pytest.importorskip("zen")
RULES = tuple(rule for rule, _ in toy_loaded().rules.conditions)
SIGNALS = tuple(sorted(name for rule in RULES for name in rule.needs if name.startswith(SAID)))


@lru_cache
def without(rule_id: str) -> Loaded:
    """The toy release, one rule taken out."""
    book: dict[str, Any] = json.loads(RULEBOOK)
    for node in book["nodes"]:
        if node["type"] == TABLE:
            content = node["content"]
            name = next(column["id"] for column in content["outputs"] if column["field"] == "id")
            content["rules"] = [row for row in content["rules"] if row[name] != f"'{rule_id}'"]
    raw: Release = replace(toy_release(), rulebook=json.dumps(book).encode())
    return load(raw)


@st.composite
def told(draw: st.DrawFn) -> tuple[pa.Table, np.ndarray[Any, np.dtype[np.float64]]]:
    """Past events with what lists said of each."""
    events, matrix = draw(pasts())
    for name in SIGNALS:
        flags = [draw(st.sampled_from([None, False, False, True])) for _ in range(events.num_rows)]
        events = events.append_column(name, pa.array(flags, pa.bool_()))
    return events, matrix


@settings(max_examples=60, deadline=None)
@given(told(), st.sampled_from(RULES))
def test_a_rule_taken_out_changes_its_blast_radius_and_nothing_else(past: tuple[pa.Table, Any], rule: Any) -> None:
    found = trace(toy_loaded(), *past)
    radius = {one.id: what for one, what in alone(RULES, found)}[rule.id]
    other = decide_many(without(rule.id), *past).action
    assert np.flatnonzero(other != found.past.action).tolist() == radius.rows.tolist()
    assert other[radius.rows].tolist() == radius.without.tolist()


@settings(max_examples=60, deadline=None)
@given(told())
def test_a_trace_says_what_the_live_path_says_of_each(past: tuple[pa.Table, Any]) -> None:
    release = toy_loaded()
    found = trace(release, *past)
    for i, (fields, row) in enumerate(zip(past[0].to_pylist(), past[1].tolist(), strict=True)):
        said = {name.removeprefix(SAID): value for name, value in fields.items() if name in SIGNALS}
        signals: dict[str, Value] = {name: value for name, value in said.items() if value is not None}
        event = Event("e", "demo", "ecommerce", fields["event_time"], fields["event_time"], fields)
        vector = Vector(CONTRACT.names, tuple(row))
        findings = release.rules.find(event, vector, signals)
        lived = judge(release, event, vector, (), explain=False, signals=signals)
        assert (lived.score, lived.action) == (found.past.score[i], found.past.action[i])
        assert {rule.id for rule in RULES if i in found.ran[rule.id].hit} == {hit.id for hit in findings.hits}
        assert {rule.id for rule in RULES if i in found.ran[rule.id].unable} == set(findings.could_not_run)
