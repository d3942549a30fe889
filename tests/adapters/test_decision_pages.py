"""Decisions page by page: every one once, in order, whatever is wanted and whatever comes meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fradect.adapters.decision_pages import DecisionPages
from fradect.adapters.decision_reads import DecisionReads
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.tables import risk_decisions
from fradect.outcomes import Listed, Place
from fradect.reproduce import Wanted
from fradect.types import Action
from tests.factories_decision import NOON, purchase, record

COUNT = 60


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlLedger]:
    """Several were made at the same microsecond."""
    ledger = SqlLedger(f"sqlite:///{tmp_path_factory.mktemp('pages')}/ledger.db")
    ledger.commit_many([_record(n) for n in range(COUNT)])
    c = risk_decisions.c
    with ledger.engine.begin() as connection:
        told = risk_decisions.update().where(c.id.in_([f"dec_{n:04}" for n in range(0, COUNT, 7)]))
        connection.execute(told.values(outcome="confirmed_fraud", outcome_updated_at=NOON))
    yield ledger
    ledger.close()


def _record(n: int, **changes: Any) -> Any:
    held: dict[str, Any] = {
        "decision_id": f"dec_{n:04}",
        "tenant": "demo" if n % 5 else "other",
        "action": Action(n % 3),
        "score": n * 10,
        "decided_at": NOON + n // 4,
        "degraded": ("live_state",) if n % 6 == 0 else (),
        "release_id": f"rel_{n % 2}",
    }
    one = record(f"tx{n}", **(held | changes))
    event = purchase(f"tx{n}", tenant=str(held["tenant"]), customer_id=f"c{n % 4}")
    return type(one)(event, one.decision, one.subject, one.request_digest, one.options, one.answer)


def _all(pages: DecisionPages, wanted: Wanted, most: int) -> list[Listed]:
    found: list[Listed] = []
    after: Place | None = None
    for _ in range(10 * COUNT):
        some, after = pages.page(wanted, most, after)
        assert len(some) <= most
        found += some
        if after is None:
            return found
    raise AssertionError("it never ends")


@given(
    most=st.integers(1, 25),
    looked_at=st.integers(1, 70),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "module": st.sampled_from(["ecommerce", "nothing"]),
            "action": st.sampled_from(["APPROVE", "DECLINE"]),
            "outcome": st.sampled_from(["confirmed_fraud", "unknown", "none"]),
            "min_score": st.integers(0, 600),
            "max_score": st.integers(0, 600),
            "since": st.integers(NOON - 1, NOON + 16),
            "until": st.integers(NOON - 1, NOON + 16),
            "customer_id": st.sampled_from(["c0", "c3", "c9"]),
            "release_id": st.sampled_from(["rel_0", "rel_9"]),
            "degraded": st.booleans(),
        },
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_are_what_one_look_at_everything_would_find(
    ledger: SqlLedger, most: int, looked_at: int, fields: dict[str, Any]
) -> None:
    wanted = Wanted(tenant_id="demo", **fields)
    found = _all(DecisionPages(ledger.engine, looked_at), wanted, most)
    expected = [n for n in range(COUNT) if n % 5 and _is_wanted(n, wanted)]
    expected.sort(key=lambda n: (NOON + n // 4, f"dec_{n:04}"), reverse=True)
    assert [one.id for one in found] == [f"dec_{n:04}" for n in expected]
    listed = DecisionReads(ledger.engine).listed(wanted, COUNT)
    assert {kept.decision.decision_id for kept in listed} == {one.id for one in found}, "the same query"


def _is_wanted(n: int, wanted: Wanted) -> bool:
    made, outcome = NOON + n // 4, "confirmed_fraud" if n % 7 == 0 else None
    return (
        wanted.module in (None, "ecommerce")
        and wanted.action in (None, Action(n % 3).name)
        and (wanted.outcome is None or outcome == (None if wanted.outcome == "none" else wanted.outcome))
        and (wanted.min_score or 0) <= n * 10 <= (10_000 if wanted.max_score is None else wanted.max_score)
        and wanted.since <= made
        and (wanted.until is None or made < wanted.until)
        and wanted.customer_id in (None, f"c{n % 4}")
        and wanted.release_id in (None, f"rel_{n % 2}")
        and wanted.degraded in (None, n % 6 == 0)
    )


def test_what_is_decided_meanwhile_moves_nothing(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.commit_many([_record(n) for n in range(20)])
    pages, wanted = DecisionPages(ledger.engine), Wanted(tenant_id="demo")
    before = _all(pages, wanted, 20)
    first, after = pages.page(wanted, 5)
    ledger.commit_many([_record(n, decided_at=NOON + 100 + n) for n in range(20, 40)])
    rest: list[Listed] = []
    while after is not None:
        some, after = pages.page(wanted, 5, after)
        rest += some
    assert first + rest == before
    ledger.close()


def test_a_page_is_found_by_its_index(ledger: SqlLedger) -> None:
    plans = {
        "risk_decisions_page": Wanted(tenant_id="demo", action="DECLINE"),
        "risk_decisions_outcome": Wanted(tenant_id="demo", outcome="confirmed_fraud"),
    }
    seen: list[tuple[str, Any]] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *a: seen.append((a[2], a[3])))
    for index, wanted in plans.items():
        seen.clear()
        DecisionPages(ledger.engine).page(wanted, 50, Place(NOON + 9, "dec_0001"))
        with ledger.engine.connect() as connection:
            for statement, values in seen.copy():
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                words = " ".join(row[-1] for row in plan)
                assert index in words, words
                assert "TEMP B-TREE" not in words, "it comes in order"
