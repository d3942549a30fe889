"""The page of a replay: everything that was found, and nothing wider than the screen that cannot be moved."""

import re

from fradect.features.live import Snapshot, View
from fradect.features.replay import Example, ReplayReport
from fradect.features.replay_inputs import Entry, Inputs
from fradect.modules import contract_of
from fradect.types import DAY, Event
from monitoring.replay_page import Played, replay_page

CONTRACT = contract_of("ecommerce/standard")
FEATURE = "customer_distinct_device_30d"
EVENT = Event("tx_" + "0123456789abcdef" * 6, "demo", "ecommerce", 20_000 * DAY, 20_000 * DAY, {})


def bad_page(days: int = 2) -> str:
    """A replay with one difference, of an event with a very long id."""
    example = Example(FEATURE, 12_345, EVENT, View(12_345, 0, {}), Snapshot({}, {}), {FEATURE: 2.0}, {FEATURE: 3.0})
    entries = (
        Entry("2025-04-26 20:36:09.325257, number 193,398", "device dev_0123456789", "device dev_0123456789"),
        Entry("2025-04-27 23:39:28.487393, number 195,056", None, "device dev_" + "f" * 80),
    )
    report = ReplayReport(
        events=1_430 * days,
        features=len(CONTRACT.names),
        mismatches=1,
        missing=0,
        extra=0,
        differing=1,
        by_feature=dict.fromkeys(CONTRACT.names, 0) | {FEATURE: 1},
        by_day={(20_000 + day) * DAY: (1_430, int(day == 1)) for day in range(days)},
        examples=(example,),
        unmatched=(),
    )
    played = Played("ecommerce", "demo", CONTRACT.name, "numbers 1 to 2,860", "a scratch SQLite file", 4.0)
    looked_at = "customer cust_f6d9edb34f, events after 2025-04-23 up to 2025-04-30"
    return replay_page(report, played, CONTRACT, [Inputs(example, looked_at, entries)]).decode()


def test_a_difference_is_told_with_both_sides() -> None:
    page = bad_page()
    assert "live and history differ" in page
    assert "2.0 live, 3.0 in history" in page
    assert "1 of 2 entries differ" in page
    assert "not there" in page


def test_what_may_be_wider_than_a_telephone_can_be_moved() -> None:
    for days in (1, 2, 90, 4_000):
        page = bad_page(days)
        wide = re.findall(r'<div class="wide"><(table|svg)', page)
        assert wide.count("table") == page.count("<table>") == 3
        assert wide.count("svg") == page.count("<svg ") == 2
        widths = {int(width) for width in re.findall(r'<svg width="(\d+)"', page)}
        assert 340 <= max(widths) <= 1_016
        assert "max-width: 100%" not in page, "shrunk with its words, a chart says nothing"
