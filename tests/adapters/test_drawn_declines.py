"""What the ledger tells of declines that were drawn."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from fradect.adapters.database import open_database
from fradect.adapters.drawn_declines import drawn_declines, let_through_since
from fradect.adapters.ledger_sql import SqlLedger
from fradect.types import Action
from tests.factories_decision import NOON, record

SCOPE = ("demo", "ecommerce")
APPROVE, DECLINE = Action.APPROVE, Action.DECLINE


def test_amounts_let_through_are_added_up_by_tenant(ledger_url: str) -> None:
    ledger = SqlLedger(ledger_url)
    ledger.commit_many(
        [
            record("a", action=APPROVE, propensity=0.02),
            record("b", action=APPROVE, propensity=0.02),
            record("c", action=DECLINE, propensity=0.02),
            record("d", action=APPROVE),
            record("e", action=APPROVE, propensity=0.02, decided_at=NOON - 1),
            record("f", action=APPROVE, propensity=0.02, tenant="other"),
        ]
    )
    assert let_through_since(ledger.engine, NOON) == {SCOPE: 200_000, ("other", "ecommerce"): 100_000}
    assert let_through_since(ledger.engine, NOON + 1) == {}
    ledger.close()


def test_every_decline_has_the_chance_of_its_label(ledger_url: str) -> None:
    ledger = SqlLedger(ledger_url)
    ledger.commit_many([record("d", action=APPROVE), record("e", action=DECLINE)])
    assert drawn_declines(ledger_url, SCOPE) is None, "nothing was ever drawn"
    ledger.commit_many([record("a", action=APPROVE, propensity=0.02), record("c", action=DECLINE, propensity=0.03)])
    found = drawn_declines(ledger_url, SCOPE)
    assert found is not None
    assert found.chance == {"a": 0.02, "c": 0.03, "e": 0.0}
    assert found.let_through == {"a"}
    assert drawn_declines(ledger_url, ("other", "ecommerce")) is None
    ledger.close()


@pytest.mark.parametrize("there", [False, True])
def test_without_a_ledger_or_with_one_of_before_there_is_nothing(tmp_path: Path, there: bool) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    if there:
        engine = open_database(url)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE risk_decisions (id TEXT)"))
        engine.dispose()
    assert drawn_declines(url, SCOPE) is None
