"""A state that is rebuilt from the log is the one that it replaces, byte for byte."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fradect.adapters.places import Places
from fradect.adapters.state_parts import Mark
from fradect.adapters.state_rebuild import Sources, Tail, rebuild, rebuild_from
from fradect.adapters.state_sqlite import SqliteState
from fradect.adapters.states import States, open_state
from fradect.features.held import Held, Learnt
from fradect.features.layout import Layout, layout_of
from fradect.modules import contract_of, module_of
from fradect.types import DAY, Event
from tests.features.factories_log import events_of, random_columns, random_outcomes, write_log

MODULE = module_of("ecommerce")
LAYOUT = layout_of(MODULE, contract_of("ecommerce/standard"), contract_of("ecommerce/handbook"))
SCOPE = ("default", "ecommerce")


def _learnt(columns: dict[str, Any], outcomes: dict[str, Any]) -> list[Learnt]:
    events = events_of(columns)
    numbers = outcomes.get("number", outcomes["seq"])
    cells = zip(outcomes["seq"], numbers, outcomes["kind"], outcomes["value"], outcomes["known_at"], strict=True)
    return [Learnt(events[seq - 1], kind, value, known_at, number) for seq, number, kind, value, known_at in cells]


def _live(layout: Layout, events: Iterable[Event], outcomes: Iterable[Learnt], confirm_every: int) -> States:
    state = SqliteState("", scratch=True)
    state.adopt("default", layout)
    with state.together():
        for event in events:
            seq = state.arrive(event).seq
            if not seq % confirm_every:
                state.confirm(*SCOPE, seq)
        state.learn(list(outcomes))
        state.confirm(*SCOPE, state.mark(*SCOPE).last_seq)
        state.settle_all(*SCOPE)
    return state


def _dump(state: States) -> list[tuple[str, str, Held]]:
    return list(state.dump(*SCOPE))


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_rebuilt_is_what_arrived_one_by_one(tmp_path: Path, redis_db: str, late: float) -> None:
    columns = random_columns(5, 400, late=late, span=90 * DAY)
    outcomes = random_outcomes(5, columns)
    places = write_log(tmp_path, columns, outcomes, files=3)
    live = _live(LAYOUT, events_of(columns), _learnt(columns, outcomes), confirm_every=7)
    for url in (f"sqlite:///{tmp_path}/rebuilt.db", redis_db):
        rebuilt = open_state(url)
        what = rebuild(rebuilt, "default", LAYOUT, places.log)
        assert _dump(rebuilt) == _dump(live)
        assert (what.last_seq, what.keys) == (400, len(_dump(live)))
        assert rebuilt.mark(*SCOPE) == Mark(400, max(columns["event_time"]), 400, 400, LAYOUT.digest)
        rebuilt.close()
    live.close()
