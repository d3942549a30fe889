"""Decisions of a real service, put through the backtest's engine on their stored vectors: all come out as stored."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flows.stored import Scope, stored
from fradect.adapters.lists_sql import Change
from fradect.adapters.releases_folder import ReleasesFolder
from fradect.errors import Unavailable
from fradect.lists import Entry, ListName
from tests.factories_decision import body, toy_release
from tests.serving.conftest import Client

ALL = Scope("ecommerce", "demo", 0, 2**62)


def _away(*_: object) -> None:
    raise Unavailable("away")


@pytest.fixture
def decided(served: Callable[[], Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Answers of two releases: of listed customers, with and without factors, and some without the live state."""
    monkeypatch.setenv("FRADECT_HOME", str(tmp_path))
    client = served()
    denied = Entry("demo", "ecommerce", ListName.DENY, "customer", "c3")
    client.service._lists.add([(denied, "")], Change("ann", 1))
    client.service._lists.reload()
    sent = [body(f"tx{i}", customer_id=f"c{i % 5}", amount=10 + 7919 * i % 5000) for i in range(20)]
    answers = [client.post(one | {"options": {"include_factors": i % 2 == 0}}).json() for i, one in enumerate(sent)]
    other, store = toy_release("ecommerce/standard", 301), ReleasesFolder(tmp_path)
    store.save(other)
    store.promote("ecommerce", "demo", other.id)
    client.service._follow()
    answers += [client.post(body(f"later{i}", customer_id=f"c{i}")).json() for i in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(client.service._state, "arrive", _away)
        answers += [client.post(body(f"late{i}", customer_id="c1")).json() for i in range(3)]
    client.service.close()
    return answers


def test_the_releases_that_made_them_make_them_all_again(decided: list[dict[str, Any]]) -> None:
    degraded = sum(bool(answer.get("degraded")) for answer in decided)
    assert (len({answer["release"] for answer in decided}), degraded) == (2, 3)
    found = stored(ALL)
    assert found is not None
    assert (found.made_again.decisions, found.made_again.matched) == (28, 28)
    assert (found.by_columns, found.alike, found.proven) == (28 - degraded, 28 - degraded, True)


def test_of_another_period_or_tenant_there_are_none(decided: list[dict[str, Any]]) -> None:
    assert decided
    assert stored(Scope("ecommerce", "demo", 0, 1)) is None
    assert stored(Scope("ecommerce", "other", 0, 2**62)) is None


def test_one_that_was_changed_since_is_found_by_both(decided: list[dict[str, Any]], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger, ledger:
        changed = "UPDATE risk_decisions SET score = score + 1 WHERE id = ?"
        ledger.execute(changed, (decided[0]["decision_id"],))
    found = stored(ALL)
    assert found is not None
    assert (found.made_again.differing, found.by_columns - found.alike, found.proven) == (1, 1, False)
