"""Skew: what differs is told apart, what was declared is excused, and nothing else is."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from fradect.features.logged import Logged
from fradect.modules import contract_of
from monitoring.skew import Expected, SkewReport, skew
from monitoring.skew_page import skew_page

STANDARD = contract_of("ecommerce/standard")
ROW = tuple(float(i) for i in range(len(STANDARD.names)))
HISTORY = {"e1": Expected(7, [ROW])}
STALE = "customer snapshots are of 2025-03-01, 9 days old"


def _logged(values: Mapping[str, float] | None = None, **changes: object) -> Logged:
    found = dict(zip(STANDARD.names, ROW, strict=True)) | dict(values or {})
    missing = {name: "no value" for name, value in found.items() if math.isnan(value)}
    held = {"event_id": "e1", "seq": 7, "decided_at": 0, "values": tuple(found.values()), "missing": missing}
    return Logged(**(held | {"degraded": ()} | changes))  # type: ignore[arg-type]


def _one(logged: Logged, history: Mapping[str, Expected] = HISTORY) -> SkewReport:
    return skew(STANDARD, [logged], history)


def test_an_equal_vector_is_checked_and_nothing_else() -> None:
    report = _one(_logged())
    assert report.figures == {"checked": len(ROW), "mismatches": 0, "missing": 0, "extra": 0}
    assert report.equal


def test_both_missing_is_equal() -> None:
    gone = {"e1": Expected(7, [(math.nan, *ROW[1:])])}
    assert _one(_logged({"amount": math.nan}), gone).equal


@pytest.mark.parametrize(
    ("mine", "theirs", "what"),
    [(1.5, 0.0, "mismatch"), (math.nan, 0.0, "missing"), (1.5, math.nan, "extra"), (-0.0, 0.0, "mismatch")],
)
def test_each_kind_of_difference_is_counted_by_feature(mine: float, theirs: float, what: str) -> None:
    report = _one(_logged({"amount": mine}), {"e1": Expected(7, [(theirs, *ROW[1:])])})
    assert getattr(report.by_feature["amount"], what) == 1
    assert report.total("mismatch") + report.total("missing") + report.total("extra") == 1
    assert [one.feature for one in report.examples] == ["amount"]
    assert not report.equal


def test_windows_without_the_live_state_are_excused_and_what_is_derived_from_them() -> None:
    windows = {f.name: math.nan for f, _ in STANDARD.windows}
    derived = {"amount_to_customer_mean": math.nan, "geolocation_risk_score": 99.0}
    blind = _logged({**windows, **derived}, seq=None, degraded=("live_state",))
    report = _one(blind)
    assert report.equal
    assert (report.degraded, report.declared) == (1, {"live_state": 1})
    assert report.total("excused") == len(windows) + len(derived)


def test_a_degraded_decision_is_excused_for_what_it_declares_only() -> None:
    late = _logged({"customer_count_1d": 99.0, "amount": math.nan}, seq=None, degraded=("live_state",))
    report = _one(late)
    assert report.by_feature["customer_count_1d"].mismatch == 1
    assert report.by_feature["amount"].missing == 1


def test_snapshots_that_were_away_or_stale_are_excused_where_that_was_said() -> None:
    said = _one(_logged({"total_orders": math.nan}, missing={"total_orders": STALE}))
    assert said.equal
    assert said.declared == {STALE: 1}
    assert _one(_logged({"total_orders": math.nan})).by_feature["total_orders"].missing == 1


def test_an_event_that_history_lacks_and_another_number_are_told() -> None:
    lost = _one(_logged(), {})
    assert (lost.unmatched, lost.decisions, lost.figures["extra"]) == (1, 0, 1)
    other = _one(_logged(seq=8))
    assert (other.renumbered, other.figures["mismatches"]) == (1, 1)


def test_any_of_the_vectors_that_were_right_at_the_time_will_do() -> None:
    both = {"e1": Expected(7, [tuple(v + 1 for v in ROW), ROW])}
    assert _one(_logged(), both).equal


def test_a_feature_that_nothing_is_known_of_is_left_out_and_named() -> None:
    report = skew(STANDARD, [_logged({"total_orders": -1.0})], HISTORY, {"total_orders": "not on record"})
    assert report.equal
    assert "total_orders" not in report.by_feature
    assert b"not on record" in skew_page(report, "today")


def test_the_page_and_the_file_say_the_same() -> None:
    report = _one(replace(_logged({"amount": 1.5}), event_id="e1"))
    page = skew_page(report, "<b>demo</b>").decode()
    assert "logged vectors and history differ" in page
    assert "&lt;b&gt;demo&lt;/b&gt;" in page
    assert json.loads(report.to_json())["mismatches"] == 1
    assert "no decision to compare" in skew_page(skew(STANDARD, [], {}), "today").decode()


def test_what_overtook_an_import_is_counted_apart_where_windows_differ() -> None:
    """Amounts and snapshots owe nothing to an import, and an equal vector shows that none was missed."""
    overtaken = {"e1": Expected(7, [ROW], overtook=True)}
    late = _one(_logged({"customer_count_1d": 77.0, "amount_to_customer_mean": math.nan}), overtaken)
    assert (late.equal, late.overtook, late.total("excused")) == (True, 1, 2)
    assert "overtook an import" in skew_page(late, "all").decode()
    assert _one(_logged(), overtaken).overtook == 0
    wrong = _one(_logged({"amount": 77.0, "customer_count_1d": 77.0}), overtaken)
    assert (wrong.figures["mismatches"], wrong.overtook) == (1, 1)
    assert _one(_logged({"customer_count_1d": 77.0})).figures["mismatches"] == 1
