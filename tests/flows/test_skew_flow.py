"""The daily check of logged vectors: decisions in a ledger against the log they are of."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.skew import skew
from flows.wiring import Workshop, workshop
from flows.wiring.derived import derive
from flows.wiring.online import measurements, remember
from fradect.adapters.ledger_sql import SqlLedger
from fradect.adapters.shared_sql import SqlMeasurements, open_shared
from fradect.adapters.state_sources import CAUGHT_UP
from fradect.errors import NotFound
from fradect.ports import Measurement
from fradect.types import DAY, Vector
from serving.metrics import Metrics
from tests.factories_decision import record, toy_release

CONTRACT = toy_release().contract


@pytest.fixture
def shop(filled_home: Path) -> Workshop:
    """With a champion, and snapshots that went online before anything was decided."""
    shop = workshop("ecommerce", "demo")
    release = toy_release()
    shop.releases.save(release)
    shop.releases.promote("ecommerce", "demo", release.id)
    derive(shop, CONTRACT)
    return shop


def _decide(shop: Workshop, many: int, changes: dict[int, dict[str, Any]] | None = None, **facts: Any) -> None:
    """Decisions as if the log's last events had just been scored, with planted changes by position."""
    table = pq.read_table(shop.places.training_set(CONTRACT))
    rows = table.slice(table.num_rows - many).to_pylist()
    ledger = SqlLedger(shop.settings.ledger_url)
    try:
        for i, row in enumerate(rows):
            planted = dict((changes or {}).get(i, {}))
            values = {name: planted.pop(name, row[name]) for name in CONTRACT.names}
            vector = Vector(CONTRACT.names, tuple(values.values()), planted.pop("missing", {}))
            held = {"seq": row["seq"], "decided_at": time.time_ns() // 1000, "release_id": toy_release().id}
            ledger.commit(record(row["event_id"], vector=vector, **(held | facts | planted)))
    finally:
        ledger.close()


def test_vectors_as_history_has_them_are_equal_and_measured(shop: Workshop) -> None:
    remember(shop, CONTRACT, shop.facts.last_time + DAY)
    _decide(shop, 40)
    found = skew("ecommerce", "demo")
    assert found.report.figures == {"checked": 40 * len(CONTRACT.names), "mismatches": 0, "missing": 0, "extra": 0}
    assert json.loads(found.file.read_bytes())["decisions"] == 40
    assert "every logged vector equals" in found.page.read_text()
    shared = open_shared(shop.settings.ledger_url)
    metrics = Metrics()
    metrics.measured.take(SqlMeasurements(shared).latest())
    shared.dispose()
    assert f'fradect_skew_checked{{module="ecommerce"}} {40.0 * len(CONTRACT.names)}' in metrics.text().decode()
    assert 'fradect_skew_mismatches{module="ecommerce"} 0.0' in metrics.text().decode()


def test_planted_differences_are_found_and_declared_ones_excused(shop: Workshop) -> None:
    remember(shop, CONTRACT, shop.facts.last_time + DAY)
    windows = {feature.name: math.nan for feature, _ in CONTRACT.windows}
    blind = {**windows, "seq": None, "degraded": ("live_state",)}
    _decide(shop, 20, {3: {"customer_count_1d": 77.0}, 4: {"hour": math.nan}, 5: blind, 6: {"seq": 10**6}})
    report = skew("ecommerce", "demo").report
    assert report.figures == {"checked": 20 * len(CONTRACT.names), "mismatches": 2, "missing": 1, "extra": 0}
    assert report.by_feature["customer_count_1d"].mismatch == 1
    assert report.renumbered == 1
    assert report.declared == {"live_state": 1}
    assert report.total("excused") >= 1


def test_snapshots_count_from_when_they_were_online(shop: Workshop) -> None:
    """Two days behind: an event of the last day sees the snapshot before, and history's own would be a mismatch."""
    remember(shop, CONTRACT, shop.facts.last_time - 2 * DAY)
    _decide(shop, 40)
    report = skew("ecommerce", "demo").report
    assert report.figures["mismatches"] > 0
    batch = {"total_orders", "avg_order_value", "return_rate", "fraud_history"}
    assert {
        name for name, found in report.by_feature.items() if found.mismatch or found.missing or found.extra
    } <= batch


def test_without_a_record_of_what_was_online_batch_features_are_not_judged(shop: Workshop) -> None:
    _decide(shop, 10, {0: {"total_orders": 999.0}})
    report = skew("ecommerce", "demo").report
    assert report.equal
    assert set(report.not_compared) == {"total_orders", "avg_order_value", "return_rate", "fraud_history"}


def test_a_sample_is_even_and_of_the_last_day(shop: Workshop) -> None:
    remember(shop, CONTRACT, shop.facts.last_time + DAY)
    _decide(shop, 30)
    found = skew("ecommerce", "demo", sample=10)
    assert (found.decisions, found.report.decisions) == (30, 10)


def test_a_decision_that_overtook_an_import_is_counted_apart(shop: Workshop) -> None:
    """Windows that differ are the import's doing until the live state has it, and nobody's excuse after that."""
    remember(shop, CONTRACT, shop.facts.last_time + DAY)
    _decide(shop, 30, {5: {"customer_count_1d": 77.0}})
    assert skew("ecommerce", "demo").report.figures["mismatches"] == 1, "nothing is on record"
    _note_caught_up(shop, shop.facts.imported_seq - 1, time.time_ns() // 1000 - DAY)
    waiting = skew("ecommerce", "demo").report
    assert (waiting.figures["mismatches"], waiting.overtook) == (0, 1)
    _note_caught_up(shop, shop.facts.imported_seq, time.time_ns() // 1000)
    assert skew("ecommerce", "demo").report.overtook == 1, "it was made before"


def test_a_decision_after_the_state_caught_up_has_no_such_excuse(shop: Workshop) -> None:
    remember(shop, CONTRACT, shop.facts.last_time + DAY)
    _note_caught_up(shop, shop.facts.imported_seq, time.time_ns() // 1000 - DAY // 2)
    _decide(shop, 30, {5: {"customer_count_1d": 77.0}})
    report = skew("ecommerce", "demo").report
    assert (report.figures["mismatches"], report.overtook) == (1, 0)


def _note_caught_up(shop: Workshop, upto: int, at: int) -> None:
    labels = {"module": "ecommerce", "tenant": "demo"}
    with measurements(shop) as told:
        told.record(Measurement(CAUGHT_UP, labels, float(upto), at))


def test_without_decisions_nothing_is_compared(shop: Workshop) -> None:
    with pytest.raises(NotFound, match="start the service"):
        skew("ecommerce", "demo")
