"""Pairs in both databases: read as they were kept, page by page, one trial's alone; and what became of decisions."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from fradect.adapters.decision_outcomes import SqlOutcomes
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.pairs_sql import SqlPairs
from fradect.adapters.pairs_sql import Trial as Wanted
from fradect.adapters.shared_sql import open_shared
from fradect.adapters.told_labels import told_fraud
from fradect.outcomes import Outcome, Telling
from fradect.pairs import PairColumns
from tests.factories_decision import NOON, record
from tests.factories_pairs import Trial, columns, made

OF = Wanted("demo", "ecommerce", "rel_b", "rel_a")


@pytest.fixture
def pairs(ledger_url: str) -> Iterator[SqlPairs]:
    engine = open_shared(ledger_url)
    yield SqlPairs(engine)
    engine.dispose()


def _rows(page: PairColumns) -> list[tuple[object, ...]]:
    plain = [column.tolist() if isinstance(column, np.ndarray) else column for column in msgspec.structs.astuple(page)]
    return list(zip(*plain, strict=True))


def test_a_trial_is_read_page_by_page_in_the_order_of_its_decisions(pairs: SqlPairs) -> None:
    kept = made(257, Trial(failing=0.1))
    again = made(20, Trial(at=1_100), seed=2)  # at the same moments
    pairs.record([*kept[100:], *kept[:100], *again])
    pairs.record(made(30, Trial(names=("rel_c", "rel_a"))))
    pairs.record([msgspec.structs.replace(pair, tenant_id="other") for pair in kept[:40]])
    pages = list(pairs.pages(OF, most=50))
    assert [len(page) for page in pages] == [50] * 5 + [27]
    read = [row for page in pages for row in _rows(page)]
    assert sorted(read, key=str) == sorted(_rows(columns([*kept, *again])), key=str)
    assert read == _rows(pairs.of("demo", "ecommerce", "rel_b", "rel_a"))
    moments = np.concatenate([page.decided_at for page in pages])
    assert (np.diff(moments) >= 0).all()
    assert pages[0].ours_failed.dtype == np.bool_
    since = sum(len(page) for page in pairs.pages(OF._replace(since=1_200), most=50))
    assert since == sum(pair.decided_at >= 1_200 for pair in kept)
    assert list(pairs.pages(OF._replace(tenant_id="nobody"))) == []


def test_what_decisions_turned_out_to_be_is_what_was_told_last(ledger_url: str) -> None:
    assert told_fraud(ledger_url, "demo", "ecommerce", 0) == {}
    ledger = SqlLedger(ledger_url)
    for name in ("tx1", "tx2", "tx3", "tx4"):
        ledger.commit(record(name))
    ledger.commit(record("tx1", decision_id="dec_other", tenant="other"))
    tell = SqlOutcomes(ledger.engine).tell
    fraud, honest, unknown = Outcome.CONFIRMED_FRAUD, Outcome.FALSE_POSITIVE, Outcome.UNKNOWN
    for at, (decision, outcome) in enumerate(
        [("dec_tx1", fraud), ("dec_tx2", fraud), ("dec_tx2", honest), ("dec_tx3", fraud), ("dec_tx3", unknown)]
    ):
        tell("demo", Telling(decision, outcome, None, NOON + 1_000_000 * at, "api"))
    ledger.close()
    assert told_fraud(ledger_url, "demo", "ecommerce", 0) == {"dec_tx1": True, "dec_tx2": False}
    assert told_fraud(ledger_url, "demo", "ecommerce", NOON + 1) == {}
